/**
 * A worker's packet memory: two times 64 buffers, for packets on their way in and out, and the engine's scratch. Headroom
 * before each packet takes what is prepended, tailroom what is appended: nothing is copied or allocated for a packet.
 */
import { OP_SCRATCH, Ops } from "../crypto/engine.ts";
import { Memory } from "../linux/memory.ts";

/** Packets of one batch: one engine call. */
export const BATCH = 64;
/** Octets before a received or read packet: ESP header and IV are 24 at most, the rest is for IP and virtio headers. */
export const HEADROOM = 128;
/** Octets behind the longest packet: padding 15, trailer 2, ICV 32, and room for what engines touch. */
export const TAILROOM = 128;
/** Octets from one buffer to the next: whole cache lines, and no power of two, which would crowd the same cache sets. */
const STRIDE = 9728;
/** The longest packet, inner or outer, that a buffer takes: an Ethernet jumbo frame fits. No outer MTU counts for more. */
export const MAX_PACKET = STRIDE - HEADROOM - TAILROOM;

export class Arena {
  /** For system calls. */
  readonly memory: Memory;
  readonly slab: Uint8Array;
  readonly ops: Ops;

  constructor() {
    const scratchAt = 2 * BATCH * STRIDE;
    this.memory = Memory.allocate(scratchAt + BATCH * OP_SCRATCH);
    this.slab = this.memory.bytes;
    this.ops = new Ops(this.slab, scratchAt, BATCH);
  }

  /** First octet after the headroom of inbound buffer `i`. */
  inboundAt(i: number): number {
    return i * STRIDE + HEADROOM;
  }

  outboundAt(i: number): number {
    return (BATCH + i) * STRIDE + HEADROOM;
  }
}
