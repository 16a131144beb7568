/**
 * What a worker thread runs: a piscina task that lasts as long as the plane. It ends when control asks it to, or with an
 * error, which control learns from the task; it does not vanish.
 */
import { readlinkSync } from "node:fs";
import type { EngineName } from "../crypto/engine.ts";
import type { EnginePlan } from "../crypto/engine-plan.ts";
import { pinThread } from "../linux/affinity.ts";
import { EspWorker, type WorkerInit } from "./esp-worker.ts";
import { warmUp } from "./warm-up.ts";
import { WorkerBoard, WorkerStatus } from "./worker-board.ts";
import { WorkerTools } from "./worker-tools.ts";

export interface ThreadInit extends WorkerInit {
  readonly engine: EngineName | EnginePlan;
  /** The only CPU that the thread runs on, -1 for any. */
  readonly cpu: number;
}

/** Longest sleep, in ms: a process that exits without `stop` waits no longer for its threads. */
const LONGEST_SLEEP = 500;

/** `PID/task/TID`: the kernel's number of this thread, by which control finds its CPU time. */
const threadId = (): number => Number(readlinkSync("/proc/thread-self").split("/").at(-1));

export default function run(init: ThreadInit): void {
  const board = new WorkerBoard(init.memory.board);
  try {
    board.setThread(init.worker, threadId());
    if (init.cpu >= 0) pinThread(init.cpu);
    const tools = new WorkerTools(init.engine);
    const worker = new EspWorker(init, tools);
    try {
      board.setStatus(init.worker, WorkerStatus.RUNNING);
      const mustStop = (): boolean => board.mustStop();
      warmUp(init, tools, () => worker.round(0), mustStop);
      while (!mustStop()) worker.round(LONGEST_SLEEP);
    } finally {
      worker.close();
      tools.close();
    }
    board.setStatus(init.worker, WorkerStatus.STOPPED);
  } catch (error) {
    board.setStatus(init.worker, WorkerStatus.FAILED);
    throw error;
  }
}
