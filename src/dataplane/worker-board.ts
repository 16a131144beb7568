/**
 * What control and workers tell each other, besides SAs, tunnels and sockets.
 *
 * Control bumps the revision after any withdrawal or new row, and wakes the workers. A worker between two batches looks at
 * it, does what the journal says has changed (forgets the keys of a slot, or reads the tables again), and acknowledges.
 * Once all have acknowledged a revision, none uses what was withdrawn before it: then slots may be reused and descriptors
 * closed. The journal holds the last changes: so a removal costs a worker the same however many SAs there are. A worker
 * that is behind by more looks at everything.
 */
import { ERRNO } from "../linux/errno.ts";

export const MAX_WORKERS = 64;

/** A change of tunnels or sockets; a slot is a change of its SAs. */
export const TABLES_CHANGED = -1;
/** Changes that the journal remembers, a power of two. */
export const JOURNAL = 1024;

const ROW = 32; // words: two cache lines
const REVISION = 0;
const STOP = 16;
const ACKNOWLEDGED = 0;
const STATUS = 1;
const THREAD = 2;
const TUN_IO = 3;
const TUN_REFUSED = 4; // errno in the low bits, tunnel in the high ones
const ERRNO_BITS = 12; // MAX_ERRNO of the kernel
const STATS = 8; // doubles into the row: word 16
const JOURNAL_AT = (1 + MAX_WORKERS) * ROW;

/** Life of a worker. */
export const WorkerStatus = { STARTING: 0, RUNNING: 1, STOPPED: 2, FAILED: 3 } as const;
export type WorkerStatus = (typeof WorkerStatus)[keyof typeof WorkerStatus];

/** The worker reads and writes its interfaces by io_uring; -errno is why not, 0 that it has not said yet. */
export const TUN_IO_URING = 1;

/** Columns of a worker's statistics. */
export const WorkerStat = { POLLS: 0, BATCHES_IN: 1, BATCHES_OUT: 2 } as const;

export class WorkerBoard {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
    this.#doubles = new Float64Array(memory);
  }

  static create(): WorkerBoard {
    return new WorkerBoard(new SharedArrayBuffer((JOURNAL_AT + JOURNAL) * 4));
  }

  // Control

  /** `change`: a slot, or TABLES_CHANGED. Returns the new revision. */
  bump(change: number): number {
    const revision = this.revision();
    Atomics.store(this.#words, JOURNAL_AT + (revision & (JOURNAL - 1)), change);
    return Atomics.add(this.#words, REVISION, 1) + 1;
  }

  requestStop(): void {
    Atomics.store(this.#words, STOP, 1);
  }

  /** True when worker `worker` has begun a batch after `revision`, or will never begin another. */
  hasPassed(worker: number, revision: number): boolean {
    const status = this.status(worker);
    if (status === WorkerStatus.STOPPED || status === WorkerStatus.FAILED) return true;
    return (Atomics.load(this.#words, rowOf(worker) + ACKNOWLEDGED) - revision) >> 0 >= 0;
  }

  // Both

  revision(): number {
    return Atomics.load(this.#words, REVISION);
  }

  mustStop(): boolean {
    return Atomics.load(this.#words, STOP) === 1;
  }

  status(worker: number): WorkerStatus {
    return Atomics.load(this.#words, rowOf(worker) + STATUS) as WorkerStatus;
  }

  /** The kernel's thread id, 0 when unknown. */
  thread(worker: number): number {
    return this.#words[rowOf(worker) + THREAD]!;
  }

  /** TUN_IO_URING, 0 or -errno. */
  tunIo(worker: number): number {
    return this.#words[rowOf(worker) + TUN_IO]!;
  }

  /** Why an interface did not take a packet of this worker's since the last call, the last time; errno 0: it took all. */
  takeTunRefusal(worker: number): { readonly errno: number; readonly tunnel: number } {
    const word = Atomics.exchange(this.#words, rowOf(worker) + TUN_REFUSED, 0);
    return { errno: word & ((1 << ERRNO_BITS) - 1), tunnel: word >>> ERRNO_BITS };
  }

  stat(worker: number, column: number): number {
    return this.#doubles[rowOf(worker) / 2 + STATS + column]!;
  }

  // Workers

  /**
   * Whether the journal still holds every change after `revision`: ask before reading them and once more after, as control
   * may have written meanwhile.
   */
  remembers(revision: number): boolean {
    return (this.revision() - revision) >>> 0 < JOURNAL;
  }

  /** What changed after `revision`, up to the next. */
  change(revision: number): number {
    return Atomics.load(this.#words, JOURNAL_AT + (revision & (JOURNAL - 1)));
  }

  acknowledge(worker: number, revision: number): void {
    Atomics.store(this.#words, rowOf(worker) + ACKNOWLEDGED, revision);
  }

  setStatus(worker: number, status: WorkerStatus): void {
    Atomics.store(this.#words, rowOf(worker) + STATUS, status);
  }

  setThread(worker: number, thread: number): void {
    this.#words[rowOf(worker) + THREAD] = thread;
  }

  setTunIo(worker: number, io: number): void {
    this.#words[rowOf(worker) + TUN_IO] = io;
  }

  /** `written`: -errno, or fewer octets than the packet has, which counts as EIO. */
  refusedByTun(worker: number, tunnel: number, written: number): void {
    const errno = written < 0 ? -written : ERRNO.EIO;
    Atomics.store(this.#words, rowOf(worker) + TUN_REFUSED, (tunnel << ERRNO_BITS) | errno);
  }

  addStat(worker: number, column: number): void {
    const at = rowOf(worker) / 2 + STATS + column;
    this.#doubles[at] = this.#doubles[at]! + 1;
  }
}

const rowOf = (worker: number): number => (1 + worker) * ROW;
