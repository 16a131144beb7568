/**
 * Packets on the ways that a lone worker does not have, or a plain packet does not take: a plane of two workers in this thread
 * that sends to itself over the loopback interface. What is written to the first worker's queue is of an SA of the second's;
 * the sockets are exchanged, so that what comes in for the one is received by the other: each packet is handed over twice.
 */
import { randomBytes } from "node:crypto";
import type { EngineName } from "../src/crypto/engine.ts";
import type { Suite } from "../src/crypto/suites.ts";
import { Plane } from "../src/dataplane/plane.ts";
import { writeIpv4Checksum, writeU16 } from "../src/ipsec/checksum.ts";
import { ANY_SIZE, type SaSize } from "../src/ipsec/sad.ts";
import { anySelectors } from "../src/ipsec/selector.ts";
import { VIRTIO_NET_HDR } from "../src/linux/abi.ts";
import * as libc from "../src/linux/libc.ts";
import { openBypass } from "../src/linux/marked-socket.ts";
import { Memory } from "../src/linux/memory.ts";
import { MsgBatch } from "../src/linux/msg-batch.ts";
import { openRawEsp } from "../src/linux/raw-esp.ts";
import { AF_INET } from "../src/linux/sockaddr.ts";
import { openSocketPair } from "../src/linux/socket-pair.ts";
import { closeUdpGroup, openUdpGroup } from "../src/linux/udp.ts";

const WORKERS = 2;
const SLOTS = 64;
const SLOT_BITS = 6;
/** Packets at once: as many as a queue in memory takes. */
const BURST = 8;
const LONGEST = 2048;
const HEADER = 20;
const MORE_FRAGMENTS = 0x2000;
const DF = 0x4000;
/** Of the socket for what bypasses: no route heeds it. */
const MARK = 1;
const UDP = 17;

interface Way {
  /** Octets of each packet; of those that are fragments, how many make one datagram. */
  readonly length: number;
  readonly fragments?: number;
  readonly df?: boolean;
  readonly encap: boolean;
  readonly transport?: boolean;
  readonly size?: Partial<SaSize>;
  /** Packets that are delivered for each; default 1. */
  readonly pieces?: number;
  /** As what a worker counts it that is not delivered; answers to what is too big are few. */
  readonly counted?: "dummy" | "no-sa" | "mtu-exceeded" | "bypass";
}

export const WAYS = {
  handoff: { length: 300, encap: true },
  "handoff, long packets": { length: 1400, encap: true },
  "handoff, raw socket": { length: 400, encap: false },
  "handoff, fragmented": { length: 481, encap: true, size: { mtu: 400 }, pieces: 2 },
  "handoff, padded": { length: 301, encap: true, size: { tfc: 320 } },
  "handoff, datagrams from fragments": { length: 220, fragments: 2, encap: false, transport: true, pieces: 0.5 },
  "handoff, dummies": { length: 301, encap: true, counted: "dummy" },
  "handoff, strays": { length: 301, encap: true, counted: "no-sa" },
  "handoff, too big": { length: 481, encap: true, df: true, size: { mtu: 400 }, counted: "mtu-exceeded" },
  bypass: { length: 300, encap: true, counted: "bypass" },
} as const satisfies Record<string, Way>;
export type WayName = keyof typeof WAYS;

/** Behind its virtio_net_hdr a UDP packet, or fragment `part` of `fragments` of one, between hosts of one address. */
const packetOf = ({ length, fragments = 1, df = false }: Way, host: readonly number[], part: number): Uint8Array => {
  const at = VIRTIO_NET_HDR.size;
  const packet = new Uint8Array(at + length);
  packet[at] = 0x45;
  writeU16(packet, at + 2, length);
  writeU16(packet, at + 4, 7);
  const more = part < fragments - 1 ? MORE_FRAGMENTS : 0;
  writeU16(packet, at + 6, (df ? DF : 0) | more | ((part * (length - HEADER)) / 8));
  packet[at + 8] = 64;
  packet[at + 9] = UDP;
  packet.set(host, at + 12);
  packet.set(host, at + 16);
  writeIpv4Checksum(packet, at, HEADER);
  return packet;
};

export class PlaneLoad {
  readonly #way: Way;
  readonly #plane: Plane;
  readonly #tunnel: number;
  readonly #close: () => void;
  /** What the workers take for a TUN device: our ends. */
  readonly #hosts: readonly number[];
  readonly #given: readonly Memory[];
  readonly #taken = Memory.allocate(LONGEST * 2);
  readonly #outside: MsgBatch;
  readonly #outsideFd: number;
  #sent = 0;
  #delivered = 0;

  private constructor(way: Way, plane: Plane, engineSuite: Suite) {
    const address = `127.${randomBytes(3).join(".")}`;
    const group = openUdpGroup({ address, port: 0, workers: WORKERS, slotBits: SLOT_BITS });
    const outside = openUdpGroup({ address, port: 0, workers: 1, slotBits: SLOT_BITS });
    const raw = [0, 1].map((worker) => openRawEsp({ address, worker, workers: WORKERS, slotBits: SLOT_BITS }));
    const queues = [openSocketPair(), openSocketPair()];
    plane.addSockets({ address, udp: group.workers.toReversed(), raw: raw.toReversed() });
    this.#way = way;
    this.#plane = plane;
    this.#hosts = queues.map(([host]) => host);
    const bypass = openBypass(4, MARK);
    const hasChildren = way.counted === "bypass";
    this.#tunnel = plane.addTunnel({
      tunFds: queues.map(([, tun]) => tun),
      vnetHdr: true,
      worker: 1,
      hasChildren,
      bypass: { ipv4: bypass, ipv6: -1 },
    });
    if (hasChildren) plane.setPolicies(this.#tunnel, [{ action: "bypass", local: anySelectors, remote: anySelectors }]);
    const end = { address, port: group.port };
    const spi = plane.reserveSpi(this.#tunnel);
    const key = randomBytes(engineSuite.keyLength);
    plane.install(this.#tunnel, {
      spiIn: spi,
      spiOut: spi,
      suite: engineSuite,
      esn: true,
      keyIn: key,
      keyOut: key,
      local: anySelectors,
      remote: anySelectors,
      mode: way.transport === true ? "transport" : "tunnel",
      encap: way.encap,
      path: { local: end, remote: end },
      size: { ...ANY_SIZE, ...way.size },
    });
    plane.use(spi);
    const host = address.split(".").map(Number);
    const packets = Array.from({ length: way.fragments ?? 1 }, (_, part) => packetOf(way, host, part));
    this.#given = packets.map((packet) => {
      const memory = Memory.allocate(packet.length);
      memory.bytes.set(packet);
      return memory;
    });
    this.#outside = new MsgBatch({ slab: Memory.allocate(LONGEST), capacity: BURST });
    this.#outsideFd = outside.workers[0]!;
    for (let i = 0; i < BURST; i++) {
      this.#outside.slab.view.setUint32(0, 0x12340000); // the first worker's slot 0, and nobody's SPI
      this.#outside.setBuffer(i, 0, way.length);
      this.#outside.setPeer(i, AF_INET, Uint8Array.from(host), 0, group.port);
    }
    this.#close = () => {
      closeUdpGroup(group);
      closeUdpGroup(outside);
      for (const fd of [bypass, ...raw, ...queues.flat()]) libc.close(fd);
    };
  }

  static async start(name: WayName, engine: EngineName, suite: Suite): Promise<PlaneLoad> {
    const plane = await Plane.start({ workers: WORKERS, slots: SLOTS, engine, inThread: true });
    return new PlaneLoad(WAYS[name], plane, suite);
  }

  /** Carry so many packets. */
  loop(packets: number): void {
    for (let done = 0; done < packets; done += BURST) {
      this.#give();
      while (this.#plane.step() > 0) this.#take();
      this.#take();
    }
    this.#sent += packets;
  }

  /** Packets that did not arrive. */
  dropped(): number {
    const { counted, pieces = 1 } = this.#way;
    if (counted === undefined) return this.#sent - this.#delivered / pieces;
    const { in: inbound, out } = this.#plane.totals();
    return this.#sent - (inbound.drops[counted] ?? out.drops[counted] ?? 0);
  }

  async close(): Promise<void> {
    await this.#plane.stop();
    this.#close();
  }

  #give(): void {
    const { counted, length } = this.#way;
    if (counted === "no-sa") this.#outside.send(this.#outsideFd, 0, BURST);
    for (let n = 0; n < BURST; n++) {
      const packet = this.#given[n % this.#given.length]!;
      if (counted === "dummy") this.#plane.sendDummy(this.#tunnel, length);
      else if (counted !== "no-sa") libc.write(this.#hosts[0]!, packet, 0, packet.size);
    }
  }

  #take(): void {
    const taken = this.#taken;
    for (let queue = 0; queue < WORKERS; queue++)
      while (libc.read(this.#hosts[queue]!, taken, 0, taken.size) > 0) this.#delivered++;
  }
}
