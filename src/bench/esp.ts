/**
 * `espalier bench esp`: what a packet costs in the workers' own code, in memory. SPD or SPI lookup, sequence number and
 * replay window, framing, padding and engine are in it, a batch at a time as in a worker; sockets and TUN devices are not.
 */
import { setTimeout } from "node:timers/promises";
import { Piscina } from "piscina";
import type { EngineName } from "../crypto/engine.ts";
import { selectEngine } from "../crypto/select-engine.ts";
import { EspalierError } from "../errors.ts";
import { type Ceiling, ceilingOf } from "./ceiling.ts";
import { type EspBenchOptions, type EspBenchRow, type EspTask, espTasks } from "./esp-rows.ts";
import { tablesOf } from "./esp-tables.ts";
import { BOARD_SIZE, DONE, type EspThreadInit, type EspTurn, FAILED, READY, TURN } from "./esp-thread.ts";

type Task = EspTask & { readonly engine: EngineName };

/**
 * Measure every combination of the options, one after the other, each in fresh threads. `onRow` is told each row as soon as
 * it is there, and `say` once why rows have nothing measured beside them. Rejects with ESPALIER_USAGE for an option out of its range and with ESPALIER_PLATFORM for an engine that
 * cannot run here or does not give the known answers, both before anything is measured.
 */
export const benchEsp = async (
  options: EspBenchOptions = {},
  onRow: (row: EspBenchRow, of: number) => void = () => {},
  say: (line: string) => void = () => {},
): Promise<EspBenchRow[]> => {
  const tasks = withEngines(espTasks(options));
  if (import.meta.url.endsWith(".ts"))
    throw new EspalierError("ESPALIER_PLATFORM", "worker threads run compiled JavaScript, and this is TypeScript", {
      remedy: "Run `npm run build` and use dist/.",
    });
  const rows: EspBenchRow[] = [];
  const said = new Set<string>();
  for (const task of tasks) {
    const ceiling = options.ceiling === false ? undefined : await ceilingOf(task);
    if (ceiling instanceof Error && !said.has(ceiling.message)) {
      said.add(ceiling.message);
      say(`no ceiling: ${ceiling.message}`);
    }
    const row = await rowOf(task, ceiling instanceof Error ? undefined : ceiling);
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

const LOOK = 2; // ms between two looks at the threads

/** Parts of a row's time that take turns with its ceiling. */
const TURNS = 5;

const rowOf = async (task: Task, ceiling: Ceiling | undefined): Promise<EspBenchRow> => {
  const { suite, direction, size, workers, sas, engine, esn, window } = task;
  const { threads, ceilings } = await inThreads(task, ceiling).finally(() => ceiling?.close());
  const results = threads.flat();
  const sum = (value: (result: EspTurn) => number, of = results): number =>
    of.reduce((total, result) => total + value(result), 0);
  const rate = (of: readonly EspTurn[]): number =>
    sum(({ packets }) => packets, [...of]) / (sum(({ spent }) => spent, [...of]) / workers / 1000);
  const packets = sum((result) => result.packets);
  const cpu = sum((result) => result.cpu ?? Number.NaN);
  const shares = ceilings.map((limit, turn) => rate(threads.map((turns) => turns[turn]!)) / limit);
  return {
    ...{ suite: suite.name, direction, size, workers, sas, engine, esn, window },
    seconds: sum(({ spent }) => spent) / workers / 1000,
    packets,
    pps: rate(results),
    gbps: (rate(results) * size * 8) / 1e9,
    cpuNsPerPacket: Number.isNaN(cpu) || packets === 0 ? null : cpu / packets,
    drops: sum((result) => result.drops),
    ceiling: ceiling?.name ?? null,
    ceilingPps: median(ceilings),
    share: median(shares),
  };
};

const median = (values: readonly number[]): number | null =>
  values.length === 0 ? null : [...values].sort((a, b) => a - b)[values.length >> 1]!;

interface Measured {
  /** Of each thread, its turns. */
  readonly threads: readonly (readonly EspTurn[])[];
  /** Packets a second of the ceiling, of each turn. */
  readonly ceilings: readonly number[];
}

const inThreads = async (task: Task, ceiling: Ceiling | undefined): Promise<Measured> => {
  const { suite, direction, size, workers, sas, engine, esn, seconds } = task;
  const memory = tablesOf({ ...task, pairs: workers * sas }).shared;
  const board = new SharedArrayBuffer(BOARD_SIZE);
  const pool = new Piscina<EspThreadInit, EspTurn[]>({
    filename: new URL("./esp-thread.js", import.meta.url).href,
    minThreads: workers,
    maxThreads: workers,
    concurrentTasksPerWorker: 1,
    atomics: "disabled",
  });
  const turns = ceiling === undefined ? 1 : TURNS;
  const both = { memory, workers, sas, engine, suite: suite.name, esn, size, direction, seconds, turns, board };
  const running = Array.from({ length: workers }, (_, worker) => pool.run({ worker, ...both }));
  const ended = Promise.allSettled(running);
  for (const task of running) task.catch(() => Atomics.store(new Int32Array(board), FAILED, 1));
  try {
    const ceilings = await takeTurns(new Int32Array(board), workers, turns, (seconds * 1000) / turns, ceiling);
    const threads = (await ended).map((end) => {
      if (end.status === "rejected") throw end.reason;
      return end.value;
    });
    return { threads, ceilings };
  } finally {
    await ended;
    await pool.destroy();
  }
};

/** Let the threads and the ceiling measure in turns of `ms` each. Returns early when a thread fails. */
const takeTurns = async (
  board: Int32Array,
  workers: number,
  turns: number,
  ms: number,
  ceiling: Ceiling | undefined,
): Promise<number[]> => {
  const reach = async (word: number, count: number): Promise<void> => {
    while (Atomics.load(board, word) < count && Atomics.load(board, FAILED) === 0) await setTimeout(LOOK);
  };
  const ceilings: number[] = [];
  try {
    await reach(READY, workers);
    for (let turn = 1; turn <= turns; turn++) {
      if (ceiling !== undefined) ceilings.push(await ceiling.measure(ms));
      Atomics.store(board, TURN, turn);
      Atomics.notify(board, TURN);
      await reach(DONE, workers * turn);
    }
  } catch (error) {
    Atomics.store(board, FAILED, 1);
    throw error;
  }
  return ceilings;
};
