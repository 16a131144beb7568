/** The way between two sites in the hands of a test: it takes what one sends, and gives the other what it likes, in any order. */
import { addressBytes, familyOf } from "../../src/ip-address.ts";
import * as libc from "../../src/linux/libc.ts";
import { Memory } from "../../src/linux/memory.ts";
import { MsgBatch } from "../../src/linux/msg-batch.ts";
import { AF_INET, AF_INET6 } from "../../src/linux/sockaddr.ts";
import { bindTo, boundEndpoint, enlargeBuffers, openSocket, SOCK_DGRAM } from "../../src/linux/socket.ts";
import { type MemorySite, settle } from "./memory-sites.ts";

const ROOM = 65_536;

/** Where one site believes the other to be. */
interface End {
  readonly site: MemorySite;
  readonly fd: number;
  readonly endpoint: { readonly address: string; readonly port: number };
}

export class Wire {
  readonly #a: End;
  readonly #b: End;
  readonly #batch = new MsgBatch({ slab: Memory.allocate(ROOM), capacity: 1 });

  /** Of a pair of SAs in UDP that is installed at both. */
  constructor(a: MemorySite, b: MemorySite, { spiA, spiB }: { readonly spiA: number; readonly spiB: number }) {
    this.#a = open(a);
    this.#b = open(b);
    const at = ({ address, udp }: MemorySite) => ({ address, port: udp.port });
    a.plane.move(spiA, { local: at(a), remote: this.#a.endpoint });
    b.plane.move(spiB, { local: at(b), remote: this.#b.endpoint });
  }

  /** What A has sent since the last call, from the SPI on. */
  fromA(): Uint8Array[] {
    return this.#take(this.#a);
  }

  fromB(): Uint8Array[] {
    return this.#take(this.#b);
  }

  /** B receives these, and has judged them. */
  toB(...datagrams: readonly Uint8Array[]): void {
    this.#give(this.#b, datagrams);
  }

  toA(...datagrams: readonly Uint8Array[]): void {
    this.#give(this.#a, datagrams);
  }

  close(): void {
    for (const { fd } of [this.#a, this.#b]) libc.close(fd);
  }

  #take({ site, fd }: End): Uint8Array[] {
    settle(site);
    const batch = this.#batch;
    const taken: Uint8Array[] = [];
    for (;;) {
      batch.setBuffer(0, 0, ROOM);
      if (batch.receive(fd, 0, 1) !== 1) return taken;
      taken.push(batch.slab.bytes.slice(0, batch.length(0)));
    }
  }

  #give({ site, fd }: End, datagrams: readonly Uint8Array[]): void {
    const batch = this.#batch;
    const family = familyOf(site.address) === 4 ? AF_INET : AF_INET6;
    for (const datagram of datagrams) {
      batch.slab.bytes.set(datagram);
      batch.setBuffer(0, 0, datagram.length);
      batch.setPeer(0, family, addressBytes(site.address), 0, site.udp.port);
      if (batch.send(fd, 0, 1) !== 1) throw new Error("the wire does not take a datagram");
    }
    settle(site);
  }
}

const open = (site: MemorySite): End => {
  const fd = openSocket(site.address, SOCK_DGRAM, 0, "wire");
  enlargeBuffers(fd);
  bindTo(fd, { address: site.address, port: 0 }, "wire");
  return { site, fd, endpoint: boundEndpoint(fd) };
};
