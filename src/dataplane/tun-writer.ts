// HOT PATH
/**
 * Delivers decrypted packets to the TUN interfaces of their tunnels: one write(2) a packet, or where the interface takes a
 * virtio_net_hdr, one writev(2) for a group of segments of one flow. Where the system allows it, one call for many of them
 * (io_uring).
 */

import { Verdict } from "../ipsec/verdict.ts";
import { VIRTIO_NET_HDR } from "../linux/abi.ts";
import { ERRNO, isPassing } from "../linux/errno.ts";
import { type IoUring, RING_ENTRIES } from "../linux/io-uring.ts";
import { IoVectors } from "../linux/io-vectors.ts";
import * as libc from "../linux/libc.ts";
import type { Memory } from "../linux/memory.ts";
import { MAX_BATCH } from "./arena.ts";
import { Coalescer } from "./coalesce.ts";
import { DatagramGroups } from "./datagram-groups.ts";
import type { InboundBatch } from "./inbound.ts";
import type { PlaneMemory } from "./plane-memory.ts";
import type { SlabSum } from "./slab-sum.ts";

export class TunWriter {
  readonly #tables: PlaneMemory;
  readonly #worker: number;
  readonly #memory: Memory;
  readonly #pieces: IoVectors;
  readonly #groups: Coalescer;
  readonly #ring: IoUring | undefined;
  /** By operation of the ring: its group, and the octets that should be written. */
  readonly #group = new Int32Array(RING_ENTRIES);
  readonly #octets = new Int32Array(RING_ENTRIES);
  /** Of a group of several: its first piece. */
  readonly #from = new Int32Array(RING_ENTRIES);
  /** Pieces that groups have taken since they were last written. */
  #taken = 0;
  readonly #datagrams = new DatagramGroups();

  /** `ring`: this thread's. */
  constructor(slab: Memory, tables: PlaneMemory, worker: number, sum?: SlabSum, ring?: IoUring) {
    this.#tables = tables;
    this.#worker = worker;
    this.#memory = slab;
    this.#pieces = new IoVectors(slab, MAX_BATCH);
    this.#groups = new Coalescer(slab.bytes, MAX_BATCH, sum);
    this.#ring = ring;
  }

  /**
   * Write what passed, in its order; packets that the interface does not take get the verdict TUN_ERROR. Where the kernel
   * has no memory for one, a second try is all there is: whoever waits for memory holds up every flow.
   */
  write(batch: InboundBatch): void {
    const { sad, tunnels } = this.#tables;
    const groups = this.#groups;
    groups.clear();
    const datagrams = this.#datagrams.begin();
    for (let n = 0; n < batch.count; n++) {
      if (batch.verdict[n] !== Verdict.PASS) continue;
      const tunnel = sad.tunnel(batch.slot[n]!);
      if (tunnels.vnetHdr(tunnel)) groups.add(batch, n, tunnel, datagrams);
      else groups.addAlone(batch, n);
    }
    const ring = groups.count > 1 ? this.#ring : undefined;
    for (let group = 0; group < groups.count; group++) {
      if (ring?.isFull) this.#run(batch, ring);
      const tunnel = sad.tunnel(batch.slot[groups.first[group]!]!);
      const fd = tunnels.fd(tunnel);
      const header = tunnels.vnetHdr(tunnel) ? VIRTIO_NET_HDR.size : 0;
      if (groups.segments[group] === 1) this.#writeOne(batch, group, fd, header, ring);
      else this.#writeGroup(batch, group, fd, ring);
    }
    if (ring !== undefined) this.#run(batch, ring);
    this.#taken = 0;
  }

  /** The header is empty: the packet goes as it is. It lies over the ESP header and IV, which are 16 octets at least. */
  #writeOne(batch: InboundBatch, group: number, fd: number, header: number, ring: IoUring | undefined): void {
    const n = this.#groups.first[group]!;
    const at = batch.innerAt[n]! - header;
    const length = batch.innerLength[n]! + header;
    const slab = this.#memory.bytes;
    for (let i = 0; i < header; i++) slab[at + i] = 0;
    if (ring === undefined) this.#judge(batch, group, 0, length, libc.write(fd, this.#memory, at, length), true);
    else {
      this.#expect(ring.count, group, 0, length);
      ring.write(fd, this.#memory, at, length);
    }
  }

  #writeGroup(batch: InboundBatch, group: number, fd: number, ring: IoUring | undefined): void {
    const groups = this.#groups;
    const pieces = this.#pieces;
    groups.seal(batch, group);
    const first = groups.first[group]!;
    let length = batch.innerLength[first]! + VIRTIO_NET_HDR.size;
    const from = this.#taken;
    pieces.set(this.#taken++, batch.innerAt[first]! - VIRTIO_NET_HDR.size, length);
    for (let n = groups.next[first]!; n >= 0; n = groups.next[n]!) {
      const headers = groups.headers[n]!;
      const payload = batch.innerLength[n]! - headers;
      pieces.set(this.#taken++, batch.innerAt[n]! + headers, payload);
      length += payload;
    }
    if (ring === undefined) this.#judge(batch, group, from, length, pieces.write(fd, from, this.#taken - from), true);
    else {
      this.#expect(ring.count, group, from, length);
      ring.writePieces(fd, pieces, from, this.#taken - from);
    }
  }

  #expect(operation: number, group: number, from: number, octets: number): void {
    this.#group[operation] = group;
    this.#from[operation] = from;
    this.#octets[operation] = octets;
  }

  #run(batch: InboundBatch, ring: IoUring): void {
    const { count, result } = ring;
    ring.run();
    // What was refused before one that was written is not tried again: it would come after that, which may be of its flow.
    let last = count - 1;
    while (last >= 0 && result[last]! < 0) last--;
    for (let i = 0; i < count; i++)
      this.#judge(batch, this.#group[i]!, this.#from[i]!, this.#octets[i]!, result[i]!, i > last);
  }

  /** `isLast`: nothing has been written after it. */
  #judge(batch: InboundBatch, group: number, from: number, octets: number, first: number, isLast: boolean): void {
    const written = isLast && isPassing(first) ? this.#writeAgain(batch, group, from, octets) : first;
    const groups = this.#groups;
    const isDatagrams = groups.segments[group]! > 1 && groups.isDatagrams(batch, group);
    if (written === octets) {
      if (isDatagrams) this.#datagrams.taken();
      return;
    }
    if (isDatagrams && written === -ERRNO.EINVAL) this.#datagrams.refused();
    const tunnel = this.#tables.sad.tunnel(batch.slot[groups.first[group]!]!);
    this.#tables.board.refusedByTun(this.#worker, tunnel, written);
    for (let n = groups.first[group]!; n >= 0; n = groups.next[n]!) batch.verdict[n] = Verdict.TUN_ERROR;
  }

  /** A group that the kernel had no room for at first. */
  #writeAgain(batch: InboundBatch, group: number, from: number, octets: number): number {
    const { sad, tunnels } = this.#tables;
    const n = this.#groups.first[group]!;
    const fd = tunnels.fd(sad.tunnel(batch.slot[n]!));
    const pieces = this.#groups.segments[group]!;
    if (pieces > 1) return this.#pieces.write(fd, from, pieces);
    const header = octets - batch.innerLength[n]!;
    return libc.write(fd, this.#memory, batch.innerAt[n]! - header, octets);
  }
}
