// HOT PATH
/**
 * Packets of children that trap, which came while there was no SA: a few wait, in their order, until there is one, as
 * packets of a tunnel that holds them wait in its queue. They are counted when they leave: sent, or as without an SA when that
 * took too long. Control may bring the SA up at any moment, so what comes while one of its child waits does wait behind it,
 * SA or not: it must not overtake.
 */
import { Verdict } from "../ipsec/verdict.ts";
import { type Arena, BATCH, outboundRoom } from "./arena.ts";
import type { OutboundBatch } from "./outbound.ts";
import type { PlaneMemory } from "./plane-memory.ts";

/** Of all children together: no more than a batch takes. */
const PLACES = BATCH;
/** Octets: a longer packet does not wait. */
const LONGEST = 2048;
/** How long one waits, ms. */
const PATIENCE = 8_000;

export class WaitingPackets {
  count = 0;
  readonly #tables: PlaneMemory;
  /** Made when the first packet waits: most workers never need it. */
  #octets: Uint8Array | undefined;
  /** By packet, in the order in which they came: its place, octets, child, and until when it waits. */
  readonly #place = new Uint8Array(PLACES);
  readonly #length = new Uint16Array(PLACES);
  readonly #child = new Int32Array(PLACES);
  readonly #until = new Float64Array(PLACES);
  readonly #taken = new Uint8Array(PLACES);
  /** By packet: its child was removed, and the number may be another's soon. */
  readonly #gone = new Uint8Array(PLACES);

  constructor(tables: PlaneMemory) {
    this.#tables = tables;
  }

  /** Keep a packet for `child`, the number of a tunnel. False: it cannot wait. */
  add(slab: Uint8Array, at: number, length: number, child: number): boolean {
    if (this.count === PLACES || length > LONGEST) return false;
    this.#octets ??= new Uint8Array(PLACES * LONGEST);
    const place = this.#taken.indexOf(0);
    this.#octets.set(slab.subarray(at, at + length), place * LONGEST);
    this.#taken[place] = 1;
    const n = this.count++;
    this.#place[n] = place;
    this.#length[n] = length;
    this.#child[n] = child;
    this.#until[n] = performance.now() + PATIENCE;
    this.#gone[n] = 0;
    return true;
  }

  /** Whether a packet for `child` waits. */
  holds(child: number): boolean {
    return this.#isAmong(child, this.count);
  }

  #isAmong(child: number, count: number): boolean {
    for (let n = 0; n < count; n++) if (this.#child[n] === child && this.#gone[n] === 0) return true;
    return false;
  }

  /** The tables have changed: what waits for a child that is not there any more is dropped with the next `take`. */
  dropGone(): void {
    for (let n = 0; n < this.count; n++) if (!this.#tables.tunnels.isLive(this.#child[n]!)) this.#gone[n] = 1;
  }

  /** Forget all packets, and what was in them. */
  close(): void {
    this.count = 0;
    this.#octets?.fill(0);
    this.#taken.fill(0);
  }

  /**
   * Fill `batch`, over the outbound area of the arena, with those that can be sent now, and those that have waited for
   * too long, as many as it holds. False: all wait on. Of a child none leaves before one that came before it.
   */
  take(batch: OutboundBatch, arena: Arena): boolean {
    const { blocks, tunnels } = this.#tables;
    const octets = this.#octets;
    batch.count = 0;
    if (this.count === 0 || octets === undefined) return false;
    const now = performance.now();
    let used = 0;
    let left = 0;
    for (let n = 0; n < this.count; n++) {
      const child = this.#child[n]!;
      const place = this.#place[n]!;
      const length = this.#length[n]!;
      const gone = this.#gone[n] === 1;
      const fallback = gone ? -1 : tunnels.fallback(child); // first: who is named has a pair already
      const slot = gone ? -1 : tunnels.current(child);
      const waits = slot < 0 && fallback < 0 && now < this.#until[n]!;
      if (batch.count === batch.capacity || (!gone && (waits || this.#isAmong(child, left)))) {
        this.#place[left] = place;
        this.#length[left] = length;
        this.#child[left] = child;
        this.#until[left] = this.#until[n]!;
        this.#gone[left++] = gone ? 1 : 0;
        continue;
      }
      const row = batch.count++;
      const at = arena.packetAt(used);
      used += outboundRoom(length);
      arena.slab.set(octets.subarray(place * LONGEST, place * LONGEST + length), at);
      this.#taken[place] = 0;
      batch.at[row] = at;
      batch.length[row] = length;
      batch.slot[row] = slot;
      batch.tunnelBlock[row] = blocks.tunnelOwn(child);
      batch.refused[row] = gone ? Verdict.NO_SA : Verdict.PASS;
    }
    this.count = left;
    return batch.count > 0;
  }
}
