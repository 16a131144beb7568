/**
 * A worker's packet memory: buffers for packets on their way in, an area for packets on their way out, and the engine's
 * scratch. Headroom before each packet takes what is prepended, tailroom what is appended: nothing is copied or allocated
 * for a packet.
 */
import { OP_SCRATCH, Ops } from "../crypto/engine.ts";
import { Memory } from "../linux/memory.ts";
import { type SlabSum, scalarSum, summedSlab } from "./slab-sum.ts";

/** Packets of one batch outside of workers. */
export const BATCH = 64;
/** Packets of one batch of a worker, unless it is told otherwise: two super-packets of usual size, or the longest train of
 * datagrams (UDP_MAX_SEGMENTS), which is not divided then. */
export const DEFAULT_BATCH = 128;
/** The most of them that a worker has room for. */
export const MAX_BATCH = 256;
/** Datagrams, or trains of them, received in one call. */
export const RECEIVED = 64;
/** Octets before a received or read packet: ESP header and IV are 24 at most, the rest is for IP and virtio headers. */
export const HEADROOM = 128;
/** Octets behind the longest packet: padding 15, trailer 2, ICV 32, and room for what engines touch. */
export const TAILROOM = 128;
/** Octets from one buffer to the next: whole cache lines, and no power of two, which would crowd the same cache sets. */
const STRIDE = 9728;
/** The longest packet, inner or outer, that a buffer takes: an Ethernet jumbo frame fits. No outer MTU counts for more. */
export const MAX_PACKET = STRIDE - HEADROOM - TAILROOM;

/** Octets of the area for packets on their way out: they lie in it as close as their lengths allow. */
export const OUTBOUND_AREA = BATCH * STRIDE;
/** Octets from the end of a packet there to the next: tailroom of the one and headroom of the other. */
const OUTBOUND_GAP = 128;
const OUTBOUND_HEADROOM = 64;
/** Room for a super-packet that cannot be cut where it was read: the longest IP packet, and more. */
export const PARK = 65_536 + 256;
/** Octets of the area for packets that are made out of others: padded, or fragments of them. */
export const MADE_AREA = OUTBOUND_AREA;
/** Octets of a slot for a packet of any length, read together with others. */
export const SLOT_ROOM = PARK;
const SLOT_STRIDE = OUTBOUND_HEADROOM + SLOT_ROOM + TAILROOM;

export interface ArenaOptions {
  /** Sum with vector instructions, for who sums much: the memory then takes address space for as long as the thread lives. */
  readonly vectors?: boolean;
  /** Slots for packets of any length; default 0. Only what is used of them takes memory. */
  readonly slots?: number;
}

export class Arena {
  /** For system calls. */
  readonly memory: Memory;
  readonly slab: Uint8Array;
  readonly ops: Ops;
  /** Sums the slab, for checksums. */
  readonly sum: SlabSum;
  /** Where a super-packet is parked. */
  readonly parkAt: number;
  /** Octets that an inbound buffer takes. */
  readonly inboundRoom: number;
  readonly #inboundStride: number;
  readonly #outbound: number;
  readonly #made: number;
  readonly #slots: number;

  /** `inboundRoom`: octets of the longest packet or train. */
  constructor(inboundRoom: number = MAX_PACKET, { vectors = false, slots = 0 }: ArenaOptions = {}) {
    this.inboundRoom = inboundRoom;
    this.#inboundStride = (HEADROOM + inboundRoom + TAILROOM + 63) & ~63;
    this.#outbound = RECEIVED * this.#inboundStride;
    this.parkAt = this.#outbound + OUTBOUND_AREA;
    this.#made = this.parkAt + PARK;
    this.#slots = this.#made + MADE_AREA;
    const scratchAt = this.#slots + slots * SLOT_STRIDE;
    const size = scratchAt + MAX_BATCH * OP_SCRATCH;
    const summed = vectors ? summedSlab(size) : undefined;
    this.memory = summed === undefined ? Memory.allocate(size) : new Memory(summed.slab);
    this.slab = this.memory.bytes;
    this.sum = summed?.sum ?? scalarSum(this.slab);
    this.ops = new Ops(this.slab, scratchAt, MAX_BATCH);
  }

  /** First octet after the headroom of inbound buffer `i`. */
  inboundAt(i: number): number {
    return i * this.#inboundStride + HEADROOM;
  }

  /** The same of outbound buffer `i`, for who wants them of one size. */
  outboundAt(i: number): number {
    return this.#outbound + i * STRIDE + HEADROOM;
  }

  /** First octet of the packet in slot `i`: a multiple of 64. */
  slotAt(i: number): number {
    return this.#slots + i * SLOT_STRIDE + OUTBOUND_HEADROOM;
  }

  /** First octet of a packet that lies at `offset` of the area for made ones, headroom included. */
  madeAt(offset: number): number {
    return this.#made + offset + OUTBOUND_HEADROOM;
  }

  /** First octet of a packet that lies at `offset` of the outbound area, headroom included: a multiple of 64. */
  packetAt(offset: number): number {
    return this.#outbound + offset + OUTBOUND_HEADROOM;
  }
}

/** Octets of the outbound area for a packet of `length` octets: whole cache lines. */
export const outboundRoom = (length: number): number => (length + OUTBOUND_GAP + 63) & ~63;
