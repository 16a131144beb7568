/**
 * `espalier tune`: the number of workers, the pairs of SAs of a tunnel, the batch size, the poll strategy and the engine that
 * carry the most on this machine, for the suite and the encapsulation of a configuration. Where it may, it measures two
 * gateways in network namespaces with traffic between the hosts behind them; elsewhere the workers' passes in memory.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import type { EngineName } from "../crypto/engine.ts";
import { ENGINE_DRIVERS, selectEngine, suitesDoneBy } from "../crypto/select-engine.ts";
import { suiteByName } from "../crypto/suites.ts";
import { DEFAULT_BATCH, MAX_BATCH } from "../dataplane/arena.ts";
import { POLL_STRATEGIES } from "../dataplane/poll-strategy.ts";
import { MAX_WORKERS } from "../dataplane/worker-board.ts";
import { EspalierError } from "../errors.ts";
import { tunUnavailable } from "../linux/capabilities.ts";
import { benchEsp } from "./esp.ts";
import { cpuSeconds } from "./gateway-watch.ts";
import { hasProgram, Processes } from "./processes.ts";
import { mainProgram, type SelfSettings, startSelf } from "./self-gateways.ts";
import { Sites } from "./sites.ts";
import { moveTraffic } from "./traffic.ts";
import {
  allCandidates,
  type Candidate,
  searchSettings,
  type TuneOutcome,
  type TuneSample,
  type TuneSpace,
} from "./tune-search.ts";

export interface TuneOptions {
  readonly suite?: string;
  readonly encap?: SelfSettings["encap"];
  /** Where to begin: what is configured. */
  readonly workers?: number;
  readonly poll?: SelfSettings["poll"];
  readonly engine?: EngineName | "auto";
  readonly sas?: number | "auto";
  readonly batch?: number;
  /** Of each setting the values to try, the cheapest first; default: what is likely to be the best. */
  readonly values?: TuneValues;
  /** Seconds, all in all; 5 to 86400, default 60. */
  readonly budget?: number;
  /** TCP streams; default 4. */
  readonly streams?: number;
  /** Measure all settings: takes its time. */
  readonly exhaustive?: boolean;
  /** Aborted: it ends with what it has. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (share: number, what: string) => void;
}

/** Lists that are not empty. */
export interface TuneValues {
  readonly workers?: readonly number[];
  readonly sas?: readonly (number | "auto")[];
  readonly batch?: readonly number[];
  readonly poll?: readonly NonNullable<TuneOptions["poll"]>[];
  readonly engine?: readonly EngineName[];
}

export interface TuneResult extends TuneOutcome {
  readonly by: "tunnel" | "memory";
  /** Why not through a tunnel. */
  readonly whyMemory: string | null;
  readonly processors: number;
  readonly suite: string;
  /** What is to be set. */
  readonly settings: {
    readonly workers: number;
    readonly batch: number;
    readonly poll?: string;
    readonly engine: string;
    readonly sas?: number | "auto";
  };
  readonly reasons: readonly string[];
}

const WARM_UP = 1; // seconds: iperf3 counts whole ones
const SECONDS = 1;

/** Rejects with ESPALIER_USAGE for an option out of its range. */
export const tune = async (options: TuneOptions = {}): Promise<TuneResult> => {
  const { suite = "aes256gcm16", budget = 60 } = options;
  if (!(budget >= 5 && budget <= 86_400))
    throw new EspalierError("ESPALIER_USAGE", `budget: expected 5 to 86400 seconds, not ${budget}`);
  if (suiteByName(suite) === undefined) throw new EspalierError("ESPALIER_USAGE", `no suite is called ${suite}`);
  checkValues(options.values, suite);
  mainProgram();
  const whyMemory = noTunnel();
  const outcome =
    whyMemory === undefined ? await throughTunnel(suite, budget, options) : await inMemory(suite, budget, options);
  const { best } = outcome;
  const processors = cpus().length;
  const { workers, batch, poll, engine, sas } = best.candidate;
  return {
    ...outcome,
    by: whyMemory === undefined ? "tunnel" : "memory",
    whyMemory: whyMemory ?? null,
    processors,
    suite,
    settings: {
      workers: Number(workers),
      batch: Number(batch),
      // For the other suites of a configuration another engine may be the best.
      engine: (options.engine ?? "auto") === "auto" && engine === chosenFor(suite) ? "auto" : String(engine),
      ...(poll === undefined ? {} : { poll: String(poll) }),
      ...(sas === undefined ? {} : { sas: sas === "auto" ? ("auto" as const) : Number(sas) }),
    },
    reasons: reasonsOf(outcome, processors),
  };
};

const checkValues = (values: TuneValues | undefined, suite: string): void => {
  const { workers = [], sas = [], batch = [], poll = [], engine = [] } = values ?? {};
  const wrong = (message: string): never => {
    throw new EspalierError("ESPALIER_USAGE", message);
  };
  const inRange = (name: string, values: readonly (number | "auto")[], most: number): void => {
    for (const value of values)
      if (value !== "auto" && !(Number.isInteger(value) && value >= 1 && value <= most))
        wrong(`${name}: expected whole numbers from 1 to ${most}, not ${value}`);
  };
  const among = (name: string, values: readonly string[], all: readonly string[]): void => {
    for (const value of values) if (!all.includes(value)) wrong(`${name}: expected ${all.join(", ")}, not ${value}`);
  };
  for (const [name, list] of Object.entries(values ?? {})) if (list.length === 0) wrong(`${name}: no value to try`);
  inRange("workers", workers, MAX_WORKERS);
  inRange("sas", sas, MAX_WORKERS);
  inRange("batch", batch, MAX_BATCH);
  among("poll", poll, POLL_STRATEGIES);
  among(
    "engine",
    engine,
    ENGINE_DRIVERS.map(({ name }) => name),
  );
  for (const name of engine)
    if (!suitesDoneBy(name).some((each) => each.name === suite)) wrong(`the engine ${name} does not do ${suite} here`);
};

const NEEDED = ["ip", "nsenter", "iperf3"];

const noTunnel = (): string | undefined => {
  if (process.getuid?.() !== 0) return "network namespaces take root";
  const missing = NEEDED.filter((program) => !hasProgram(program));
  if (missing.length > 0) return `not installed: ${missing.join(", ")}`;
  return tunUnavailable()?.message;
};

/** 1, 2, 4 … to twice the processors, the processors themselves, and what is configured. */
const workerCounts = (configured: number): number[] => {
  const processors = cpus().length;
  const counts = new Set([processors, configured]);
  for (let count = 1; count <= 2 * processors; count *= 2) counts.add(count);
  return [...counts].filter((count) => count <= MAX_WORKERS).sort((a, b) => a - b);
};

/** Engines that do the suite here; the one that is configured is among them, if it does. */
const enginesFor = (suite: string): EngineName[] =>
  ENGINE_DRIVERS.filter(({ name }) => name !== "noble" && suitesDoneBy(name).some((each) => each.name === suite)).map(
    ({ name }) => name,
  );

/** What `auto` means here. */
const chosenFor = (suite: string): EngineName => selectEngine("auto", [suiteByName(suite)!]).drivers[0]!.name;

/** Packets of a batch that are tried: half and a quarter of what is usual, and all that a worker has room for. */
const BATCHES = [32, 64, DEFAULT_BATCH, MAX_BATCH];

/** More workers cost the most; then those that wait with open eyes. */
const DEAREST = ["workers", "poll", "sas", "batch", "engine"];

/** What is tried, and what it begins with: what is configured, where that is among what was asked for. */
const spaceOf = (suite: string, options: TuneOptions): TuneSpace => {
  const { workers = 1, batch = DEFAULT_BATCH, poll = "adaptive", engine = "auto", sas = "auto" } = options;
  const { values: only = {} } = options;
  const engines = enginesFor(suite);
  const first = engine === "auto" ? chosenFor(suite) : engine;
  const counts = only.workers ?? workerCounts(workers);
  const pairs = [...counts].sort((a, b) => a - b).slice(0, -1);
  const values = {
    engine: only.engine ?? (engines.includes(first) ? engines : [first, ...engines]),
    workers: counts,
    sas: only.sas ?? ["auto", ...new Set([...pairs, ...(sas === "auto" ? [] : [sas])])],
    poll: only.poll ?? ["sleep", "adaptive", "spin"],
    batch: only.batch ?? [...new Set([...BATCHES, batch])].sort((a, b) => a - b),
  };
  // As many pairs as workers is what auto means.
  const isPossible = (candidate: Candidate): boolean =>
    candidate["sas"] === "auto" || Number(candidate["sas"]) < Number(candidate["workers"]);
  const configured = { workers, sas: sas === "auto" || sas >= workers ? "auto" : sas, batch, poll, engine: first };
  const start = Object.fromEntries(
    Object.entries(values).map(([name, of]) => {
      const wanted = configured[name as keyof typeof configured];
      return [name, (of as readonly (string | number)[]).includes(wanted) ? wanted : of[0]!];
    }),
  );
  const space = { values, start, isPossible, dearest: DEAREST };
  if (isPossible(start)) return space;
  const [candidate] = allCandidates(space);
  if (candidate === undefined) throw new EspalierError("ESPALIER_USAGE", "of these settings no two go together");
  return { ...space, start: candidate };
};

const throughTunnel = async (suite: string, budget: number, options: TuneOptions): Promise<TuneOutcome> => {
  const { encap = "auto", streams = 4, signal } = options;
  const space = spaceOf(suite, options);
  const processes = new Processes(signal);
  const sites = new Sites(processes, `esb${process.pid}`);
  const directory = mkdtempSync(join(tmpdir(), `espalier-bench-${process.pid}-`));
  const measure = async (candidate: Candidate): Promise<TuneSample> => {
    const settings: SelfSettings = {
      suite,
      encap,
      workers: Number(candidate["workers"]),
      batch: Number(candidate["batch"]),
      sas: candidate["sas"] === "auto" ? "auto" : Number(candidate["sas"]),
      engine: String(candidate["engine"]),
      poll: candidate["poll"] as SelfSettings["poll"],
    };
    const gateways = await startSelf({ processes, sites, directory }, settings);
    try {
      const traffic = { streams, udp: undefined, rate: undefined };
      await moveTraffic(processes, sites, { ...traffic, seconds: WARM_UP });
      const before = cpuSeconds(gateways.processes);
      const carried = await moveTraffic(processes, sites, { ...traffic, seconds: SECONDS });
      const cpu = cpuSeconds(gateways.processes) - before;
      const packets = Math.max(1, carried.packets);
      return {
        gbps: (carried.bytes * 8) / carried.seconds / 1e9,
        lostShare: (carried.retransmits ?? 0) / packets,
        lateShare: (carried.outOfOrder ?? 0) / packets,
        cores: cpu / carried.seconds,
      };
    } finally {
      await Promise.all(gateways.processes.map((gateway) => gateway.end()));
    }
  };
  try {
    await sites.make({ offloads: true });
    return await searchSettings(space, budgetOf(budget, options), measure);
  } finally {
    await processes.endAll();
    await sites.remove();
    rmSync(directory, { recursive: true, force: true });
  }
};

const MEMORY_SIZE = 1400;
const MEMORY_SECONDS = 0.3;

/** Poll strategy and SAs play no part in memory. */
const inMemory = async (suite: string, budget: number, options: TuneOptions): Promise<TuneOutcome> => {
  const { values, start } = spaceOf(suite, options);
  const space: TuneSpace = {
    values: { engine: values["engine"]!, workers: values["workers"]!, batch: values["batch"]! },
    dearest: ["workers", "batch", "engine"],
    start: { workers: start["workers"]!, batch: start["batch"]!, engine: start["engine"]! },
  };
  return searchSettings(space, budgetOf(budget, options), async ({ workers, batch, engine }) => {
    const rows = await benchEsp({
      suites: [suite],
      sizes: [MEMORY_SIZE],
      workers: [Number(workers)],
      batches: [Number(batch)],
      engines: [engine as EngineName],
      seconds: MEMORY_SECONDS,
      ceiling: false,
    });
    // A packet is sealed once and opened once: its time is the sum of both.
    const gbps = 1 / rows.reduce((sum, row) => sum + 1 / row.gbps, 0);
    const dropped = rows.reduce((sum, { drops, packets }) => sum + drops / packets, 0);
    return { gbps, lostShare: dropped, lateShare: 0, cores: Math.min(Number(workers), cpus().length) };
  });
};

const budgetOf = (seconds: number, { signal, exhaustive, onProgress }: TuneOptions) => ({
  now: () => performance.now(),
  ms: seconds * 1000,
  ...(signal === undefined ? {} : { signal }),
  ...(exhaustive === undefined ? {} : { isExhaustive: exhaustive }),
  ...(onProgress === undefined ? {} : { onProgress }),
});

const percent = (share: number): string => `${share < 0 ? "" : "+"}${(share * 100).toFixed(0)} %`;

/** What was learnt of each setting: the best that each other value of it came to, against the chosen one. */
const reasonsOf = ({ best, measured, noise }: TuneOutcome, processors: number): string[] => {
  const reasons: string[] = [];
  for (const [name, chosen] of Object.entries(best.candidate)) {
    const others = [...new Set(measured.map(({ candidate }) => candidate[name]!))].filter((value) => value !== chosen);
    const compared = others.map((value) => {
      const top = measured.find(({ candidate }) => candidate[name] === value)!;
      const many = name === "workers" && Number(value) > processors ? `, more than the ${processors} processors` : "";
      return `${value}${many}: ${percent(top.score / best.score - 1)}`;
    });
    if (compared.length > 0) reasons.push(`${name} ${chosen}; the best with ${compared.join("; with ")}`);
  }
  const first = measured.find(({ isFinalist }) => isFinalist);
  if (first !== undefined && first !== best)
    reasons.push(
      `another came to ${percent(first.score / best.score - 1)}, within the noise of ${(noise * 100).toFixed(0)} %: the cheaper one was chosen`,
    );
  return reasons;
};
