/**
 * What a worker thread runs: a piscina task that lasts as long as the plane. It ends when control asks it to, or with an
 * error, which control learns from the task; it does not vanish.
 *
 * Either way its keys and packets are wiped before the thread ends. A thread that is ended from outside, or whose heap is full,
 * runs nothing any more, and nobody else knows where its engine has put its keys: then they stay in memory that is freed as it
 * is, until somebody else of this process writes there.
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
    try {
      serve(init, tools, board);
    } finally {
      tools.close(); // and with the engine all keys that are left, should its worker have failed to release them
    }
    board.setStatus(init.worker, WorkerStatus.STOPPED);
  } catch (error) {
    board.setStatus(init.worker, WorkerStatus.FAILED);
    throw error;
  }
}

const serve = (init: ThreadInit, tools: WorkerTools, board: WorkerBoard): void => {
  const worker = new EspWorker(init, tools);
  try {
    board.setStatus(init.worker, WorkerStatus.RUNNING);
    const mustStop = (): boolean => board.mustStop();
    warmUp(init, tools, () => worker.round(0), mustStop);
    while (!mustStop()) worker.round(LONGEST_SLEEP);
  } finally {
    worker.close();
  }
};
