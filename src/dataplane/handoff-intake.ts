// HOT PATH
/** What others handed to this worker, as batches in its own packet memory: from there on they are like any other. */
import { Verdict } from "../ipsec/verdict.ts";
import { type Arena, MAX_PACKET, OUTBOUND_AREA, outboundRoom, RECEIVED } from "./arena.ts";
import type { Handoff } from "./handoff.ts";
import type { HandoffRing } from "./handoff-ring.ts";
import { InboundBatch } from "./inbound.ts";
import { OutboundBatch } from "./outbound.ts";
import type { PlaneMemory } from "./plane-memory.ts";

/** Octets of an address, of either family. */
const ADDRESS = 16;
/** Between packets that came in: their headers are written over what is before them. */
const GAP = 64;

export class HandoffIntake {
  readonly inbound: InboundBatch;
  readonly outbound: OutboundBatch;
  readonly #handoff: Handoff;
  readonly #arena: Arena;
  readonly #tables: PlaneMemory;
  readonly #workers: number;
  readonly #inboundEnd: number;
  /** Whose ring is next. */
  #from = 0;
  #gaveWorker = false;

  /** `batch`: packets of each batch, at most. */
  constructor(
    handoff: Handoff,
    arena: Arena,
    tables: PlaneMemory,
    { workers, batch }: { readonly workers: number; readonly batch: number },
  ) {
    this.#handoff = handoff;
    this.#arena = arena;
    this.#tables = tables;
    this.#workers = workers;
    this.#inboundEnd = arena.inboundAt(RECEIVED - 1) + arena.inboundRoom;
    this.inbound = new InboundBatch(batch, new Uint8Array(batch * ADDRESS));
    this.outbound = new OutboundBatch(batch);
  }

  /** The batches are from another worker, not from control. */
  get isFromWorker(): boolean {
    return this.#gaveWorker;
  }

  /**
   * Fill both batches with what one thread gave, over the buffers of the arena: nothing may wait in them. False when there is
   * nothing to take. What was taken is gone from the ring: should this worker die now, it is lost and never doubled.
   */
  take(): boolean {
    if (!this.#handoff.look()) return false;
    const threads = this.#workers + 1;
    for (let i = 0; i < threads; i++) {
      const from = this.#from;
      const ring = this.#handoff.ring(from);
      const any = ring !== undefined && this.#drain(ring, from);
      this.#from = from + 1 === threads ? 0 : from + 1;
      if (!any) continue;
      this.#gaveWorker = from < this.#workers;
      return true;
    }
    return false;
  }

  #drain(ring: HandoffRing, from: number): boolean {
    const { inbound, outbound } = this;
    inbound.count = 0;
    outbound.count = 0;
    let at = this.#arena.inboundAt(0);
    let used = 0;
    for (;;) {
      if (!ring.next()) {
        this.#handoff.emptied(from);
        break;
      }
      const { length, tunnel } = ring;
      if (tunnel < 0) {
        if (inbound.count === inbound.capacity || at + length > this.#inboundEnd) break;
        this.#takeIn(ring, at, length);
        at += (length + GAP + 63) & ~63;
      } else {
        if (outbound.count === outbound.capacity || used + outboundRoom(length) > OUTBOUND_AREA) break;
        this.#takeOut(ring, this.#arena.packetAt(used), length, tunnel);
        used += outboundRoom(length);
      }
    }
    ring.release();
    return inbound.count + outbound.count > 0;
  }

  #takeIn(ring: HandoffRing, at: number, length: number): void {
    const batch = this.inbound;
    const n = batch.count++;
    batch.at[n] = at;
    batch.length[n] = length;
    batch.truncated[n] = 0;
    batch.sourceAt[n] = n * ADDRESS;
    batch.sourceLength[n] = ring.sourceLength;
    batch.sourcePort[n] = ring.sourcePort;
    batch.outerTos[n] = ring.tos;
    ring.copySource(batch.sources, n * ADDRESS);
    ring.take(this.#arena.memory, at);
  }

  #takeOut(ring: HandoffRing, at: number, length: number, tunnel: number): void {
    const batch = this.outbound;
    const n = batch.count++;
    batch.at[n] = at;
    batch.length[n] = length;
    batch.slot[n] = this.#tables.tunnels.current(tunnel);
    batch.tunnelBlock[n] = this.#tables.blocks.tunnelOwn(tunnel);
    batch.refused[n] = length <= MAX_PACKET ? Verdict.PASS : Verdict.TOO_BIG;
    ring.take(this.#arena.memory, at);
  }
}
