/** What the tables say to those who look: counts of pairs, tunnels and workers. Octets are always those of inner packets. */
import { addTallies, type Tally } from "../ipsec/counters.ts";
import { refusal } from "../linux/io-uring.ts";
import type { PlaneMemory } from "./plane-memory.ts";
import { WorkerStat } from "./worker-board.ts";

/** Counts of a pair of SAs. */
export interface PairCounters {
  readonly packetsIn: number;
  readonly bytesIn: number;
  readonly packetsOut: number;
  readonly bytesOut: number;
  /** Both directions, by reason; only reasons that occurred. */
  readonly drops: Tally["drops"];
  /** Sequence number last sent, and highest authenticated. */
  readonly seqOut: number;
  readonly seqIn: number;
}

export interface TunnelCounters {
  readonly in: Tally;
  readonly out: Tally;
}

export interface WorkerStats extends TunnelCounters {
  readonly worker: number;
  readonly status: "starting" | "running" | "stopped" | "failed";
  readonly polls: number;
  readonly batches: number;
  /** Judged in both directions, whatever the verdict. */
  readonly packets: number;
  /** Of the thread, in ms; undefined when it cannot be known. */
  readonly cpuTime: number | undefined;
  /** How often its thread died and another took its place. */
  readonly replaced: number;
  /** What came for its sockets and was dropped as they were full, a train as one: no packet of it is counted elsewhere. */
  readonly overruns: number;
  /** Why it reads and writes packets of interfaces one by one and not by io_uring; undefined when it does not. */
  readonly ioUringRefused: string | undefined;
}

const STATUS_NAMES = ["starting", "running", "stopped", "failed"] as const;

export const reportPair = ({ sad, counters, blocks }: PlaneMemory, slot: number): PairCounters => {
  const inbound = counters.tally(blocks.record(slot));
  const outbound = counters.tally(blocks.record(sad.outbound(slot)));
  return {
    packetsIn: inbound.packets,
    bytesIn: inbound.bytes,
    packetsOut: outbound.packets,
    bytesOut: outbound.bytes,
    drops: addTallies([inbound, outbound]).drops,
    seqOut: sad.top(sad.outbound(slot)),
    seqIn: sad.top(slot),
  };
};

/** The same by direction. */
export const pairTraffic = ({ sad, counters, blocks }: PlaneMemory, slot: number): TunnelCounters => ({
  in: counters.tally(blocks.record(slot)),
  out: counters.tally(blocks.record(sad.outbound(slot))),
});

/** `slots`: of the tunnel's pairs whose counts have not yet been left to it. */
export const reportTunnel = (
  { sad, counters, blocks }: PlaneMemory,
  tunnel: number,
  slots: readonly number[],
  workers: number,
): TunnelCounters => {
  const own = Array.from({ length: workers }, (_, worker) => blocks.tunnelOwn(tunnel, worker));
  const sum = (of: readonly number[]): Tally => addTallies(of.map((block) => counters.tally(block)));
  return {
    in: sum([blocks.tunnelEndedIn(tunnel), ...slots.map((slot) => blocks.record(slot))]),
    out: sum([...own, blocks.tunnelEndedOut(tunnel), ...slots.map((slot) => blocks.record(sad.outbound(slot)))]),
  };
};

export const reportWorker = (
  { board, counters, blocks }: PlaneMemory,
  worker: number,
  { cpuTime, replaced, overruns }: Pick<WorkerStats, "cpuTime" | "replaced" | "overruns">,
): WorkerStats => {
  const received = blocks.workerIn(worker);
  const sent = blocks.workerOut(worker);
  const io = board.tunIo(worker);
  return {
    worker,
    status: STATUS_NAMES[board.status(worker)],
    polls: board.stat(worker, WorkerStat.POLLS),
    batches: board.stat(worker, WorkerStat.BATCHES_IN) + board.stat(worker, WorkerStat.BATCHES_OUT),
    packets: counters.sum(received) + counters.sum(sent),
    in: counters.tally(received),
    out: counters.tally(sent),
    cpuTime,
    replaced,
    overruns,
    ioUringRefused: io < 0 ? refusal(io) : undefined,
  };
};
