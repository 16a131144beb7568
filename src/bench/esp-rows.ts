/** What `espalier bench esp` is asked for and what it answers: every combination of the options is a row. */
import type { EngineName } from "../crypto/engine.ts";
import { SUITES, type Suite, suiteByName } from "../crypto/suites.ts";
import { BATCH, MAX_BATCH, OUTBOUND_AREA, outboundRoom } from "../dataplane/arena.ts";
import { MAX_WORKERS } from "../dataplane/worker-board.ts";
import { EspalierError } from "../errors.ts";
import { DEFAULT_WINDOW, MAX_WINDOW, MIN_WINDOW } from "../ipsec/replay.ts";
import { IMIX, mostOctets, type PacketSize } from "./inner-packets.ts";

export type EspDirection = "seal" | "open";

/** Lists: a row for every combination. What is left out has a default. */
export interface EspBenchOptions {
  /** Names of suites; default one of each cipher. */
  readonly suites?: readonly string[];
  /** Default both. */
  readonly directions?: readonly EspDirection[];
  /** Octets of the inner packet, 28 to 9000, or `imix`; default 64 and 1400. */
  readonly sizes?: readonly PacketSize[];
  /** Threads, 1 to 64; default 1. */
  readonly workers?: readonly number[];
  /** SAs that each worker owns, 1 to 65536 in all: they have packets in turns. Default 1. */
  readonly sas?: readonly number[];
  /** Packets that an SA has before it is another's turn, as a super-packet's segments come: 1 to 256; default 1. */
  readonly trains?: readonly number[];
  /** Default `auto`: the fastest here for the suite. */
  readonly engines?: readonly (EngineName | "auto")[];
  /** Extended sequence numbers; default false. */
  readonly esn?: boolean;
  /** Replay window in packets, 32 to 4096; default 1024. */
  readonly windows?: readonly number[];
  /** Packets of a batch, 1 to 256, so that it fits a worker's memory; default 64. */
  readonly batches?: readonly number[];
  /** That are timed, for each row, 0.01 to 600; default 1. */
  readonly seconds?: number;
  /** Measure beside each row, in turns with it, what its cipher does without espalier; default true. */
  readonly ceiling?: boolean;
}

/** One combination. */
export interface EspTask {
  readonly suite: Suite;
  readonly direction: EspDirection;
  readonly size: PacketSize;
  readonly workers: number;
  readonly sas: number;
  readonly train: number;
  readonly engine: EngineName | "auto";
  readonly esn: boolean;
  readonly window: number;
  readonly batch: number;
  readonly seconds: number;
}

/** What one combination came to. */
export interface EspBenchRow {
  readonly suite: string;
  readonly direction: EspDirection;
  /** Octets of the inner packet, or the mix of sizes. */
  readonly size: PacketSize;
  readonly workers: number;
  /** SAs of each worker. */
  readonly sas: number;
  /** Packets of one SA that follow one another. */
  readonly train: number;
  readonly engine: EngineName;
  readonly esn: boolean;
  readonly window: number;
  readonly batch: number;
  /** Timed: the mean over the workers. */
  readonly seconds: number;
  /** That passed, of all workers. */
  readonly packets: number;
  readonly pps: number;
  /** 10^9 bits of inner packets a second. */
  readonly gbps: number;
  /** Nanoseconds of processor time of the workers for each packet; null where the kernel does not tell. */
  readonly cpuNsPerPacket: number | null;
  /** Processor cycles of the workers for each packet; null where perf may not count them. */
  readonly cyclesPerPacket: number | null;
  /** Packets that did not pass: any but 0 makes the row worthless. */
  readonly drops: number;
  /** Who was measured beside it: a loop in C over the same packets, or `openssl speed`. Null where there is none. */
  readonly ceiling: string | null;
  /** Its packets a second, with as many threads or processes: the median of the turns. */
  readonly ceilingPps: number | null;
  /** `pps` of that, the median of the turns: 1 is all of it. */
  readonly share: number | null;
  /** Packets a second of the engine alone, called by the same threads for the same octets; null when not asked for. */
  readonly enginePps: number | null;
  /** `pps` of that, the median of the turns. */
  readonly engineShare: number | null;
  /** `pps` of each turn, in their order. */
  readonly samples: readonly number[];
  /** `ceilingPps` of each turn; empty without a ceiling. */
  readonly ceilingSamples: readonly number[];
  /** Of each turn; empty where the kernel does not tell. */
  readonly alsoSamples: { readonly cpuNsPerPacket: readonly number[] };
}

/** In place of names: every suite that the engine does. */
export const ALL_SUITES = "all";

export const DEFAULT_SUITES: readonly string[] = ["aes256gcm16", "aes128-sha256", "chacha20poly1305"];

const MAX_SAS = 65_536;

const wrong = (message: string, remedy?: string): never => {
  throw new EspalierError("ESPALIER_USAGE", message, remedy === undefined ? {} : { remedy });
};

const suiteOf = (name: string): Suite =>
  suiteByName(name) ?? wrong(`no suite is called ${name}`, `Suites: ${SUITES.map((suite) => suite.name).join(", ")}.`);

const directionOf = (direction: EspDirection): EspDirection =>
  direction === "seal" || direction === "open" ? direction : wrong(`a direction is seal or open, not ${direction}`);

const whole = (what: string, least: number, most: number) => (value: number) =>
  Number.isInteger(value) && value >= least && value <= most
    ? value
    : wrong(`${what}: expected a whole number from ${least} to ${most}, not ${value}`);

/** All combinations, in the order of the lists. Throws ESPALIER_USAGE for what is out of its range. */
export const espTasks = (options: EspBenchOptions): EspTask[] => {
  const { esn = false, seconds = 1 } = options;
  if (!(seconds >= 0.01 && seconds <= 600)) wrong(`seconds: expected 0.01 to 600, not ${seconds}`);
  const suites = (options.suites ?? DEFAULT_SUITES).flatMap((name) => (name === ALL_SUITES ? SUITES : suiteOf(name)));
  const engines = options.engines ?? ["auto"];
  const octets = whole("size", 28, 9000);
  const sizes = (options.sizes ?? [64, 1400]).map((size) => (size === IMIX ? size : octets(size)));
  const workerCounts = (options.workers ?? [1]).map(whole("workers", 1, MAX_WORKERS));
  const sasCounts = (options.sas ?? [1]).map(whole("sas", 1, MAX_SAS));
  const trains = (options.trains ?? [1]).map(whole("train", 1, MAX_BATCH));
  const windows = (options.windows ?? [DEFAULT_WINDOW]).map(whole("window", MIN_WINDOW, MAX_WINDOW));
  const batches = (options.batches ?? [BATCH]).map(whole("batch", 1, MAX_BATCH));
  const directions = (options.directions ?? ["seal", "open"]).map(directionOf);
  const most = Math.max(...sasCounts) * Math.max(...workerCounts);
  if (most > MAX_SAS) wrong(`${most} SAs are too many: at most ${MAX_SAS}`, "sas counts the SAs of each worker.");
  const octetsAtOnce = Math.max(...batches) * Math.max(...sizes.map((size) => outboundRoom(mostOctets(size))));
  if (octetsAtOnce > OUTBOUND_AREA)
    wrong("batches of so many packets of that size do not fit a worker's memory", "Leave out large sizes or batches.");
  const tasks = suites.flatMap((suite) =>
    engines.flatMap((engine) =>
      sizes.flatMap((size) =>
        workerCounts.flatMap((workers) =>
          sasCounts.flatMap((sas) =>
            trains.flatMap((train) =>
              windows.flatMap((window) =>
                batches.flatMap((batch) =>
                  directions.map((direction) => ({
                    suite,
                    direction,
                    size,
                    workers,
                    sas,
                    train,
                    engine,
                    esn,
                    window,
                    batch,
                    seconds,
                  })),
                ),
              ),
            ),
          ),
        ),
      ),
    ),
  );
  return tasks.length > 0 ? tasks : wrong("an empty list of options leaves nothing to measure");
};
