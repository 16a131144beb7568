// HOT PATH
/**
 * Reads packets from TUN devices into the outbound area, and cuts super-packets into the packets they stand for.
 *
 * A super-packet is read as it will be cut: readv(2) leaves a gap before each piece for the headers of its segment, so no
 * payload is copied. That takes knowing the sizes before, and they are those of the device's last super-packet:
 *
 *   | head | IP TCP payload ... | gap, IP TCP | payload ... | gap, IP TCP | payload ... |      | what is left |
 *     ^ virtio_net_hdr            ^ piece 1                   ^ piece 2                           ^ the park
 *
 * When they are not, or when the batch has no room for all segments, the pieces are put together in the park and the
 * segments copied out of there, over as many batches as it takes.
 *
 * A tunnel whose packets come singly is read as a whole, with read(2), or many packets at a time where the system allows it
 * (ReadAhead): there are no pieces then.
 */

import { Verdict } from "../ipsec/verdict.ts";
import { VIRTIO_NET_HDR } from "../linux/abi.ts";
import { ERRNO } from "../linux/errno.ts";
import type { IoUring } from "../linux/io-uring.ts";
import { IoVectors } from "../linux/io-vectors.ts";
import * as libc from "../linux/libc.ts";
import { type Arena, MAX_BATCH, MAX_PACKET, OUTBOUND_AREA, outboundRoom, PARK } from "./arena.ts";
import type { OutboundBatch } from "./outbound.ts";
import type { PlaneMemory } from "./plane-memory.ts";
import { ReadAhead } from "./read-ahead.ts";
import { MAX_HEADERS, Segmenter, Wish } from "./segment.ts";
import { MAX_TUNNELS } from "./tunnel-table.ts";

/** Sizes are not foreseen when the first piece would be shorter than this. */
const LEAST_PIECE = MAX_HEADERS;
const LONGEST = 65_536;
/** After so many single packets no super-packet is expected. */
const PATIENCE = 16;
/** Octets of the outbound area for a packet that may turn out to be one. */
const WHOLE = outboundRoom(LONGEST);

export class TunReader {
  readonly #arena: Arena;
  readonly #slab: Uint8Array;
  readonly #tables: PlaneMemory;
  readonly #iovecs: IoVectors;
  readonly #segmenter: Segmenter;
  /** By tunnel: the sizes of its last super-packet, 0 before the first, and single packets until no other is expected. */
  readonly #headers = new Uint16Array(MAX_TUNNELS);
  readonly #sizes = new Uint16Array(MAX_TUNNELS);
  readonly #expected = new Uint8Array(MAX_TUNNELS);
  /** Octets of the outbound area that the batch has taken. */
  #used = 0;

  // Where the last packet was read to: pieces of `size` octets from `start` on, the first with `headers` more.
  #start = -1;
  #header = 0;
  #size = 0;
  #pieces = 0;
  #spacing = 0;
  /** The iovecs are prepared for that. */
  #laid = false;

  /** Next segment of the super-packet in the park, or -1; where that park is. */
  #parked = -1;
  #parkedAt = 0;
  readonly #ahead: ReadAhead | undefined;
  /** The tunnel read from last, the pair that carries what leaves it, and its counters. */
  #tunnel = -1;
  #slot = -1;
  #block = 0;

  /** `ring`: this thread's, and the arena has slots for its entries. */
  constructor(arena: Arena, tables: PlaneMemory, ring?: IoUring) {
    this.#ahead = ring === undefined ? undefined : new ReadAhead(ring, arena);
    this.#arena = arena;
    this.#slab = arena.slab;
    this.#tables = tables;
    this.#iovecs = new IoVectors(arena.memory, MAX_BATCH + 1);
    this.#segmenter = new Segmenter(arena.slab, arena.sum);
  }

  /** Begin an empty batch. */
  clear(batch: OutboundBatch): void {
    batch.count = 0;
    this.#used = 0;
    this.#ahead?.release();
  }

  /** The rest of what was read waits for the next batch: call `resume` once that is clear, before any `read`. */
  get pending(): boolean {
    return this.#parked >= 0 || this.#ahead?.pending === true;
  }

  /** There is room for what the tunnel is likely to give. */
  hasRoom(tunnel: number, batch: OutboundBatch): boolean {
    const free = batch.capacity - batch.count;
    if (this.#ahead?.suits(tunnel)) return free > 0 && this.#ahead.hasRoom && this.#used + WHOLE <= OUTBOUND_AREA;
    if (!this.#foresees(tunnel)) return free > 0 && this.#used + WHOLE <= OUTBOUND_AREA;
    const size = this.#sizes[tunnel]!;
    const segments = Math.min(Math.ceil(LONGEST / size), batch.capacity);
    return segments <= free && this.#used + segments * outboundRoom(this.#headers[tunnel]! + size) <= OUTBOUND_AREA;
  }

  /**
   * Append one packet of `fd`, or the segments of one super-packet, or as many packets as there are. Returns its octets, 0
   * for several, or -errno of a packet that did not come (-EAGAIN: no more); packets before that one are appended. `lone`:
   * no more than one is there, probably.
   */
  read(fd: number, tunnel: number, batch: OutboundBatch, lone = false): number {
    const header = this.#tables.tunnels.vnetHdr(tunnel) ? VIRTIO_NET_HDR.size : 0;
    this.#enter(tunnel);
    if (!lone && this.#ahead?.suits(tunnel)) {
      const result = this.#ahead.read(fd, tunnel, header, batch.capacity - batch.count);
      this.#takeAhead(this.#ahead, batch);
      return result;
    }
    const result = this.#foresees(tunnel)
      ? this.#readPieces(fd, header, tunnel, batch.capacity - batch.count)
      : this.#readWhole(fd, header);
    if (result === -ERRNO.EINVAL && header > 0) {
      this.#refuse(batch, 0, Verdict.OFFLOAD); // the kernel has no header for what it is, and has dropped it
      return 0;
    }
    if (result < 0) return result;
    const length = result - header;
    if (length < 0) this.#refuse(batch, 0, Verdict.BAD_INNER);
    else if (header === 0) {
      this.#ahead?.note(tunnel, false);
      this.#single(batch, length, Verdict.PASS);
    } else this.#judge(batch, tunnel, length);
    return result;
  }

  /** A super-packet is expected, and how it will be cut. */
  #foresees(tunnel: number): boolean {
    return this.#expected[tunnel]! > 0 && this.#headers[tunnel]! + this.#sizes[tunnel]! >= LEAST_PIECE;
  }

  /** Append more of what was read: segments of the super-packet in the park, then packets read ahead. */
  resume(batch: OutboundBatch): void {
    this.#enter(this.#tunnel);
    if (this.#parked >= 0) this.#cutParked(batch);
    if (this.#ahead !== undefined) this.#takeAhead(this.#ahead, batch);
  }

  #cutParked(batch: OutboundBatch): void {
    const segmenter = this.#segmenter;
    const { headerLength, segmentSize, count } = segmenter;
    const room = outboundRoom(headerLength + segmentSize);
    while (this.#parked < count && batch.count < batch.capacity && this.#used + room <= OUTBOUND_AREA) {
      const k = this.#parked++;
      const at = this.#arena.packetAt(this.#used);
      const from = this.#parkedAt + headerLength + k * segmentSize;
      this.#slab.copyWithin(at + headerLength, from, from + segmenter.length(k) - headerLength);
      this.#append(batch, at, segmenter.write(k, at), Verdict.PASS);
      this.#used += room;
    }
    if (this.#parked === count) this.#parked = -1;
  }

  #enter(tunnel: number): void {
    this.#tunnel = tunnel;
    this.#slot = this.#tables.tunnels.current(tunnel);
    this.#block = this.#tables.blocks.tunnelOwn(tunnel);
  }

  #judge(batch: OutboundBatch, tunnel: number, length: number): void {
    const segmenter = this.#segmenter;
    const at = this.#arena.packetAt(this.#start);
    const virtioAt = at - VIRTIO_NET_HDR.size;
    const wish = segmenter.wish(virtioAt);
    if (this.#expected[tunnel]! > 0) this.#expected[tunnel] = this.#expected[tunnel]! - 1;
    this.#ahead?.note(tunnel, wish === Wish.SEGMENTS);
    if (wish === Wish.NOTHING || wish === Wish.CHECKSUM) {
      this.#gather(at, Math.min(length, MAX_PACKET));
      const done = wish === Wish.NOTHING || length > MAX_PACKET || segmenter.complete(virtioAt, at, length);
      this.#single(batch, length, done ? Verdict.PASS : Verdict.OFFLOAD);
    } else if (wish === Wish.SEGMENTS && segmenter.begin(virtioAt, at, length)) this.#cut(batch, tunnel, length);
    else this.#refuse(batch, length, Verdict.OFFLOAD);
  }

  #cut(batch: OutboundBatch, tunnel: number, length: number): void {
    const segmenter = this.#segmenter;
    const { headerLength, segmentSize, count } = segmenter;
    if (headerLength + segmentSize > MAX_PACKET) {
      this.#refuse(batch, length, Verdict.TOO_BIG);
      return;
    }
    this.#headers[tunnel] = headerLength;
    this.#sizes[tunnel] = segmentSize;
    this.#expected[tunnel] = PATIENCE;
    if (headerLength !== this.#header || segmentSize !== this.#size || count > this.#pieces) {
      this.#gather(this.#arena.parkAt, length);
      this.#park(batch, this.#arena.parkAt);
      return;
    }
    for (let k = 0; k < count; k++) {
      const at = this.#arena.packetAt(this.#used);
      this.#append(batch, at, segmenter.write(k, at), Verdict.PASS);
      this.#used += this.#spacing;
    }
  }

  /** Cut the super-packet that the segmenter has taken up and that lies at `at`. */
  #park(batch: OutboundBatch, at: number): void {
    this.#parkedAt = at;
    this.#parked = 0;
    this.#cutParked(batch);
  }

  /** Packets lie in their slots, behind their headers, and stay there until they are sent. */
  #takeAhead(ahead: ReadAhead, batch: OutboundBatch): void {
    const tunnel = this.#tunnel;
    const header = this.#tables.tunnels.vnetHdr(tunnel) ? VIRTIO_NET_HDR.size : 0;
    while (this.#parked < 0 && batch.count < batch.capacity) {
      const slot = ahead.take();
      if (slot < 0) return;
      const at = this.#arena.slotAt(slot);
      const length = ahead.result[slot]! - header;
      if (ahead.result[slot] === -ERRNO.EINVAL) this.#append(batch, at, 0, Verdict.OFFLOAD);
      else if (length < 0) this.#append(batch, at, 0, Verdict.BAD_INNER);
      else if (header === 0) this.#append(batch, at, length, Verdict.PASS);
      else this.#judgeAhead(ahead, batch, at, length);
    }
  }

  #judgeAhead(ahead: ReadAhead, batch: OutboundBatch, at: number, length: number): void {
    const segmenter = this.#segmenter;
    const virtioAt = at - VIRTIO_NET_HDR.size;
    const wish = segmenter.wish(virtioAt);
    const isSuper = wish === Wish.SEGMENTS;
    ahead.note(this.#tunnel, isSuper);
    if (wish === Wish.NOTHING) this.#append(batch, at, length, Verdict.PASS);
    else if (wish === Wish.CHECKSUM) {
      const done = length > MAX_PACKET || segmenter.complete(virtioAt, at, length);
      this.#append(batch, at, length, done ? Verdict.PASS : Verdict.OFFLOAD);
    } else if (!isSuper || !segmenter.begin(virtioAt, at, length)) this.#append(batch, at, length, Verdict.OFFLOAD);
    else if (segmenter.headerLength + segmenter.segmentSize > MAX_PACKET)
      this.#append(batch, at, length, Verdict.TOO_BIG);
    else this.#park(batch, at);
  }

  /** A packet as it was read. A longer one than a buffer takes is judged by its length alone. */
  #single(batch: OutboundBatch, length: number, refused: number): void {
    this.#append(batch, this.#arena.packetAt(this.#start), length, refused);
    this.#used += outboundRoom(Math.min(length, MAX_PACKET));
  }

  #refuse(batch: OutboundBatch, length: number, reason: number): void {
    this.#append(batch, this.#arena.packetAt(this.#start), length, reason);
  }

  #append(batch: OutboundBatch, at: number, length: number, refused: number): void {
    const n = batch.count++;
    batch.at[n] = at;
    batch.length[n] = length;
    batch.slot[n] = this.#slot;
    batch.tunnelBlock[n] = this.#block;
    batch.refused[n] = refused;
  }

  #readWhole(fd: number, header: number): number {
    this.#start = this.#used;
    this.#header = 0;
    this.#size = LONGEST;
    this.#pieces = 1;
    this.#laid = false;
    return libc.read(fd, this.#arena.memory, this.#arena.packetAt(this.#used) - header, header + LONGEST);
  }

  #readPieces(fd: number, header: number, tunnel: number, free: number): number {
    const headers = this.#headers[tunnel]!;
    const size = this.#sizes[tunnel]!;
    const spacing = outboundRoom(headers + size);
    const most = Math.min(free, Math.floor((OUTBOUND_AREA - this.#used) / spacing));
    const pieces = Math.max(1, Math.min(Math.ceil(LONGEST / size), most));
    const isSame =
      this.#start === this.#used && this.#header === headers && this.#size === size && this.#pieces === pieces;
    if (!this.#laid || !isSame) this.#lay(header, headers, size, pieces, spacing);
    return this.#iovecs.read(fd, 0, pieces + 1);
  }

  #lay(header: number, headers: number, size: number, pieces: number, spacing: number): void {
    const iovecs = this.#iovecs;
    this.#start = this.#used;
    this.#header = headers;
    this.#size = size;
    this.#pieces = pieces;
    this.#spacing = spacing;
    this.#laid = true;
    iovecs.set(0, this.#arena.packetAt(this.#start) - header, header + headers + size);
    for (let k = 1; k < pieces; k++) iovecs.set(k, this.#pieceAt(k), size);
    const parked = headers + pieces * size;
    iovecs.set(pieces, this.#arena.parkAt + parked, Math.max(PARK - parked, 0));
  }

  /** Where piece `k` was read to. */
  #pieceAt(k: number): number {
    const at = this.#arena.packetAt(this.#start + k * this.#spacing);
    return k === 0 ? at : at + this.#header;
  }

  /** Once: put the first `length` octets of what was read together at `to`, where the first piece is, or in the park. */
  #gather(to: number, length: number): void {
    const slab = this.#slab;
    const first = this.#header + this.#size;
    const { parkAt } = this.#arena;
    const at = this.#pieceAt(0);
    if (to !== at) slab.copyWithin(to, at, at + Math.min(first, length));
    let done = first;
    for (let k = 1; k < this.#pieces && done < length; k++) {
      const from = this.#pieceAt(k);
      slab.copyWithin(to + done, from, from + Math.min(this.#size, length - done));
      done += this.#size;
    }
    if (done < length && to !== parkAt) slab.copyWithin(to + done, parkAt + done, parkAt + length);
  }
}
