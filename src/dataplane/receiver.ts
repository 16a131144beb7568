// HOT PATH
/**
 * Receives ESP from a worker's sockets: one recvmmsg(2) takes many datagrams or trains of datagrams (UDP_GRO), and trains
 * are cut into ESP packets where they lie. Each ESP packet is one packet for verdicts and counters, however it came.
 */
import { MsgBatch } from "../linux/msg-batch.ts";
import { AF_INET } from "../linux/sockaddr.ts";
import { receivedTos, TOS_CONTROL_ROOM } from "../linux/tos.ts";
import { GRO_CONTROL_ROOM, segmentSize } from "../linux/udp-gro.ts";
import { type Arena, RECEIVED } from "./arena.ts";
import type { InboundBatch } from "./inbound.ts";

/** What a socket carries; a raw IPv4 socket shows the outer header. */
export const SocketKind = { UDP: 0, RAW_IPV4: 1, RAW_IPV6: 2 } as const;

/** Trains in one call: as much as the second-level cache holds from the socket to the TUN. */
const FEW = 8;

const CONTROL_ROOM = GRO_CONTROL_ROOM + TOS_CONTROL_ROOM;

export class Receiver {
  readonly #arena: Arena;
  readonly #datagrams: MsgBatch;
  /** How many to ask for: trains are few and long; of single datagrams as many as came, since each place has its price. */
  #ask: number;
  readonly #few: number;
  readonly #most: number;
  #kind = 0;
  /** Datagrams received, the one that is being cut, and how much of it has been. */
  #count = 0;
  #next = 0;
  #cut = 0;
  /** The datagram of the first packet that was taken last. */
  #first = 0;

  /** `batch`: packets that the batches hold which it fills. */
  constructor(arena: Arena, batch: number) {
    this.#arena = arena;
    this.#most = Math.min(RECEIVED, batch);
    this.#few = Math.min(FEW, batch);
    this.#ask = this.#few;
    this.#datagrams = new MsgBatch({ slab: arena.memory, capacity: RECEIVED, controlRoom: CONTROL_ROOM });
    for (let i = 0; i < RECEIVED; i++) this.#datagrams.setBuffer(i, arena.inboundAt(i), arena.inboundRoom);
  }

  /** Where `InboundBatch` finds sources. */
  get sources(): Uint8Array {
    return this.#datagrams.bytes;
  }

  /** Octets of an address on this raw socket, and where in `sources` that of packet `n` lies: no datagram there is a train. */
  get rawOctets(): number {
    return this.#kind === SocketKind.RAW_IPV4 ? 4 : 16;
  }

  rawSourceAt(n: number): number {
    return this.#datagrams.peerAddressAt(this.#first + n);
  }

  /** Receive what waits in a socket. Returns how many datagrams came, or -errno. Then `take` until it returns 0. */
  receive(fd: number, kind: number): number {
    const count = this.#datagrams.receive(fd, 0, this.#ask);
    this.#kind = kind;
    this.#count = Math.max(count, 0);
    this.#next = 0;
    this.#cut = 0;
    if (count > 0) this.#ask = this.#expect(count);
    return count;
  }

  #expect(count: number): number {
    if (segmentSize(this.#datagrams, 0) > 0) return this.#few;
    if (count === this.#ask) return Math.min(this.#most, count * 2);
    return count < this.#ask >> 2 ? Math.max(this.#few, this.#ask >> 1) : this.#ask;
  }

  /** Fill the batch with the next packets; a train is not divided unless it alone is too long. Returns how many. */
  take(batch: InboundBatch): number {
    const datagrams = this.#datagrams;
    const capacity = batch.at.length;
    this.#first = this.#next;
    let n = 0;
    while (this.#next < this.#count) {
      const i = this.#next;
      const length = datagrams.length(i);
      const told = segmentSize(datagrams, i);
      const size = told > 0 && told < length ? told : length;
      const tos = this.#tos(i);
      let from = this.#cut;
      if (from === 0 && n > 0 && n * size + length > capacity * size) break; // in whole numbers
      do {
        if (n === capacity) break;
        const some = Math.min(size, length - from);
        batch.outerTos[n] = tos;
        this.#put(batch, n++, i, from, some);
        from += some;
      } while (from < length);
      if (from < length) {
        this.#cut = from;
        break;
      }
      this.#cut = 0;
      this.#next++;
    }
    batch.count = n;
    return n;
  }

  /** Of a datagram, or of all in a train. */
  #tos(i: number): number {
    if (this.#kind === SocketKind.RAW_IPV4) return this.#arena.slab[this.#arena.inboundAt(i) + 1]!;
    return receivedTos(this.#datagrams, i);
  }

  #put(batch: InboundBatch, n: number, i: number, from: number, length: number): void {
    const datagrams = this.#datagrams;
    const at = this.#arena.inboundAt(i) + from;
    const header = this.#kind === SocketKind.RAW_IPV4 ? (this.#arena.slab[at]! & 15) * 4 : 0;
    batch.at[n] = at + header;
    batch.length[n] = Math.max(length - header, 0);
    batch.truncated[n] = datagrams.isTruncated(i) ? 1 : 0;
    batch.sourceLength[n] = 0;
    if (this.#kind !== SocketKind.UDP) return;
    batch.sourceAt[n] = datagrams.peerAddressAt(i);
    batch.sourceLength[n] = datagrams.peerFamily(i) === AF_INET ? 4 : 16;
    batch.sourcePort[n] = datagrams.peerPort(i);
  }
}
