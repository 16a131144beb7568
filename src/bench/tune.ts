/**
 * `espalier tune`: the number of workers, the pairs of SAs of a tunnel, the batch size, the poll strategy and the engine that
 * carry the most on this machine, for the suite and the encapsulation of a configuration. Where it may, it measures two
 * gateways in network namespaces with traffic between the hosts behind them; elsewhere the workers' passes in memory.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import type { EngineName } from "../crypto/engine.ts";
import { suiteByName } from "../crypto/suites.ts";
import { EspalierError } from "../errors.ts";
import { tunUnavailable } from "../linux/capabilities.ts";
import { benchEsp } from "./esp.ts";
import type { EspBenchRow } from "./esp-rows.ts";
import { cpuSeconds } from "./gateway-watch.ts";
import { describeMachine, loadAverage } from "./machine.ts";
import { hasProgram, Processes } from "./processes.ts";
import { processorTime, processorTimeSince } from "./processor-time.ts";
import { mainProgram, PATIENCE, type SelfSettings, startSelf } from "./self-gateways.ts";
import { Sites } from "./sites.ts";
import { moveTraffic } from "./traffic.ts";
import type { TuneSample } from "./tune-choice.ts";
import { reasonsOf } from "./tune-reasons.ts";
import { searchSettings, type TuneOutcome } from "./tune-search.ts";
import {
  type ConfiguredSettings,
  checkValues,
  memorySpaceOf,
  settingsOf,
  spaceOf,
  type TunedSettings,
  type TuneValues,
} from "./tune-settings.ts";
import type { Candidate } from "./tune-space.ts";

export type { TuneValues };

/** With where to begin: what is configured. */
export interface TuneOptions extends ConfiguredSettings {
  readonly suite?: string;
  readonly encap?: SelfSettings["encap"];
  /** Of each setting the values to try, the cheapest first; default: what is likely to be the best. */
  readonly values?: TuneValues;
  /** Seconds, all in all; 5 to 86400, default 60. */
  readonly budget?: number;
  /** TCP streams; 1 to 128, default 4. */
  readonly streams?: number;
  /** Measure all settings: takes its time. */
  readonly exhaustive?: boolean;
  /** Aborted: it ends with what it has. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (share: number, what: string) => void;
}

export interface TuneResult extends TuneOutcome {
  readonly by: "tunnel" | "memory";
  /** Why not through a tunnel. */
  readonly whyMemory: string | null;
  readonly processors: number;
  readonly suite: string;
  /** What is to be set. */
  readonly settings: TunedSettings;
  readonly reasons: readonly string[];
  /** Load averages of a minute before and after. */
  readonly load: readonly [number, number];
  /** Processors that others had meanwhile: other programs, and those that share the machine. */
  readonly otherCores: number;
  readonly machine: string;
}

const WARM_UP = 1; // seconds: iperf3 counts whole ones
const SECONDS = 1;
const MOST_STREAMS = 128; // of iperf3

/**
 * Rejects with ESPALIER_USAGE for an option out of its range, and with what the first measurement was refused for when none
 * could be done.
 */
export const tune = async (options: TuneOptions = {}): Promise<TuneResult> => {
  const { suite = "aes256gcm16", budget = 60, streams = 4 } = options;
  if (!(budget >= 5 && budget <= 86_400))
    throw new EspalierError("ESPALIER_USAGE", `budget: expected 5 to 86400 seconds, not ${budget}`);
  if (!(Number.isInteger(streams) && streams >= 1 && streams <= MOST_STREAMS))
    throw new EspalierError(
      "ESPALIER_USAGE",
      `streams: expected a whole number from 1 to ${MOST_STREAMS}, not ${streams}`,
    );
  if (suiteByName(suite) === undefined) throw new EspalierError("ESPALIER_USAGE", `no suite is called ${suite}`);
  checkValues(options.values, suite);
  mainProgram();
  const before = loadAverage();
  const timeBefore = processorTime();
  const whyMemory = noTunnel();
  const outcome =
    whyMemory === undefined
      ? await throughTunnel(suite, { ...options, budget, streams })
      : await inMemory(suite, { ...options, budget });
  const { others, stolen, wall } = processorTimeSince(timeBefore);
  const processors = cpus().length;
  return {
    ...outcome,
    by: whyMemory === undefined ? "tunnel" : "memory",
    whyMemory: whyMemory ?? null,
    processors,
    suite,
    settings: settingsOf(outcome.best.candidate, suite, options.engine),
    reasons: reasonsOf(outcome, processors),
    load: [before, loadAverage()],
    otherCores: (others + stolen) / wall,
    machine: describeMachine(),
  };
};

const NEEDED = ["ip", "nsenter", "iperf3"];

const noTunnel = (): string | undefined => {
  if (process.getuid?.() !== 0) return "network namespaces take root";
  const missing = NEEDED.filter((program) => !hasProgram(program));
  if (missing.length > 0) return `not installed: ${missing.join(", ")}`;
  return tunUnavailable()?.message;
};

/** ms that a tunnel has to come up when little of the budget is left: more than any needs that is any good. */
const LEAST_PATIENCE = 8000;

const throughTunnel = async (
  suite: string,
  options: TuneOptions & { readonly budget: number; readonly streams: number },
): Promise<TuneOutcome> => {
  const { encap = "auto", streams, signal } = options;
  const space = spaceOf(suite, options, options.values);
  const processes = new Processes(signal);
  const sites = new Sites(processes, `esb${process.pid}`);
  const directory = mkdtempSync(join(tmpdir(), `espalier-bench-${process.pid}-`));
  const measure = async (candidate: Candidate, left: number): Promise<TuneSample> => {
    const settings: SelfSettings = {
      suite,
      encap,
      workers: Number(candidate["workers"]),
      batch: Number(candidate["batch"]),
      sas: candidate["sas"] === "auto" ? "auto" : Number(candidate["sas"]),
      engine: String(candidate["engine"]),
      poll: candidate["poll"] as SelfSettings["poll"],
    };
    const patience = Math.min(PATIENCE, Math.max(LEAST_PATIENCE, left));
    const gateways = await startSelf({ processes, sites, directory }, settings, patience);
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
    return await searchSettings(space, budgetOf(options), measure);
  } finally {
    await processes.endAll();
    await sites.remove();
    rmSync(directory, { recursive: true, force: true });
  }
};

const MEMORY_SIZE = 1400;
const MEMORY_SECONDS = 0.3;

const inMemory = async (suite: string, options: TuneOptions & { readonly budget: number }): Promise<TuneOutcome> => {
  const space = memorySpaceOf(spaceOf(suite, options, options.values));
  return searchSettings(space, budgetOf(options), async ({ workers, batch, engine }) => {
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
    return { gbps, lostShare: dropped, lateShare: 0, cores: busyCores(rows) };
  });
};

/** Processor time of a packet that is sealed and opened, in its time; null where the kernel does not tell it. */
const busyCores = (rows: readonly EspBenchRow[]): number | null => {
  const cpuNs = rows.map(({ cpuNsPerPacket }) => cpuNsPerPacket);
  const known = cpuNs.filter((ns) => ns !== null);
  const ns = rows.reduce((sum, { pps }) => sum + 1e9 / pps, 0);
  return known.length < cpuNs.length ? null : known.reduce((sum, each) => sum + each, 0) / ns;
};

const budgetOf = ({ budget, signal, exhaustive, onProgress }: TuneOptions & { readonly budget: number }) => ({
  now: () => performance.now(),
  ms: budget * 1000,
  ...(signal === undefined ? {} : { signal }),
  ...(exhaustive === undefined ? {} : { isExhaustive: exhaustive }),
  ...(onProgress === undefined ? {} : { onProgress }),
});
