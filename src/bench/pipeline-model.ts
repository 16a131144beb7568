/**
 * What the workers can carry, from the cost of a packet: beyond the processors of this machine that can only be computed.
 *
 * A packet passes two queues. The first is the kernel's receive queue, served by one processor: there is one for each
 * processor, and all packets of a tunnel come in by one (they have one pair of addresses and ports). Then the worker's: a pair of
 * SAs belongs to one worker, and so does each flow that uses it. Four things may limit the whole without loss, and the
 * least of them does:
 *
 *   processors   kernel and workers together have so many processors: processors / (cost + kernel)
 *   flow         the busiest worker serves alone what its flows bring: 1 / (cost * its share of the packets)
 *   workers      the same when flows are even: there are fewer workers than processors
 *   kernel       the busiest receive queue, too, has one processor: 1 / (kernel * its share of the packets)
 *
 * The cost grows with the number of workers that run at once, as they share caches and memory: by the same part for each,
 * which is measured with as many as there are processors and taken to hold for more.
 */

export interface PipelineCost {
  /** ns of processor time of a worker for one packet, when it is the only one: reading, ESP, sending. */
  readonly packetNs: number;
  /** By which part of it each further worker that runs at the same time makes it dearer. */
  readonly interference: number;
  /** ns of processor time that the kernel spends on a packet before a worker has it, on its own account; 0: not known. */
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

/** Where the packets of a flow go: flows take pairs of SAs in turn, pairs workers as the gateway has it, tunnels queues in turn. */
export const placeOf = (
  { workers, processors, tunnels, sas }: PipelineSetup,
  flow: number,
): { readonly worker: number; readonly queue: number } => {
  const tunnel = flow % tunnels;
  const resource = Math.floor(flow / tunnels) % Math.min(sas, workers);
  return { worker: (tunnel + resource) % workers, queue: tunnel % processors };
};

/** Packets of a flow, beside those of the first. */
export const weightOf = ({ skew }: PipelineSetup, flow: number): number => (skew === 0 ? 1 : (flow + 1) ** -skew);

/** The part of all packets that each worker gets, and each receive queue. */
export const sharesOf = (setup: PipelineSetup): { readonly workers: Float64Array; readonly queues: Float64Array } => {
  const workers = new Float64Array(setup.workers);
  const queues = new Float64Array(setup.processors);
  let whole = 0;
  for (let flow = 0; flow < setup.flows; flow++) {
    const weight = weightOf(setup, flow);
    const { worker, queue } = placeOf(setup, flow);
    workers[worker] = workers[worker]! + weight;
    queues[queue] = queues[queue]! + weight;
    whole += weight;
  }
  return { workers: workers.map((share) => share / whole), queues: queues.map((share) => share / whole) };
};

/** ns of a packet while so many workers have something to do. */
export const costAt = ({ packetNs, interference }: PipelineCost, running: number): number =>
  packetNs * (1 + interference * (Math.max(1, running) - 1));

/** Workers that run at once when the busiest one always does: others wait for packets in between, and all for the kernel. */
export const runningOf = ({ packetNs, kernelNs }: PipelineCost, greatestShare: number, processors: number): number =>
  Math.min((processors * packetNs) / (packetNs + kernelNs), 1 / greatestShare);

export const predict = (cost: PipelineCost, setup: PipelineSetup): PipelinePrediction => {
  const { kernelNs } = cost;
  const shares = sharesOf(setup);
  const greatestShare = Math.max(...shares.workers);
  const ns = costAt(cost, runningOf(cost, greatestShare, setup.processors));
  const limits: (readonly [PipelineLimit, number])[] = [
    ["processors", (setup.processors * 1e9) / (ns + kernelNs)],
    [greatestShare > EVEN / setup.workers ? "flow" : "workers", 1e9 / (ns * greatestShare)],
    ...(kernelNs > 0 ? [["kernel", 1e9 / (kernelNs * Math.max(...shares.queues))] as const] : []),
  ];
  const [limit, pps] = limits.reduce((least, each) => (each[1] < least[1] ? each : least));
  return { pps, limit, greatestShare };
};

/** A worker with more than this times its fair share has been dealt too much. */
const EVEN = 1.05;

export interface PipelineKnee {
  /** More workers than these bring less than `WORTH` each. */
  readonly workers: number;
  readonly pps: number;
  /** Why: what holds from there on, or that workers slow one another too much. */
  readonly limit: PipelineLimit | "interference";
}

/** What a further worker must bring, as part of what the first one brought, to be worth it. */
const WORTH = 0.1;

/**
 * The last number of workers, up to `most`, that is worth its last step. Rates rise by stairs, as the fullest worker has
 * whole tunnels, so steps lead along the least concave line above them: from each number to the one with most gain a worker.
 */
export const kneeOf = (cost: PipelineCost, setup: Omit<PipelineSetup, "workers">, most = 64): PipelineKnee => {
  const ratesBy = (of: PipelineCost): number[] => [
    0,
    ...Array.from({ length: most }, (_, i) => predict(of, { ...setup, workers: i + 1 }).pps),
  ];
  const rates = ratesBy(cost);
  const gain = (by: readonly number[], from: number, to: number): number => (by[to]! - by[from]!) / (to - from);
  const stepFrom = (from: number): number => {
    let best = from + 1;
    for (let to = best + 1; to <= most; to++) if (gain(rates, from, to) > gain(rates, from, best)) best = to;
    return best;
  };
  let at = 1;
  let next = stepFrom(at);
  while (at < most && gain(rates, at, next) >= WORTH * rates[1]!) {
    at = next;
    next = stepFrom(at);
  }
  return { workers: at, pps: rates[at]!, limit: limitAfter() };

  function limitAfter(): PipelineKnee["limit"] {
    if (at === most) return "workers";
    const alone = ratesBy({ ...cost, interference: 0 });
    if (gain(alone, at, next) >= WORTH * alone[1]!) return "interference";
    return predict(cost, { ...setup, workers: next }).limit;
  }
};

/** Mean ns that a packet waits for a worker that is busy for the part `load` of the time (Pollaczek and Khinchine; constant cost). */
export const meanWait = (costNs: number, load: number): number =>
  load >= 1 ? Number.POSITIVE_INFINITY : (load * costNs) / (2 * (1 - load));

export interface MeasuredCost {
  readonly workers: number;
  /** ns of processor time of a packet. */
  readonly ns: number;
}

/** Those that the model is fitted to: up to half of the processors, and two at least. The others are there to check it. */
export const toFit = <T extends MeasuredCost>(measured: readonly T[], processors: number): T[] =>
  measured.filter(({ workers }) => workers <= Math.max(2, Math.floor(processors / 2)));

/** Interference that fits costs measured at several numbers of workers best (least squares through the first). */
export const fitInterference = (measured: readonly MeasuredCost[], processors: number): number => {
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
