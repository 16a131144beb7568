/** The worker threads as control holds them: started, woken, watched, stopped. Or, for tests, workers without threads. */
import { readFileSync } from "node:fs";
import { Piscina } from "piscina";
import type { EngineName } from "../crypto/engine.ts";
import { EspalierError } from "../errors.ts";
import { openEventfd, wake } from "../linux/eventfd.ts";
import { close } from "../linux/libc.ts";
import { EspWorker, type WorkerInit } from "./esp-worker.ts";
import type { PlaneMemory } from "./plane-memory.ts";
import { WorkerStatus } from "./worker-board.ts";

export interface WorkerFailure {
  readonly worker: number;
  readonly message: string;
}

export interface Workers {
  /** Make all look at the tables. */
  wake(): void;
  /** Resolves when `condition` holds; looks every ms or so. */
  until(condition: () => boolean): Promise<void>;
  failures(): readonly WorkerFailure[];
  /** One round of each, when there are no threads. */
  step(): number;
  /** ms of CPU that the thread has used, or undefined. */
  cpuTime(worker: number): number | undefined;
  /** After `requestStop`: resolves when all have ended. */
  stop(): Promise<void>;
}

export interface WorkersOptions {
  readonly workers: number;
  readonly engine: EngineName;
  readonly memory: PlaneMemory;
  readonly inThread: boolean;
}

const LOOK_EVERY = 1; // ms
/** How long a worker may take to end, in ms, before its thread is terminated. */
const GRACE = 5000;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Resolves once every worker runs; throws what kept one from it. */
export const startWorkers = (options: WorkersOptions): Promise<Workers> =>
  options.inThread ? InThread.start(options) : Threads.start(options);

class Threads implements Workers {
  readonly #memory: PlaneMemory;
  readonly #pool: Piscina;
  readonly #wakeFds: readonly number[];
  readonly #tasks: readonly Promise<void>[];
  readonly #failures: WorkerFailure[] = [];

  private constructor(memory: PlaneMemory, pool: Piscina, wakeFds: readonly number[], inits: readonly WorkerInit[]) {
    this.#memory = memory;
    this.#pool = pool;
    this.#wakeFds = wakeFds;
    this.#tasks = inits.map((init) => this.#run(init));
  }

  static async start({ workers, engine, memory }: WorkersOptions): Promise<Workers> {
    if (import.meta.url.endsWith(".ts"))
      throw new EspalierError("ESPALIER_PLATFORM", "worker threads run compiled JavaScript, and this is TypeScript", {
        remedy: "Run `npm run build` and use dist/.",
      });
    const pool = new Piscina({
      filename: new URL("./worker.js", import.meta.url).href,
      minThreads: workers,
      maxThreads: workers,
      concurrentTasksPerWorker: 1,
      atomics: "disabled", // the threads wait in poll(2), not for piscina
    });
    const wakeFds = Array.from({ length: workers }, () => openEventfd());
    const inits = wakeFds.map((_, worker) => ({ worker, engine, memory: memory.shared, wakeFds }));
    const threads = new Threads(memory, pool, wakeFds, inits);
    await threads.until(() => inits.every(({ worker }) => memory.board.status(worker) !== WorkerStatus.STARTING));
    const failure = threads.#failures[0];
    if (failure === undefined) return threads;
    memory.board.requestStop();
    await threads.stop();
    throw new EspalierError("ESPALIER_PLATFORM", `worker ${failure.worker} cannot start: ${failure.message}`);
  }

  async #run(init: WorkerInit): Promise<void> {
    try {
      await this.#pool.run(init);
      if (this.#memory.board.mustStop()) return;
      this.#failed(init.worker, "it ended without being asked to");
    } catch (error) {
      this.#failed(init.worker, messageOf(error));
    }
  }

  #failed(worker: number, message: string): void {
    this.#memory.board.setStatus(worker, WorkerStatus.FAILED); // also when the thread died before it could say so
    this.#failures.push({ worker, message });
  }

  wake(): void {
    for (const fd of this.#wakeFds) wake(fd);
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await pause(LOOK_EVERY);
  }

  failures(): readonly WorkerFailure[] {
    return this.#failures;
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
    let deadline: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      deadline = setTimeout(resolve, GRACE);
    });
    await Promise.race([Promise.all(this.#tasks), late]);
    clearTimeout(deadline);
    await this.#pool.destroy();
    for (const fd of this.#wakeFds) close(fd);
  }
}

class InThread implements Workers {
  readonly #memory: PlaneMemory;
  readonly #wakeFds: readonly number[];
  readonly #workers: readonly EspWorker[];
  readonly #failures: WorkerFailure[] = [];

  private constructor(memory: PlaneMemory, wakeFds: readonly number[], workers: readonly EspWorker[]) {
    this.#memory = memory;
    this.#wakeFds = wakeFds;
    this.#workers = workers;
  }

  static async start({ workers, engine, memory }: WorkersOptions): Promise<Workers> {
    const wakeFds = Array.from({ length: workers }, () => openEventfd());
    const all = wakeFds.map((_, worker) => new EspWorker({ worker, engine, memory: memory.shared, wakeFds }));
    all.forEach((_, worker) => {
      memory.board.setStatus(worker, WorkerStatus.RUNNING);
    });
    return new InThread(memory, wakeFds, all);
  }

  wake(): void {
    for (const fd of this.#wakeFds) wake(fd);
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) this.step();
  }

  failures(): readonly WorkerFailure[] {
    return this.#failures;
  }

  step(): number {
    let packets = 0;
    this.#workers.forEach((each, worker) => {
      if (this.#memory.board.status(worker) !== WorkerStatus.RUNNING) return;
      try {
        packets += each.round(0);
      } catch (error) {
        this.#memory.board.setStatus(worker, WorkerStatus.FAILED);
        this.#failures.push({ worker, message: messageOf(error) });
      }
    });
    return packets;
  }

  cpuTime(): undefined {
    return undefined;
  }

  async stop(): Promise<void> {
    this.step(); // wipes the keys of SAs that are gone
    this.#workers.forEach((each, worker) => {
      each.close();
      this.#memory.board.setStatus(worker, WorkerStatus.STOPPED);
    });
    for (const fd of this.#wakeFds) close(fd);
  }
}
