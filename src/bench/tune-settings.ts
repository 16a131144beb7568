/** What `espalier tune` tries on this machine: values of each setting, where it begins, and what is said of them. */
import { cpus } from "node:os";
import type { EngineName } from "../crypto/engine.ts";
import { ENGINE_DRIVERS, selectEngine, suitesDoneBy } from "../crypto/select-engine.ts";
import { suiteByName } from "../crypto/suites.ts";
import { DEFAULT_BATCH, MAX_BATCH } from "../dataplane/arena.ts";
import { POLL_STRATEGIES, type PollStrategyName } from "../dataplane/poll-strategy.ts";
import { MAX_WORKERS } from "../dataplane/worker-board.ts";
import { EspalierError } from "../errors.ts";
import { allCandidates, type Candidate, type TuneSpace } from "./tune-space.ts";

/** What is configured: there the search begins. */
export interface ConfiguredSettings {
  readonly workers?: number;
  readonly poll?: PollStrategyName;
  readonly engine?: EngineName | "auto";
  readonly sas?: number | "auto";
  readonly batch?: number;
}

/** Lists that are not empty. */
export interface TuneValues {
  readonly workers?: readonly number[];
  readonly sas?: readonly (number | "auto")[];
  readonly batch?: readonly number[];
  readonly poll?: readonly PollStrategyName[];
  readonly engine?: readonly EngineName[];
}

/** What is to be set. */
export interface TunedSettings {
  readonly workers: number;
  readonly batch: number;
  readonly poll?: string;
  readonly engine: string;
  readonly sas?: number | "auto";
}

const wrong = (message: string): never => {
  throw new EspalierError("ESPALIER_USAGE", message);
};

/** Throws ESPALIER_USAGE for a list that is empty, and for a value out of its range or that this machine has not. */
export const checkValues = (values: TuneValues | undefined, suite: string): void => {
  const { workers = [], sas = [], batch = [], poll = [], engine = [] } = values ?? {};
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

/**
 * What is tried, and what it begins with: what is configured, where that is among what was asked for. What decides the most
 * comes first, as the time may be over before the last: pairs of SAs, whose usual one a worker is hardly ever the worse.
 */
export const spaceOf = (suite: string, configured: ConfiguredSettings, only: TuneValues = {}): TuneSpace => {
  const { workers = 1, batch = DEFAULT_BATCH, poll = "adaptive", engine = "auto", sas = "auto" } = configured;
  const engines = enginesFor(suite);
  const first = engine === "auto" ? chosenFor(suite) : engine;
  const counts = only.workers ?? workerCounts(workers);
  const pairs = [...counts].sort((a, b) => a - b).slice(0, -1);
  const values = {
    engine: only.engine ?? (engines.includes(first) ? engines : [first, ...engines]),
    workers: counts,
    batch: only.batch ?? [...new Set([...BATCHES, batch])].sort((a, b) => a - b),
    poll: only.poll ?? ["sleep", "adaptive", "spin"],
    sas: only.sas ?? ["auto", ...new Set([...pairs, ...(sas === "auto" ? [] : [sas])])],
  };
  // As many pairs as workers is what auto means.
  const isPossible = (candidate: Candidate): boolean =>
    candidate["sas"] === "auto" || Number(candidate["sas"]) < Number(candidate["workers"]);
  const wanted = { workers, sas: sas === "auto" || sas >= workers ? "auto" : sas, batch, poll, engine: first };
  const start = Object.fromEntries(
    Object.entries(values).map(([name, of]) => {
      const value = wanted[name as keyof typeof wanted];
      return [name, (of as readonly (string | number)[]).includes(value) ? value : of[0]!];
    }),
  );
  const space = { values, start, isPossible, dearest: DEAREST };
  if (isPossible(start)) return space;
  const [candidate] = allCandidates(space);
  return { ...space, start: candidate ?? wrong("of these settings no two go together") };
};

/** Poll strategy and SAs play no part in memory. */
export const memorySpaceOf = ({ values, start }: TuneSpace): TuneSpace => ({
  values: { engine: values["engine"]!, workers: values["workers"]!, batch: values["batch"]! },
  dearest: DEAREST.filter((name) => name !== "poll" && name !== "sas"),
  start: { workers: start["workers"]!, batch: start["batch"]!, engine: start["engine"]! },
});

/** What is to be written into a configuration, where the engine is `configured`. */
export const settingsOf = (
  { workers, batch, poll, engine, sas }: Candidate,
  suite: string,
  configured: EngineName | "auto" = "auto",
): TunedSettings => ({
  workers: Number(workers),
  batch: Number(batch),
  // For the other suites of a configuration another engine may be the best.
  engine: configured === "auto" && engine === chosenFor(suite) ? "auto" : String(engine),
  ...(poll === undefined ? {} : { poll: String(poll) }),
  ...(sas === undefined ? {} : { sas: sas === "auto" ? ("auto" as const) : Number(sas) }),
});
