/**
 * The worker threads as control holds them: started, woken, watched, replaced when they die, stopped. Or, for tests,
 * workers without threads.
 *
 * A replacement takes over its predecessor's number and with it sockets, queues and SAs: counters and windows are in shared
 * memory, keys are expanded again from there. What the dead worker had in hand is lost, as on the wire.
 */
import { readFileSync } from "node:fs";
import { Piscina } from "piscina";
import type { EngineName } from "../crypto/engine.ts";
import type { EnginePlan } from "../crypto/engine-plan.ts";
import { EspalierError } from "../errors.ts";
import { openEventfd, wake } from "../linux/eventfd.ts";
import { close } from "../linux/libc.ts";
import { Deaths } from "./deaths.ts";
import { EspWorker } from "./esp-worker.ts";
import type { PlaneMemory } from "./plane-memory.ts";
import type { PollStrategyName } from "./poll-strategy.ts";
import type { ThreadInit } from "./worker.ts";
import { WorkerStatus } from "./worker-board.ts";
import { WorkerTools } from "./worker-tools.ts";

export interface WorkerDeath {
  /** `failed`: it died too often, and is gone for good. */
  readonly kind: "replaced" | "failed";
  readonly worker: number;
  readonly message: string;
}

export interface Workers {
  /** An eventfd of each, in which it sleeps. */
  readonly wakeFds: readonly number[];
  /** Make all look at the tables. */
  wake(): void;
  /** Resolves when `condition` holds; looks every ms or so. */
  until(condition: () => boolean): Promise<void>;
  /** Those since the last call. */
  takeDeaths(): WorkerDeath[];
  /** How often a worker was replaced. */
  replaced(worker: number): number;
  /** One round of each, when there are no threads. */
  step(): number;
  /** ms of CPU that the thread has used, or undefined. */
  cpuTime(worker: number): number | undefined;
  /** After `requestStop`: resolves when all have ended. */
  stop(): Promise<void>;
}

export interface WorkersOptions {
  readonly workers: number;
  readonly engine: EngineName | EnginePlan;
  readonly memory: PlaneMemory;
  readonly inThread: boolean;
  readonly poll: PollStrategyName;
  readonly batch: number;
  /** CPU of worker i mod length; empty: any. */
  readonly affinity: readonly number[];
}

/**
 * What a thread runs. Said with each task, not to the pool, which would have a thread import it before there is a task: to
 * end a thread that imports it may end the process (see `linux/libc.ts`).
 */
const WORKER = new URL("./worker.js", import.meta.url).href;
const LOOK_EVERY = 1; // ms
/** How long a worker may take to end, in ms, before its thread is terminated. */
const GRACE = 5000;
/** How long one that is still starting is waited for before that: see `WORKER`. */
const STARTING_GRACE = 60_000;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const initOf = (options: WorkersOptions, worker: number, wakeFds: readonly number[]): ThreadInit => {
  const { engine, memory, poll, batch, affinity } = options;
  const cpu = affinity.length === 0 ? -1 : affinity[worker % affinity.length]!;
  return { worker, engine, memory: memory.shared, wakeFds, poll, batch, cpu };
};

/** Before a worker gets a successor: put right what it may have left half done. */
const recover = ({ sad }: PlaneMemory, worker: number, workers: number): void => {
  for (let slot = worker; slot < sad.capacity; slot += workers) sad.recover(slot);
};

/** Resolves once every worker runs; throws what kept one from it. */
export const startWorkers = (options: WorkersOptions): Promise<Workers> =>
  options.inThread ? InThread.start(options) : Threads.start(options);

class Threads implements Workers {
  readonly #memory: PlaneMemory;
  readonly #pool: Piscina;
  readonly wakeFds: readonly number[];
  readonly #tasks: readonly Promise<void>[];
  readonly #history: Deaths;
  readonly #deaths: WorkerDeath[] = [];
  #started = false;

  private constructor(memory: PlaneMemory, pool: Piscina, inits: readonly ThreadInit[]) {
    this.#memory = memory;
    this.#pool = pool;
    this.wakeFds = inits[0]!.wakeFds;
    this.#history = new Deaths(inits.length);
    this.#tasks = inits.map((init) => this.#run(init));
  }

  static async start(options: WorkersOptions): Promise<Workers> {
    const { workers, memory } = options;
    if (import.meta.url.endsWith(".ts"))
      throw new EspalierError("ESPALIER_PLATFORM", "worker threads run compiled JavaScript, and this is TypeScript", {
        remedy: "Run `npm run build` and use dist/.",
      });
    const pool = new Piscina({
      minThreads: workers,
      maxThreads: workers,
      concurrentTasksPerWorker: 1,
      atomics: "disabled", // the threads wait in poll(2), not for piscina
    });
    const wakeFds = Array.from({ length: workers }, () => openEventfd());
    const inits = wakeFds.map((_, worker) => initOf(options, worker, wakeFds));
    const threads = new Threads(memory, pool, inits);
    await threads.until(() => inits.every(({ worker }) => memory.board.status(worker) !== WorkerStatus.STARTING));
    await new Promise((turn) => setImmediate(turn)); // a task that failed has said why
    threads.#started = true;
    const [failure] = threads.takeDeaths();
    if (failure === undefined) return threads;
    memory.board.requestStop();
    await threads.stop();
    throw new EspalierError("ESPALIER_PLATFORM", `worker ${failure.worker} cannot start: ${failure.message}`);
  }

  /** As long as the plane lives: a thread, and its successors. */
  async #run(init: ThreadInit): Promise<void> {
    const { worker, wakeFds } = init;
    const { board } = this.#memory;
    for (;;) {
      const message = await this.#runOnce(init);
      if (board.mustStop() && this.#started) return;
      board.setStatus(worker, WorkerStatus.FAILED); // also when the thread died before it could say so
      const replace = this.#started && this.#history.note(worker, performance.now());
      this.#deaths.push({ kind: replace ? "replaced" : "failed", worker, message });
      if (!replace) return;
      recover(this.#memory, worker, wakeFds.length);
      board.setStatus(worker, WorkerStatus.STARTING);
    }
  }

  /** Resolves with why it ended. */
  async #runOnce(init: ThreadInit): Promise<string> {
    try {
      await this.#pool.run(init, { filename: WORKER });
      return "it ended without being asked to";
    } catch (error) {
      return messageOf(error);
    }
  }

  wake(): void {
    for (const fd of this.wakeFds) wake(fd);
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await pause(LOOK_EVERY);
  }

  takeDeaths(): WorkerDeath[] {
    return this.#deaths.splice(0);
  }

  replaced(worker: number): number {
    return this.#history.replaced(worker);
  }

  step(): number {
    throw new EspalierError("ESPALIER_USAGE", "the workers of this plane run in threads");
  }

  cpuTime(worker: number): number | undefined {
    const thread = this.#memory.board.thread(worker);
    if (thread === 0) return undefined;
    try {
      const [ns] = readFileSync(`/proc/self/task/${thread}/schedstat`, "utf8").split(" ");
      return Number(ns) / 1e6;
    } catch {
      return undefined; // the thread has ended, or the kernel keeps no such statistics
    }
  }

  async stop(): Promise<void> {
    this.wake();
    const { board } = this.#memory;
    const state = { ended: false };
    const ending = Promise.all(this.#tasks).then(() => {
      state.ended = true;
    });
    const begun = performance.now();
    let since = begun; // all have started
    const isLate = (): boolean => {
      const now = performance.now();
      const starting = this.wakeFds.some((_, worker) => board.status(worker) === WorkerStatus.STARTING);
      if (starting && now - begun < STARTING_GRACE) since = now;
      return now - since >= GRACE;
    };
    await Promise.race([ending, this.until(() => state.ended || isLate())]);
    await this.#pool.destroy();
    for (const fd of this.wakeFds) close(fd);
  }
}

class InThread implements Workers {
  readonly #options: WorkersOptions;
  readonly wakeFds: readonly number[];
  readonly #workers: { readonly worker: EspWorker; readonly tools: WorkerTools }[];
  readonly #history: Deaths;
  readonly #deaths: WorkerDeath[] = [];

  private constructor(options: WorkersOptions) {
    this.#options = options;
    this.#history = new Deaths(options.workers);
    this.wakeFds = Array.from({ length: options.workers }, () => openEventfd());
    this.#workers = this.wakeFds.map((_, worker) => this.#begin(worker));
  }

  static async start(options: WorkersOptions): Promise<Workers> {
    return new InThread(options);
  }

  #begin(number: number): { readonly worker: EspWorker; readonly tools: WorkerTools } {
    const { engine, memory } = this.#options;
    const tools = new WorkerTools(engine);
    const worker = new EspWorker(initOf(this.#options, number, this.wakeFds), tools);
    memory.board.setStatus(number, WorkerStatus.RUNNING);
    return { worker, tools };
  }

  #end(number: number): void {
    const { worker, tools } = this.#workers[number]!;
    worker.close();
    tools.close();
  }

  wake(): void {
    for (const fd of this.wakeFds) wake(fd);
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) this.step();
  }

  takeDeaths(): WorkerDeath[] {
    return this.#deaths.splice(0);
  }

  replaced(worker: number): number {
    return this.#history.replaced(worker);
  }

  step(): number {
    const { board } = this.#options.memory;
    let packets = 0;
    for (let worker = 0; worker < this.#workers.length; worker++) {
      if (board.status(worker) !== WorkerStatus.RUNNING) continue;
      try {
        packets += this.#workers[worker]!.worker.round(0);
      } catch (error) {
        this.#bury(worker, messageOf(error));
      }
    }
    return packets;
  }

  #bury(worker: number, message: string): void {
    const { memory, workers } = this.#options;
    const replace = this.#history.note(worker, performance.now());
    this.#deaths.push({ kind: replace ? "replaced" : "failed", worker, message });
    memory.board.setStatus(worker, WorkerStatus.FAILED);
    if (!replace) return;
    this.#end(worker);
    recover(memory, worker, workers);
    this.#workers[worker] = this.#begin(worker);
  }

  cpuTime(): undefined {
    return undefined;
  }

  async stop(): Promise<void> {
    this.step(); // wipes the keys of SAs that are gone
    this.#workers.forEach((_, worker) => {
      this.#end(worker);
      this.#options.memory.board.setStatus(worker, WorkerStatus.STOPPED);
    });
    for (const fd of this.wakeFds) close(fd);
  }
}
