/** What `espalier bench ike` is asked for and what it answers: each key exchange has a row in memory and one with sockets. */
import { KEX_METHODS, kexByName } from "../crypto/kex.ts";
import { EspalierError } from "../errors.ts";
import { LONGEST_STALL, measureAnswer } from "../gateway/slow-key-exchanges.ts";
import type { Done, IkeWork } from "./ike-load.ts";

/** How two gateways meet: in one thread without sockets, or in two processes over UDP on the loopback interface. */
export type IkeTransport = "memory" | "udp";

export interface IkeBenchOptions {
  /** Names of key exchange methods; default x25519, ecp256, modp2048. */
  readonly kex?: readonly string[];
  /** How the peers prove who they are; default and only `psk`. */
  readonly auth?: "psk";
  /** That are timed, for each row, 0.1 to 600; default 3. */
  readonly seconds?: number;
  /** Connections that begin again as soon as they are done, 1 to 256; default 8, with which nobody is asked for a cookie. */
  readonly concurrency?: number;
  /** Rekeys as well as handshakes; default false. */
  readonly rekeys?: boolean;
  /** Begun a second, 0.1 to 100000, over UDP; default as many as can be. */
  readonly rate?: number;
  /** Over UDP: ms above which a key exchange is computed in threads, 0 to 1000, or `never`; default 5, as in the gateway. */
  readonly keyThreads?: number | "never";
  /** Default both. */
  readonly transports?: readonly IkeTransport[];
}

export interface IkeBenchRow {
  readonly what: IkeWork;
  readonly keyExchange: string;
  readonly authentication: "psk";
  readonly transport: IkeTransport;
  /** Connections at once. */
  readonly clients: number;
  /** That was asked for; null: as many as can be. */
  readonly rate: number | null;
  /** ms above which a key exchange is computed in threads; null: never. */
  readonly keyThreads: number | null;
  /** Timed. */
  readonly seconds: number;
  readonly count: number;
  readonly perSecond: number;
  /** From the initiator's beginning until it has what it wanted: both SAs of a pair, or a new IKE SA. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /**
   * Processor time of one, by side: with `udp` of the process, its system calls and threads among it; with `memory` the time
   * in the core of the one and the other.
   */
  readonly initiatorCpuMs: number;
  readonly responderCpuMs: number;
  /** Of that what the key exchange is, a key pair and an agreement, measured alone before the row: the best of three. */
  readonly keyExchangeMs: number;
  /** How long a timer of each side's event loop, every ms, was late: what others wait. Null in memory. */
  readonly initiatorStallP99Ms: number | null;
  readonly initiatorStallMs: number | null;
  readonly responderStallP99Ms: number | null;
  readonly responderStallMs: number | null;
  /** Messages that were sent again, and IKE SAs that were asked for a cookie: part of the figure where they are not 0. */
  readonly retransmissions: number;
  readonly cookies: number;
  /** `perSecond` of parts of the time, in their order. */
  readonly samples: readonly number[];
}

export interface IkeTask {
  readonly work: IkeWork;
  readonly kex: string;
  readonly transport: IkeTransport;
  readonly concurrency: number;
  readonly seconds: number;
  readonly rate: number | undefined;
  readonly keyThreads: number | undefined;
}

const refuse = (message: string): EspalierError => new EspalierError("ESPALIER_USAGE", message);

export const within = (value: number, least: number, most: number, what: string): number => {
  if (value >= least && value <= most) return value;
  throw refuse(`${what}: ${least} to ${most}, not ${value}`);
};

export const whole = (value: number, least: number, most: number, what: string): number => {
  if (Number.isInteger(value)) return within(value, least, most, what);
  throw refuse(`${what}: a whole number, not ${value}`);
};

const HANDSHAKES: readonly IkeWork[] = ["handshake"];
const ALL: readonly IkeWork[] = ["handshake", "rekey-child", "rekey-child-pfs", "rekey-ike"];

/** Throws ESPALIER_USAGE for an option out of its range. */
export const ikeTasks = (options: IkeBenchOptions): IkeTask[] => {
  const { kex = ["x25519", "ecp256", "modp2048"], auth = "psk", transports = ["udp", "memory"] } = options;
  if (auth !== "psk") throw refuse(`authentication is psk, not ${auth}`);
  const seconds = within(options.seconds ?? 3, 0.1, 600, "seconds");
  const concurrency = whole(options.concurrency ?? 8, 1, 256, "concurrency");
  const { keyThreads: asked = LONGEST_STALL } = options;
  const keyThreads = asked === "never" ? undefined : within(asked, 0, 1000, "key threads");
  const rate = options.rate === undefined ? undefined : within(options.rate, 0.1, 100_000, "rate");
  for (const transport of transports)
    if (transport !== "udp" && transport !== "memory") throw refuse(`transports are udp and memory, not ${transport}`);
  const names = kex.map(kexName);
  return names.flatMap((name) =>
    (options.rekeys === true ? ALL : HANDSHAKES).flatMap((work) =>
      transports.map((transport) => ({ work, kex: name, transport, concurrency, seconds, rate, keyThreads })),
    ),
  );
};

/** As in a proposal. Throws ESPALIER_USAGE for an unknown one. */
export const kexName = (text: string): string => {
  const method = kexByName(text);
  if (method === undefined)
    throw refuse(`no key exchange is called ${text}: there are ${KEX_METHODS.map(({ name }) => name).join(", ")}`);
  return method.name;
};

/** Of values in order, the one that a share of them does not exceed. NaN when there are none. */
const percentile = (sorted: ArrayLike<number>, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;

/** ms between two looks at the event loop: what a stall is longer than. */
export const STALL_RESOLUTION = 1;

/** ms of a process's clock. */
export interface Span {
  readonly began: number;
  readonly ended: number;
}

type LoadFigures = Pick<IkeBenchRow, "seconds" | "count" | "perSecond" | "p50Ms" | "p99Ms" | "samples">;

/** What a row says of what its initiator did in the span. */
export const figuresOf = ({ latencies, times }: Done, { began, ended }: Span): LoadFigures => {
  const sorted = Float64Array.from(latencies).sort();
  const count = sorted.length;
  const seconds = (ended - began) / 1000;
  return {
    ...{ seconds, count, perSecond: count / seconds },
    ...{ p50Ms: percentile(sorted, 0.5), p99Ms: percentile(sorted, 0.99) },
    samples: ratesOf(times, { began, ended }),
  };
};

/** Parts of a row's time, and how many of what was done each must hold at the least: in less the part itself shows. */
const PARTS = 10;
const LEAST_IN_A_PART = 10;

/** A second, of equal parts of the span. */
const ratesOf = (times: readonly number[], { began, ended }: Span): number[] => {
  const parts = Math.max(1, Math.min(PARTS, Math.floor(times.length / LEAST_IN_A_PART)));
  const ms = (ended - began) / parts;
  const counts = new Array<number>(parts).fill(0);
  for (const time of times) {
    const part = Math.min(parts - 1, Math.max(0, Math.floor((time - began) / ms)));
    counts[part] = counts[part]! + 1;
  }
  return counts.map((count) => (count * 1000) / ms);
};

/** ms of a key pair and an agreement of this method, which is one of ours. */
export const keyExchangeTime = (name: string): number => {
  const method = kexByName(name);
  return method === undefined ? Number.NaN : measureAnswer(method);
};
