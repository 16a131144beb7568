/** What `espalier bench tunnel` is asked for. */
import type { EngineName } from "../crypto/engine.ts";
import { SUITES, suiteByName } from "../crypto/suites.ts";
import { DEFAULT_BATCH, MAX_BATCH } from "../dataplane/arena.ts";
import { POLL_STRATEGIES } from "../dataplane/poll-strategy.ts";
import { MAX_WORKERS } from "../dataplane/worker-board.ts";
import { EspalierError } from "../errors.ts";
import { INNER_MTU } from "./sites.ts";

export const TUNNEL_PEERS = ["self", "plain", "strongswan", "wireguard-go"] as const;
export type TunnelPeer = (typeof TUNNEL_PEERS)[number];

export interface TunnelBenchOptions {
  /**
   * `self`: a tunnel between two gateways of ours, the default. `plain`: none, the limit of this machine. Others: between
   * two of theirs, for the same work.
   */
  readonly peer?: TunnelPeer;
  /** Streams of TCP or UDP, 1 to 128; default 1. */
  readonly streams?: number;
  /** Octets of UDP payload, 16 to 1372; default TCP. */
  readonly udp?: number;
  /** Datagrams a second; default as many as the sender can, whatever is lost. */
  readonly rate?: number;
  /** Percent of UDP datagrams, 0 to 99: the highest rate is searched at which no more are lost. Takes some 20 s, 50 at most. */
  readonly maxLoss?: number;
  /** Search the highest rates without loss (NDR) and with at most 0.5 % (PDR); needs `udp`. Takes some 40 s, 70 at most. */
  readonly ndr?: boolean;
  /** 1 to 3600; default 5. */
  readonly seconds?: number;
  /** Default aes256gcm16. */
  readonly suite?: string;
  /** Of each gateway, 1 to 64; default 1. */
  readonly workers?: number;
  /** Default `auto`. */
  readonly engine?: EngineName | "auto";
  /** How a worker waits; default `adaptive`. */
  readonly poll?: "sleep" | "spin" | "adaptive";
  /** Packets that a worker takes at a time, at most, 1 to 256; default 128. */
  readonly batch?: number;
  /** Pairs of SAs of the tunnel; default one a worker. */
  readonly sas?: number | "auto";
  /** ESP in UDP; default `auto`, which is protocol 50 here. */
  readonly encap?: "auto" | "force" | "never";
  /** Of the virtual links: with them a packet may stand for 45. Default true. */
  readonly offloads?: boolean;
  /** When it is aborted all is ended and removed, and the promise rejects with its reason. */
  readonly signal?: AbortSignal;
}

/** Options with their defaults. */
export type TunnelSettings = Required<Omit<TunnelBenchOptions, "signal" | "udp" | "rate" | "maxLoss" | "peer">> & {
  readonly peer: TunnelPeer;
  readonly udp: number | undefined;
  readonly rate: number | undefined;
  readonly maxLoss: number | undefined;
};

const wrong = (message: string, remedy?: string): never => {
  throw new EspalierError("ESPALIER_USAGE", message, remedy === undefined ? {} : { remedy });
};

/** Throws ESPALIER_USAGE for an option out of its range, or one that does not go with another. */
export const checkedSettings = (options: TunnelBenchOptions): TunnelSettings => {
  const { peer = "self", streams = 1, seconds = 5, suite = "aes256gcm16", workers = 1, engine = "auto" } = options;
  const {
    encap = "auto",
    offloads = true,
    poll = "adaptive",
    batch = DEFAULT_BATCH,
    sas = "auto",
    ndr = false,
    udp,
    rate,
    maxLoss,
  } = options;
  const inRange = (what: string, value: number, least: number, most: number): void => {
    if (!(value >= least && value <= most && Number.isInteger(value)))
      wrong(`${what}: expected a whole number from ${least} to ${most}, not ${value}`);
  };
  const among = (what: string, value: string, all: readonly string[]): void => {
    if (!all.includes(value)) wrong(`${what}: expected ${all.join(", ")}, not ${value}`);
  };
  among("peer", peer, TUNNEL_PEERS);
  among("poll", poll, POLL_STRATEGIES);
  if (sas !== "auto") inRange("sas", sas, 1, MAX_WORKERS);
  among("encap", encap, ["auto", "force", "never"]);
  among("engine", engine, ["auto", "ipsec-mb", "openssl", "node", "noble"]);
  inRange("streams", streams, 1, 128);
  inRange("seconds", seconds, 1, 3600);
  inRange("workers", workers, 1, MAX_WORKERS);
  inRange("batch", batch, 1, MAX_BATCH);
  if (udp !== undefined) inRange("udp", udp, 16, INNER_MTU - 28);
  if (rate !== undefined) inRange("rate", rate, 1, 1e9);
  if (maxLoss !== undefined && !(maxLoss >= 0 && maxLoss <= 99))
    wrong(`max-loss: expected 0 to 99 percent, not ${maxLoss}`);
  if (maxLoss !== undefined && udp === undefined) wrong("a greatest loss is for UDP", "Give --udp as well.");
  if (maxLoss !== undefined && rate !== undefined)
    wrong("the rate is either given or searched", "Leave one of them out.");
  if (rate !== undefined && udp === undefined) wrong("a rate is for UDP", "Give --udp as well.");
  if (ndr && (udp === undefined || rate !== undefined || maxLoss !== undefined))
    wrong(
      "the rates without loss are searched for UDP, with nothing else given",
      "Give --udp, no --rate, no --max-loss.",
    );
  if (suiteByName(suite) === undefined)
    wrong(`no suite is called ${suite}`, `Suites: ${SUITES.map(({ name }) => name).join(", ")}.`);
  return { peer, streams, seconds, suite, workers, engine, encap, offloads, poll, batch, sas, ndr, udp, rate, maxLoss };
};
