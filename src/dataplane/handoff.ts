// HOT PATH
/**
 * Packets that reached a worker and are another's: a ring for each pair of threads (control is one that gives and takes
 * nothing), and who wakes whom.
 *
 * No wake-up is lost. A worker that wants to sleep writes SLEEPING = 1 and then reads PENDING; a giver publishes its ring,
 * sets its bit in PENDING and then reads SLEEPING. Atomics are sequentially consistent, so one of the two reads comes after
 * both writes: either the worker finds the bit and stays awake, or the giver finds it asleep and writes to its eventfd,
 * which poll(2) does not miss. And no packet stays behind: a worker clears PENDING before it looks into the rings, so what
 * is published after it looked sets a bit that is still there the next time.
 */
import { wake } from "../linux/eventfd.ts";
import type { Memory } from "../linux/memory.ts";
import { HandoffRing, ringOctets } from "./handoff-ring.ts";

/** Octets of each ring; memory that nothing is put into is never touched. */
const LARGE = 1 << 20;
const SMALL = 1 << 18;
/** With more workers than this the rings are small: they are as many as pairs of workers. */
const FEW_WORKERS = 8;

// Words of a worker's row, one cache line: its flag, and a bit for each that has given it something.
const ROW = 16;
const SLEEPING = 0;
const PENDING = 1;
const PENDING_WORDS = 3; // up to 64 workers, and control

const capacityFor = (workers: number): number => (workers > FEW_WORKERS ? SMALL : LARGE);
const ringsAt = (workers: number): number => workers * ROW * 4;

/** Memory for the rings of a plane. */
export const handoffMemory = (workers: number): SharedArrayBuffer =>
  new SharedArrayBuffer(ringsAt(workers) + workers * (workers + 1) * ringOctets(capacityFor(workers)));

export interface HandoffOptions {
  readonly memory: SharedArrayBuffer;
  /** Whose end this is: a worker, or control, which is number `workers`. */
  readonly thread: number;
  /** An eventfd of each worker, in which it sleeps. */
  readonly wakeFds: readonly number[];
}

export class Handoff {
  readonly #thread: number;
  readonly #workers: number;
  readonly #wakeFds: Int32Array;
  readonly #words: Int32Array;
  readonly #to: readonly HandoffRing[];
  readonly #from: readonly HandoffRing[];
  /** By worker: something was pushed that is not published. */
  readonly #given: Uint8Array;
  /** By giver: there may be something in its ring. */
  readonly #waiting: Uint8Array;

  constructor({ memory, thread, wakeFds }: HandoffOptions) {
    const workers = wakeFds.length;
    this.#thread = thread;
    this.#workers = workers;
    this.#wakeFds = Int32Array.from(wakeFds);
    this.#words = new Int32Array(memory, 0, workers * ROW);
    const capacity = capacityFor(workers);
    const ring = (from: number, to: number): HandoffRing =>
      new HandoffRing(memory, ringsAt(workers) + (to * (workers + 1) + from) * ringOctets(capacity), capacity);
    this.#to = Array.from({ length: workers }, (_, to) => ring(thread, to));
    this.#from = thread === workers ? [] : Array.from({ length: workers + 1 }, (_, from) => ring(from, thread));
    this.#given = new Uint8Array(workers);
    this.#waiting = new Uint8Array(workers + 1).fill(1); // whoever was here before may have left something
  }

  // Giving

  /** Give `worker` a packet that leaves `tunnel`, or with -1 one that came in; it sees it after `publish`. False: no room. */
  give(worker: number, slab: Memory, at: number, length: number, tunnel: number): boolean {
    const done = this.#to[worker]!.push(slab, at, length, tunnel);
    if (done) this.#given[worker] = 1;
    return done;
  }

  /** The source of the packet of `length` octets that `worker` was given last. */
  giveSource(worker: number, length: number, source: Uint8Array, at: number, octets: number, port: number): void {
    this.#to[worker]!.setSource(length, source, at, octets, port);
  }

  /** TOS of the outer header of that packet, after its source. */
  giveTos(worker: number, length: number, tos: number): void {
    this.#to[worker]!.setTos(length, tos);
  }

  /** Let those who were given something have it, and wake them when they sleep. */
  publish(): void {
    for (let worker = 0; worker < this.#workers; worker++) {
      if (this.#given[worker] === 0) continue;
      this.#given[worker] = 0;
      this.#to[worker]!.publish();
      const row = worker * ROW;
      Atomics.or(this.#words, row + PENDING + (this.#thread >>> 5), 1 << (this.#thread & 31));
      if (Atomics.exchange(this.#words, row + SLEEPING, 0) === 1) wake(this.#wakeFds[worker]!);
    }
  }

  // Taking

  /** Whether this worker may sleep: then `awake` when it no longer does. */
  maySleep(): boolean {
    const row = this.#thread * ROW;
    Atomics.store(this.#words, row + SLEEPING, 1);
    let pending = 0;
    for (let word = 0; word < PENDING_WORDS; word++) pending |= Atomics.load(this.#words, row + PENDING + word);
    for (let from = 0; from <= this.#workers; from++) pending |= this.#waiting[from]!;
    if (pending !== 0) this.awake();
    return pending === 0;
  }

  awake(): void {
    Atomics.store(this.#words, this.#thread * ROW + SLEEPING, 0);
  }

  /** Note who has given something. False when there is nothing to take. */
  look(): boolean {
    const row = this.#thread * ROW + PENDING;
    let any = 0;
    for (let word = 0; word < PENDING_WORDS; word++) {
      if (Atomics.load(this.#words, row + word) === 0) continue;
      const bits = Atomics.exchange(this.#words, row + word, 0);
      for (let bit = 0; bit < 32; bit++) if ((bits & (1 << bit)) !== 0) this.#waiting[word * 32 + bit] = 1;
    }
    for (let from = 0; from <= this.#workers; from++) any |= this.#waiting[from]!;
    return any !== 0;
  }

  /** The ring of `from` (a worker, or control), or undefined when `look` found nothing in it. */
  ring(from: number): HandoffRing | undefined {
    return this.#waiting[from] === 1 ? this.#from[from] : undefined;
  }

  /** Everything has been taken out of the ring of `from`. */
  emptied(from: number): void {
    this.#waiting[from] = 0;
  }
}
