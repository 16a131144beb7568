/**
 * `espalier bench esp`: what a packet costs in the workers' own code, in memory. SPD or SPI lookup, sequence number and
 * replay window, framing, padding and engine are in it, a batch at a time as in a worker; sockets and TUN devices are not.
 */
import { randomBytes } from "node:crypto";
import { Piscina } from "piscina";
import type { EngineName } from "../crypto/engine.ts";
import { selectEngine } from "../crypto/select-engine.ts";
import { saPath } from "../dataplane/child-sa.ts";
import { PlaneMemory } from "../dataplane/plane-memory.ts";
import { EspalierError } from "../errors.ts";
import { parseSelector } from "../ipsec/selector.ts";
import { type EspBenchOptions, type EspBenchRow, type EspTask, espTasks } from "./esp-rows.ts";
import { BOARD_SIZE, type EspThreadInit, type EspThreadResult } from "./esp-thread.ts";
import { INNER_NET } from "./inner-packets.ts";

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
    const engine = chosen.get(key) ?? selectEngine(task.engine, [task.suite]).driver.name;
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
  const memory = tablesOf(task).shared;
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

const PATH = saPath({ local: { address: "192.0.2.1", port: 0 }, remote: { address: "192.0.2.2", port: 0 } }, -1);
const SPIS = 0x4000_0000;

/** Every slot has an inbound SA and its other end: what the outbound SA seals, the inbound one opens. */
const tablesOf = ({ suite, esn, window, workers, sas }: Task): PlaneMemory => {
  const tables = PlaneMemory.create(2 ** Math.ceil(Math.log2(workers * sas)));
  const net = [parseSelector(INNER_NET)!];
  for (let slot = 0; slot < workers * sas; slot++) {
    const key = randomBytes(suite.keyLength);
    const sa = { spi: SPIS + slot, suite, esn, encap: false, tunnel: 0, window, key, path: PATH };
    tables.spd.set(slot, net, net);
    tables.sad.publish(slot, sa);
    tables.sad.publish(tables.sad.outbound(slot), sa);
  }
  return tables;
};
