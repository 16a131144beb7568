/**
 * Threads that compute key exchanges which would hold up the control thread. There is none before the first is asked for, and
 * one without work for a while ends. Who asks has limits of its own (half-open IKE SAs, one request of an IKE SA at a time), so
 * the queue has none.
 */
import { availableParallelism } from "node:os";
import { Piscina } from "piscina";
import { doKeyWork, type KeyResult, type KeyWork, wipeResult } from "../crypto/key-work.ts";
import { type KeyTask, type KeyTaskDone, takeResult, toTask, wipeTask } from "./key-memory.ts";

export interface KeyPoolOptions {
  readonly onDone: (id: number, result: KeyResult) => void;
  /** The threads failed: the control thread did the work itself. */
  readonly onTrouble: (message: string) => void;
  /** Default: as many as there are processors but one for the control thread, 1 to 4. */
  readonly threads?: number;
}

const IDLE = 30_000; // ms after which a thread without work ends
const MOST_THREADS = 4;
/** Threads that failed are not tried again before, ms: the control thread does the work meanwhile. */
const REST = 60_000;

export class KeyPool {
  readonly #options: KeyPoolOptions;
  readonly #most: number;
  /** Not begun: here and not in the pool, which would end a thread to take back what it has begun. */
  readonly #queue = new Map<number, KeyWork>();
  readonly #running = new Set<number>();
  /** Of what is running: nobody wants it any more. */
  readonly #forgotten = new Set<number>();
  #pool: Piscina<KeyTask, KeyTaskDone> | undefined;
  #isClosed = false;
  #restsUntil = 0;

  constructor(options: KeyPoolOptions) {
    this.#options = options;
    this.#most = options.threads ?? Math.max(1, Math.min(MOST_THREADS, availableParallelism() - 1));
  }

  /** Threads that there are now. */
  get threads(): number {
    return this.#pool?.threads.length ?? 0;
  }

  /** Work that waits for a thread. */
  get waiting(): number {
    return this.#queue.size;
  }

  /** `onDone` is told the result, later, unless it is forgotten before. */
  do(id: number, work: KeyWork): void {
    this.#queue.set(id, work);
    this.#next();
  }

  /** The result is not wanted any more: work that waits is not done, and what is being done is wiped. */
  forget(id: number): void {
    if (!this.#queue.delete(id) && this.#running.has(id)) this.#forgotten.add(id);
  }

  /** Ends the threads. Nothing more is told. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#queue.clear();
    await this.#pool?.destroy();
  }

  #next(): void {
    for (const [id, work] of this.#queue) {
      if (this.#isClosed || this.#running.size >= this.#most) return;
      this.#queue.delete(id);
      this.#running.add(id);
      if (performance.now() < this.#restsUntil) {
        setImmediate(() => this.#doHere(id, work));
        continue;
      }
      const task = toTask(work);
      this.#start()
        .run(task)
        .then(
          (done) => this.#done(id, takeResult(task, done)),
          (error: unknown) => this.#failed(id, work, task, error),
        );
    }
  }

  #start(): Piscina<KeyTask, KeyTaskDone> {
    if (this.#pool !== undefined) return this.#pool;
    this.#pool = new Piscina<KeyTask, KeyTaskDone>({
      filename: new URL("./key-thread.js", import.meta.url).href,
      minThreads: 0,
      maxThreads: this.#most,
      idleTimeout: IDLE,
      concurrentTasksPerWorker: 1,
      atomics: "disabled",
    });
    this.#pool.on("error", (error: unknown) => this.#giveUp(error));
    return this.#pool;
  }

  /** A thread failed without work, or before it could take some: what runs is refused, and done here. */
  #giveUp(error: unknown): void {
    const pool = this.#pool;
    if (pool === undefined || this.#isClosed) return;
    this.#pool = undefined;
    this.#restsUntil = performance.now() + REST;
    this.#options.onTrouble(messageOf(error));
    pool.destroy().catch((why: unknown) => this.#options.onTrouble(messageOf(why)));
  }

  #done(id: number, result: KeyResult): void {
    this.#running.delete(id);
    if (this.#forgotten.delete(id) || this.#isClosed) wipeResult(result);
    else this.#options.onDone(id, result);
    this.#next();
  }

  /** Nobody is left waiting for a result that does not come. */
  #failed(id: number, work: KeyWork, task: KeyTask, error: unknown): void {
    wipeTask(task);
    if (this.#isClosed) return;
    if (performance.now() >= this.#restsUntil) this.#options.onTrouble(messageOf(error));
    this.#doHere(id, work);
  }

  #doHere(id: number, work: KeyWork): void {
    if (this.#isClosed) return;
    if (!this.#forgotten.has(id)) this.#done(id, doKeyWork(work));
    else {
      this.#forgotten.delete(id);
      this.#running.delete(id);
    }
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
