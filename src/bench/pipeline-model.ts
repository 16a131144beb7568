/**
 * What the workers can carry, from the cost of a packet: beyond the processors of this machine that can only be computed.
 *
 * Each worker is a queue with one server; a pair of SAs belongs to one worker, and so does each flow that uses it. Four
 * things may limit the whole without loss, and the least of them does:
 *
 *   processors   all workers together have so many processors: processors / cost
 *   flow         the busiest worker serves alone what its flows bring: 1 / (cost * its share of the packets)
 *   workers      the same when flows are even: there are fewer workers than processors
 *   kernel       what a packet costs outside the workers, on one processor that does nothing else: 1 / kernel
 *
 * The cost grows with the number of workers that run at once, as they share caches and memory; how much is measured.
 */

export interface PipelineCost {
  /** ns of processor time of a worker for one packet, when it is the only one: reading, ESP, sending. */
  readonly packetNs: number;
  /** By which part of it each further worker that runs at the same time makes it dearer. */
  readonly interference: number;
  /** ns that the kernel spends on a packet on one processor, whatever the workers do; 0: not known. */
  readonly kernelNs: number;
}

export interface PipelineSetup {
  readonly workers: number;
  readonly processors: number;
  readonly tunnels: number;
  /** Pairs of SAs of each tunnel. */
  readonly sas: number;
  /** Flows of all tunnels, in turn. */
  readonly flows: number;
  /** Of the n-th flow the n^-skew-th part: 0 is all the same, 1 is Zipf's law. */
  readonly skew: number;
}

export type PipelineLimit = "processors" | "flow" | "workers" | "kernel";

export interface PipelinePrediction {
  /** Packets a second without loss. */
  readonly pps: number;
  readonly limit: PipelineLimit;
  /** Of all packets those of the busiest worker. */
  readonly greatestShare: number;
}

/** The part of all packets that each worker gets: flows go to pairs of SAs in turn, and those to workers as the gateway has it. */
export const sharesOf = ({ workers, tunnels, sas, flows, skew }: PipelineSetup): Float64Array => {
  const shares = new Float64Array(workers);
  let whole = 0;
  for (let flow = 0; flow < flows; flow++) {
    const weight = (flow + 1) ** -skew;
    const tunnel = flow % tunnels;
    const resource = Math.floor(flow / tunnels) % Math.min(sas, workers);
    const worker = (tunnel + resource) % workers;
    shares[worker] = shares[worker]! + weight;
    whole += weight;
  }
  return shares.map((share) => share / whole);
};

/** ns of a packet while so many workers have something to do. */
export const costAt = ({ packetNs, interference }: PipelineCost, running: number): number =>
  packetNs * (1 + interference * (Math.max(1, running) - 1));

/** Workers that run at once when the busiest one always does: others wait for packets in between. */
export const runningOf = (shares: Float64Array, processors: number): number =>
  Math.min(processors, 1 / Math.max(...shares));

export const predict = (cost: PipelineCost, setup: PipelineSetup): PipelinePrediction => {
  const shares = sharesOf(setup);
  const greatestShare = Math.max(...shares);
  const running = runningOf(shares, setup.processors);
  const ns = costAt(cost, running);
  const byFlow = 1e9 / (ns * greatestShare);
  const limits: (readonly [PipelineLimit, number])[] = [
    ["processors", (setup.processors * 1e9) / ns],
    [greatestShare > EVEN / setup.workers ? "flow" : "workers", byFlow],
    ...(cost.kernelNs > 0 ? [["kernel", 1e9 / cost.kernelNs] as const] : []),
  ];
  const [limit, pps] = limits.reduce((least, each) => (each[1] < least[1] ? each : least));
  return { pps, limit, greatestShare };
};

/** A worker with more than this times its fair share has been dealt too much. */
const EVEN = 1.05;

export interface PipelineKnee {
  /** More workers than these bring less than `WORTH` more each. */
  readonly workers: number;
  readonly pps: number;
  /** What holds from there on. */
  readonly limit: PipelineLimit;
}

/** What a further worker must bring, as part of what the first one brought, to be worth it. */
const WORTH = 0.1;

/** The smallest number of workers that is within a worker's worth of all that any number up to `most` reaches. */
export const kneeOf = (cost: PipelineCost, setup: Omit<PipelineSetup, "workers">, most = 64): PipelineKnee => {
  const all = Array.from({ length: most }, (_, i) => predict(cost, { ...setup, workers: i + 1 }));
  const best = Math.max(...all.map(({ pps }) => pps));
  const at = all.findIndex(({ pps }) => pps >= best - WORTH * all[0]!.pps);
  const beyond = all[Math.min(at + 1, most - 1)]!;
  return { workers: at + 1, pps: all[at]!.pps, limit: beyond.limit };
};

/** Mean ns that a packet waits for a worker that is busy for the part `load` of the time (Pollaczek and Khinchine; constant cost). */
export const meanWait = (costNs: number, load: number): number =>
  load >= 1 ? Number.POSITIVE_INFINITY : (load * costNs) / (2 * (1 - load));

/** Interference that fits costs measured at several numbers of workers best (least squares through the first). */
export const fitInterference = (
  measured: readonly { readonly workers: number; readonly ns: number }[],
  processors: number,
): number => {
  const first = measured.find(({ workers }) => workers === 1);
  if (first === undefined) return 0;
  let over = 0;
  let under = 0;
  for (const { workers, ns } of measured) {
    const more = Math.min(workers, processors) - 1;
    over += more * (ns / first.ns - 1);
    under += more * more;
  }
  return under === 0 ? 0 : Math.max(0, over / under);
};
