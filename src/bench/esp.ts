/**
 * `espalier bench esp`: what a packet costs in the workers' own code, in memory. SPD or SPI lookup, sequence number and
 * replay window, framing, padding and engine are in it, a batch at a time as in a worker; sockets and TUN devices are not.
 */
import { Piscina } from "piscina";
import type { EngineName } from "../crypto/engine.ts";
import { selectEngine } from "../crypto/select-engine.ts";
import { EspalierError } from "../errors.ts";
import { type EspBenchOptions, type EspBenchRow, type EspTask, espTasks } from "./esp-rows.ts";
import { tablesOf } from "./esp-tables.ts";
import { BOARD_SIZE, type EspThreadInit, type EspThreadResult } from "./esp-thread.ts";

type Task = EspTask & { readonly engine: EngineName };

/**
 * Measure every combination of the options, one after the other, each in fresh threads. `onRow` is told each row as soon as
 * it is there. Rejects with ESPALIER_USAGE for an option out of its range and with ESPALIER_PLATFORM for an engine that
 * cannot run here or does not give the known answers, both before anything is measured.
 */
export const benchEsp = async (
  options: EspBenchOptions = {},
  onRow: (row: EspBenchRow, of: number) => void = () => {},
): Promise<EspBenchRow[]> => {
  const tasks = withEngines(espTasks(options));
  if (import.meta.url.endsWith(".ts"))
    throw new EspalierError("ESPALIER_PLATFORM", "worker threads run compiled JavaScript, and this is TypeScript", {
      remedy: "Run `npm run build` and use dist/.",
    });
  const rows: EspBenchRow[] = [];
  for (const task of tasks) {
    const row = await rowOf(task);
    rows.push(row);
    onRow(row, tasks.length);
  }
  return rows;
};

/** Each suite's engine is chosen once. */
const withEngines = (tasks: readonly EspTask[]): Task[] => {
  const chosen = new Map<string, EngineName>();
  return tasks.map((task) => {
    const key = `${task.engine} ${task.suite.name}`;
    const engine = chosen.get(key) ?? selectEngine(task.engine, [task.suite]).drivers[0]!.name;
    chosen.set(key, engine);
    return { ...task, engine };
  });
};

const rowOf = async (task: Task): Promise<EspBenchRow> => {
  const { suite, direction, size, workers, sas, engine, esn, window } = task;
  const results = await inThreads(task);
  const sum = (value: (result: EspThreadResult) => number): number =>
    results.reduce((total, result) => total + value(result), 0);
  const packets = sum((result) => result.packets);
  const seconds = sum(({ spent }) => spent) / workers / 1000;
  const pps = packets / seconds;
  const cpu = sum((result) => result.cpu ?? Number.NaN);
  return {
    ...{ suite: suite.name, direction, size, workers, sas, engine, esn, window, seconds, packets, pps },
    gbps: (pps * size * 8) / 1e9,
    cpuNsPerPacket: Number.isNaN(cpu) || packets === 0 ? null : cpu / packets,
    drops: sum((result) => result.drops),
  };
};

const inThreads = async (task: Task): Promise<EspThreadResult[]> => {
  const { suite, direction, size, workers, sas, engine, esn, seconds } = task;
  const memory = tablesOf({ ...task, pairs: workers * sas }).shared;
  const board = new SharedArrayBuffer(BOARD_SIZE);
  const pool = new Piscina<EspThreadInit, EspThreadResult>({
    filename: new URL("./esp-thread.js", import.meta.url).href,
    minThreads: workers,
    maxThreads: workers,
    concurrentTasksPerWorker: 1,
    atomics: "disabled",
  });
  const both = { memory, workers, sas, engine, suite: suite.name, esn, size, direction, seconds, board };
  const ended = await Promise.allSettled(Array.from({ length: workers }, (_, worker) => pool.run({ worker, ...both })));
  await pool.destroy();
  return ended.map((end) => {
    if (end.status === "rejected") throw end.reason;
    return end.value;
  });
};
