// HOT PATH
/**
 * Reads many packets of a TUN device in one system call (io_uring), into slots that each take the longest packet, for
 * tunnels whose packets come singly. How many are asked for follows how many came: what is not there costs a look.
 */
import { ERRNO } from "../linux/errno.ts";
import { type IoUring, RING_ENTRIES } from "../linux/io-uring.ts";
import { type Arena, SLOT_ROOM } from "./arena.ts";
import { MAX_TUNNELS } from "./tunnel-table.ts";

/** So many packets in a row that are no super-packets: those are better read where they are cut. */
const CALM = 16;
/** Asked for at least: the packet that poll(2) has seen, and whether another is behind it. */
const LEAST = 2;

export class ReadAhead {
  readonly #ring: IoUring;
  readonly #arena: Arena;
  /** By tunnel: packets since its last super-packet, up to CALM; packets to ask for. */
  readonly #calm = new Uint8Array(MAX_TUNNELS);
  readonly #depth = new Uint8Array(MAX_TUNNELS).fill(LEAST);
  /** By slot: octets read into it, or -errno; -EINVAL for a packet that the kernel dropped instead. */
  readonly result = new Int32Array(RING_ENTRIES);
  /** Slots in use; of these, packets from `#next` on are not taken yet. */
  #used = 0;
  #next = 0;

  constructor(ring: IoUring, arena: Arena) {
    this.#ring = ring;
    this.#arena = arena;
  }

  /** The tunnel is better read so. */
  suits(tunnel: number): boolean {
    return this.#calm[tunnel] === CALM;
  }

  /** A packet of the tunnel was, or was not, a super-packet. */
  note(tunnel: number, isSuper: boolean): void {
    const calm = this.#calm[tunnel]!;
    this.#calm[tunnel] = isSuper ? 0 : calm < CALM ? calm + 1 : CALM;
  }

  get hasRoom(): boolean {
    return this.#used < RING_ENTRIES;
  }

  /** Packets were read that are not taken yet. */
  get pending(): boolean {
    return this.#next < this.#used;
  }

  /** What was taken is sent: its slots may be used again. */
  release(): void {
    if (this.pending) return;
    this.#used = 0;
    this.#next = 0;
  }

  /**
   * Read up to `most` packets of `fd`, each behind `header` octets. Nothing may be pending. Returns 0 when there may be
   * more, else -errno of the first that did not come (-EAGAIN: no more).
   */
  read(fd: number, tunnel: number, header: number, most: number): number {
    const ring = this.#ring;
    const from = this.#used;
    const depth = Math.min(this.#depth[tunnel]!, most, RING_ENTRIES - from);
    for (let i = 0; i < depth; i++)
      ring.read(fd, this.#arena.memory, this.#arena.slotAt(from + i) - header, header + SLOT_ROOM);
    ring.run();
    let outcome = 0;
    let came = 0;
    // A packet that comes meanwhile may be there after one that was not: slots are taken in order, empty ones are none.
    for (let i = 0; i < depth; i++) {
      const result = ring.result[i]!;
      this.result[from + i] = result;
      if (result >= 0 || (result === -ERRNO.EINVAL && header > 0)) came = i + 1;
      else if (outcome === 0) outcome = result;
    }
    this.#used = from + came;
    this.#next = from;
    const next = outcome === 0 ? depth * 2 : came + 1;
    if (outcome === 0 || came > 0) this.#depth[tunnel] = Math.max(LEAST, Math.min(next, RING_ENTRIES));
    return outcome;
  }

  /** Slot of the next packet, or -1. */
  take(): number {
    while (this.#next < this.#used) {
      const slot = this.#next++;
      const result = this.result[slot]!;
      if (result >= 0 || result === -ERRNO.EINVAL) return slot;
    }
    return -1;
  }
}
