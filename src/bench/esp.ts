/**
 * `espalier bench esp`: what a packet costs in the workers' own code, in memory. SPD or SPI lookup, sequence number and
 * replay window, framing, padding and engine are in it, a batch at a time as in a worker; sockets and TUN devices are not.
 */
import { setTimeout } from "node:timers/promises";
import { Piscina } from "piscina";
import type { EngineName } from "../crypto/engine.ts";
import { selectEngine, suitesDoneBy } from "../crypto/select-engine.ts";
import { EspalierError } from "../errors.ts";
import { type Ceiling, ceilingOf } from "./ceiling.ts";
import { countCycles, cyclesUnavailable } from "./cycles.ts";
import { ALL_SUITES, type EspBenchOptions, type EspBenchRow, type EspTask, espTasks } from "./esp-rows.ts";
import { tablesOf } from "./esp-tables.ts";
import { BOARD_SIZE, DONE, type EspThreadInit, type EspTurn, FAILED, READY, TURN } from "./esp-thread.ts";
import { meanOctets } from "./inner-packets.ts";
import { medianOrNull } from "./statistics.ts";

type Task = EspTask & { readonly engine: EngineName };

/**
 * Measure every combination of the options, one after the other, each in fresh threads. `onRow` is told each row as soon as
 * it is there, and `say` once why rows lack something. Rejects with ESPALIER_USAGE for an option out of its range and with ESPALIER_PLATFORM for an engine that
 * cannot run here or does not give the known answers, both before anything is measured.
 */
export const benchEsp = async (
  options: EspBenchOptions = {},
  onRow: (row: EspBenchRow, of: number) => void = () => {},
  say: (line: string) => void = () => {},
): Promise<EspBenchRow[]> => {
  const tasks = withEngines(donable(options));
  if (import.meta.url.endsWith(".ts"))
    throw new EspalierError("ESPALIER_PLATFORM", "worker threads run compiled JavaScript, and this is TypeScript", {
      remedy: "Run `npm run build` and use dist/.",
    });
  const rows: EspBenchRow[] = [];
  const said = new Set<string>();
  const once = (line: string): void => {
    if (!said.has(line)) say(line);
    said.add(line);
  };
  const noCycles = cyclesUnavailable();
  if (noCycles !== undefined) once(`no cycles: ${noCycles}`);
  for (const task of tasks) {
    const ceiling = options.ceiling === false ? undefined : await ceilingOf(task);
    if (ceiling instanceof Error) once(`no ceiling: ${ceiling.message}`);
    const beside = { ceiling: ceiling instanceof Error ? undefined : ceiling, alone: options.ceiling !== false };
    const row = await rowOf(task, { ...beside, cycles: noCycles === undefined });
    rows.push(row);
    onRow(row, tasks.length);
  }
  return rows;
};

/** Of `all` suites those that the engine does here; what was asked for by name must be possible. */
const donable = (options: EspBenchOptions): readonly EspTask[] => {
  const tasks = espTasks(options);
  if (!options.suites?.includes(ALL_SUITES)) return tasks;
  const done = new Map([...new Set(tasks.map(({ engine }) => engine))].map((name) => [name, suitesDoneBy(name)]));
  return tasks.filter(({ engine, suite }) => done.get(engine)?.includes(suite));
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

/** Parts of a row's time, each a sample: they take turns with the ceiling. */
const TURNS = 5;

/** What is measured beside a row. */
interface Beside {
  readonly ceiling: Ceiling | undefined;
  /** The engine alone. */
  readonly alone: boolean;
  /** perf may count them. */
  readonly cycles: boolean;
}

const rowOf = async (task: Task, beside: Beside): Promise<EspBenchRow> => {
  const { suite, direction, size, workers, sas, train, engine, esn, window, batch } = task;
  const { ceiling } = beside;
  const cycles = beside.cycles ? countCycles() : undefined;
  const { threads, ceilings } = await inThreads(task, beside).finally(() => ceiling?.close());
  const perNs = await cycles?.end();
  const results = threads.flat();
  const sum = (value: (result: EspTurn) => number, of = results): number =>
    of.reduce((total, result) => total + value(result), 0);
  const rate = (of: readonly EspTurn[]): number =>
    sum(({ packets }) => packets, [...of]) / (sum(({ spent }) => spent, [...of]) / workers / 1000);
  const packets = sum((result) => result.packets);
  const cost = (of: readonly EspTurn[]): number =>
    sum(({ cpu = Number.NaN }) => cpu, [...of]) / sum((result) => result.packets, [...of]);
  const samples = Array.from({ length: TURNS }, (_, turn) => rate(threads.map((turns) => turns[turn]!)));
  const engineAlone = samples.map((_, turn) =>
    sum(
      ({ alone = Number.NaN }) => alone,
      threads.map((turns) => turns[turn]!),
    ),
  );
  const costs = samples.map((_, turn) => cost(threads.map((turns) => turns[turn]!)));
  const known = engineAlone.filter((pps) => !Number.isNaN(pps));
  const cpuNsPerPacket = Number.isFinite(cost(results)) ? cost(results) : null;
  return {
    ...{ suite: suite.name, direction, size, workers, sas, train, engine, esn, window, batch },
    seconds: sum(({ spent }) => spent) / workers / 1000,
    packets,
    pps: rate(results),
    gbps: (rate(results) * meanOctets(size, batch) * 8) / 1e9,
    cpuNsPerPacket,
    cyclesPerPacket: perNs === undefined || cpuNsPerPacket === null ? null : cpuNsPerPacket * perNs,
    drops: sum((result) => result.drops),
    ceiling: ceiling?.name ?? null,
    ceilingPps: medianOrNull(ceilings),
    share: medianOrNull(ceilings.map((limit, turn) => samples[turn]! / limit)),
    enginePps: medianOrNull(known),
    engineShare: medianOrNull(known.map((limit, turn) => samples[turn]! / limit)),
    samples,
    ceilingSamples: ceilings,
    alsoSamples: { cpuNsPerPacket: costs.every(Number.isFinite) ? costs : [] },
  };
};

interface Measured {
  /** Of each thread, its turns. */
  readonly threads: readonly (readonly EspTurn[])[];
  /** Packets a second of the ceiling, of each turn. */
  readonly ceilings: readonly number[];
}

const inThreads = async (task: Task, { ceiling, alone }: Beside): Promise<Measured> => {
  const { suite, direction, size, workers, sas, train, engine, esn, batch, seconds } = task;
  const memory = tablesOf({ ...task, pairs: workers * sas }).shared;
  const board = new SharedArrayBuffer(BOARD_SIZE);
  const pool = new Piscina<EspThreadInit, EspTurn[]>({
    filename: new URL("./esp-thread.js", import.meta.url).href,
    minThreads: workers,
    maxThreads: workers,
    concurrentTasksPerWorker: 1,
    atomics: "disabled",
  });
  const both = {
    memory,
    workers,
    sas,
    train,
    engine,
    suite: suite.name,
    esn,
    size,
    batch,
    direction,
    seconds,
    turns: TURNS,
    alone,
    board,
  };
  const running = Array.from({ length: workers }, (_, worker) => pool.run({ worker, ...both }));
  const ended = Promise.allSettled(running);
  for (const task of running) task.catch(() => Atomics.store(new Int32Array(board), FAILED, 1));
  try {
    const ceilings = await takeTurns(new Int32Array(board), workers, (seconds * 1000) / TURNS, ceiling);
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
  ms: number,
  ceiling: Ceiling | undefined,
): Promise<number[]> => {
  const reach = async (word: number, count: number): Promise<void> => {
    while (Atomics.load(board, word) < count && Atomics.load(board, FAILED) === 0) await setTimeout(LOOK);
  };
  const ceilings: number[] = [];
  try {
    await reach(READY, workers);
    for (let turn = 1; turn <= TURNS; turn++) {
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
