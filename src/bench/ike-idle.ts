/**
 * `espalier bench ike --tunnels N --idle S`: what it costs to hold many tunnels that nobody uses. Each is an IKE SA with a
 * Child SA of a connection and a peer identity of its own, and asks after 30 s of silence whether its peer lives.
 */
import { EspalierError } from "../errors.ts";
import { LONGEST_STALL } from "../gateway/slow-key-exchanges.ts";
import { refuseTypeScript } from "./ike.ts";
import type { Looked } from "./ike-process.ts";
import { kexName, whole, within } from "./ike-rows.ts";
import { withPair } from "./ike-udp.ts";

export interface IdleBenchOptions {
  /** 1 to 20000; default 10000. */
  readonly tunnels?: number;
  /** Seconds that are measured, 1 to 3600; default 60. */
  readonly idle?: number;
  /** Default x25519. */
  readonly kex?: string;
  /** Seconds of silence after which a peer is asked whether it lives, 1 to 3600; default 30. */
  readonly liveness?: number;
}

/** What one of the two gateways needed. */
export interface IdleSide {
  /** Processor time of its process in percent of one processor. */
  readonly cpuPercent: number;
  /** Octets that are resident, tables of SAs and compiler and all. */
  readonly residentBytes: number;
  readonly heapBytes: number;
  readonly longestStallMs: number;
  /** Tunnels that are up in the end. */
  readonly tunnels: number;
  /** `cpuPercent` of parts of the time, in their order. */
  readonly samples: readonly number[];
}

export interface IdleBenchResult {
  readonly tunnels: number;
  readonly kex: string;
  readonly livenessSeconds: number;
  /** Time that it took to bring all of them up. */
  readonly setUpSeconds: number;
  /** That were measured. */
  readonly seconds: number;
  readonly initiator: IdleSide;
  readonly responder: IdleSide;
  /** Messages sent again meanwhile. */
  readonly retransmissions: number;
}

/** One of its sides, flat, as it is kept. */
export interface IdleBenchRow extends Omit<IdleSide, "tunnels"> {
  readonly side: "initiator" | "responder";
  readonly tunnels: number;
  readonly kex: string;
  readonly livenessSeconds: number;
  readonly setUpSeconds: number;
  readonly seconds: number;
  readonly retransmissions: number;
}

export const idleRows = ({ initiator, responder, ...both }: IdleBenchResult): IdleBenchRow[] => [
  { ...both, ...initiator, side: "initiator" },
  { ...both, ...responder, side: "responder" },
];

const RESENT = "retransmissions";
const ROLES = ["initiator", "responder"] as const;

/** Parts that the time is looked at in, and how long each is at the least, s. */
const PARTS = 10;
const LEAST_PART = 0.5;

const partsOf = (seconds: number): number => Math.max(1, Math.min(PARTS, Math.floor(seconds / LEAST_PART)));

/** Rejects as `benchIke` does, and with ESPALIER_PLATFORM when a tunnel was lost meanwhile. */
export const benchIdle = async (options: IdleBenchOptions = {}): Promise<IdleBenchResult> => {
  const tunnels = whole(options.tunnels ?? 10_000, 1, 20_000, "tunnels");
  const idle = within(options.idle ?? 60, 1, 3600, "idle");
  const liveness = within(options.liveness ?? 30, 1, 3600, "liveness");
  const kex = kexName(options.kex ?? "x25519");
  refuseTypeScript();
  const began = performance.now();
  return withPair(
    { connections: tunnels, kex, pfs: false, liveness: liveness * 1000, keyThreads: LONGEST_STALL },
    async (pair) => {
      const setUpSeconds = (performance.now() - began) / 1000;
      const before = { initiator: await pair.initiator.look(true), responder: await pair.responder.look(true) };
      const looks = { initiator: [] as Looked[], responder: [] as Looked[] };
      const parts = partsOf(idle);
      for (let part = 0; part < parts; part++) {
        await new Promise((wake) => setTimeout(wake, (idle * 1000) / parts));
        for (const role of ROLES) looks[role].push(await pair[role].look());
      }
      const sides = { initiator: sideOf(looks.initiator), responder: sideOf(looks.responder) };
      for (const role of ROLES)
        if (sides[role].tunnels !== tunnels)
          throw new EspalierError("ESPALIER_PLATFORM", `${role}: ${sides[role].tunnels} of ${tunnels} tunnels are up`);
      const resent = (role: (typeof ROLES)[number]): number =>
        (looks[role].at(-1)?.counters[RESENT] ?? 0) - (before[role].counters[RESENT] ?? 0);
      return {
        ...{ tunnels, kex, livenessSeconds: liveness, setUpSeconds },
        seconds: looks.initiator.reduce((sum, look) => sum + secondsOf(look), 0),
        ...sides,
        retransmissions: resent("initiator") + resent("responder"),
      };
    },
  );
};

const secondsOf = ({ span }: Looked): number => (span.ended - span.began) / 1000;

/** A look for each part of the time: what is held is that of the last. */
const sideOf = (looks: readonly Looked[]): IdleSide => {
  const last = looks.at(-1)!;
  const cpuPercent = (of: readonly Looked[]): number =>
    of.reduce((sum, { cpu }) => sum + cpu, 0) / of.reduce((sum, look) => sum + secondsOf(look), 0) / 10;
  return {
    cpuPercent: cpuPercent(looks),
    residentBytes: last.resident,
    heapBytes: last.heapUsed,
    longestStallMs: Math.max(...looks.map(({ stall }) => stall.longest)),
    tunnels: last.pairs,
    samples: looks.map((look) => cpuPercent([look])),
  };
};
