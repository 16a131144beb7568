// HOT PATH
/**
 * Delivers decrypted packets to the TUN interfaces of their tunnels: one write(2) a packet, or where the interface takes a
 * virtio_net_hdr, one writev(2) for a group of segments of one flow.
 */

import { Verdict } from "../ipsec/verdict.ts";
import { VIRTIO_NET_HDR } from "../linux/abi.ts";
import { ERRNO } from "../linux/errno.ts";
import { IoVectors } from "../linux/io-vectors.ts";
import * as libc from "../linux/libc.ts";
import type { Memory } from "../linux/memory.ts";
import { INBOUND_BATCH } from "./arena.ts";
import { Coalescer } from "./coalesce.ts";
import type { InboundBatch } from "./inbound.ts";
import type { PlaneMemory } from "./plane-memory.ts";
import type { SlabSum } from "./slab-sum.ts";

export class TunWriter {
  readonly #tables: PlaneMemory;
  readonly #memory: Memory;
  readonly #pieces: IoVectors;
  readonly #groups: Coalescer;
  /** Kernels before 6.2 refuse groups of datagrams: the first one refused is the last one made. */
  #datagrams = true;

  constructor(slab: Memory, tables: PlaneMemory, sum?: SlabSum) {
    this.#tables = tables;
    this.#memory = slab;
    this.#pieces = new IoVectors(slab, INBOUND_BATCH);
    this.#groups = new Coalescer(slab.bytes, INBOUND_BATCH, sum);
  }

  /** Write what passed; packets that the interface does not take get the verdict TUN_ERROR. */
  write(batch: InboundBatch): void {
    const { sad, tunnels } = this.#tables;
    const groups = this.#groups;
    groups.clear();
    for (let n = 0; n < batch.count; n++) {
      if (batch.verdict[n] !== Verdict.PASS) continue;
      const tunnel = sad.tunnel(batch.slot[n]!);
      if (tunnels.vnetHdr(tunnel)) groups.add(batch, n, tunnel, this.#datagrams);
      else groups.addAlone(batch, n);
    }
    for (let group = 0; group < groups.count; group++) {
      const tunnel = sad.tunnel(batch.slot[groups.first[group]!]!);
      const fd = tunnels.fd(tunnel);
      const header = tunnels.vnetHdr(tunnel) ? VIRTIO_NET_HDR.size : 0;
      const isWritten =
        groups.segments[group] === 1
          ? this.#writeOne(batch, groups.first[group]!, fd, header)
          : this.#writeGroup(batch, group, fd);
      if (!isWritten)
        for (let n = groups.first[group]!; n >= 0; n = groups.next[n]!) batch.verdict[n] = Verdict.TUN_ERROR;
    }
  }

  /** The header is empty: the packet goes as it is. It lies over the ESP header and IV, which are 16 octets at least. */
  #writeOne(batch: InboundBatch, n: number, fd: number, header: number): boolean {
    const at = batch.innerAt[n]! - header;
    const length = batch.innerLength[n]! + header;
    const slab = this.#memory.bytes;
    for (let i = 0; i < header; i++) slab[at + i] = 0;
    return libc.write(fd, this.#memory, at, length) === length;
  }

  #writeGroup(batch: InboundBatch, group: number, fd: number): boolean {
    const groups = this.#groups;
    const pieces = this.#pieces;
    groups.seal(batch, group);
    const first = groups.first[group]!;
    let length = batch.innerLength[first]! + VIRTIO_NET_HDR.size;
    let piece = 0;
    pieces.set(piece++, batch.innerAt[first]! - VIRTIO_NET_HDR.size, length);
    for (let n = groups.next[first]!; n >= 0; n = groups.next[n]!) {
      const headers = groups.headers[n]!;
      const payload = batch.innerLength[n]! - headers;
      pieces.set(piece++, batch.innerAt[n]! + headers, payload);
      length += payload;
    }
    const written = pieces.write(fd, 0, piece);
    if (written === -ERRNO.EINVAL) this.#datagrams = false;
    return written === length;
  }
}
