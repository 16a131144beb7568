/** How long packets take while the tunnel is loaded: ping(8) beside the traffic. */
import type { Processes, Running } from "./processes.ts";
import { INNER, type Sites } from "./sites.ts";
import { quantile } from "./statistics.ts";

export interface Latency {
  /** ms there and back. */
  readonly p50: number;
  readonly p99: number;
  readonly worst: number;
  /** Echoes that came back. */
  readonly count: number;
  /** Of echoes, that did not come back. */
  readonly lossPercent: number;
  /** Points of the distribution: share of all, ms. */
  readonly curve: readonly (readonly [number, number])[];
}

const INTERVAL = 0.01; // s
const SHARES = [0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1];

/** Starts now, for so many seconds. */
export const startPings = (processes: Processes, sites: Sites, seconds: number): Running => {
  const count = Math.max(1, Math.floor(seconds / INTERVAL));
  return processes.start(
    sites.inside("host-a", ["ping", "-n", "-c", `${count}`, "-i", `${INTERVAL}`, "-W", "1", INNER.b]),
  );
};

/** True when an echo comes back within a second, else undefined. */
export const echoes = async (processes: Processes, sites: Sites): Promise<true | undefined> =>
  (await processes.start(sites.inside("host-a", ["ping", "-q", "-n", "-c", "1", "-W", "1", INNER.b])).ended) === 0
    ? true
    : undefined;

/** Undefined when no echo came back. */
export const readPings = (text: string): Latency | undefined => {
  const times = [...text.matchAll(/time=([\d.]+) ms/g)].map(([, ms]) => Number(ms));
  const sent = Number(/(\d+) packets transmitted/.exec(text)?.[1] ?? times.length);
  if (times.length === 0) return undefined;
  return {
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    worst: Math.max(...times),
    count: times.length,
    lossPercent: Math.max(0, (1 - times.length / sent) * 100),
    curve: SHARES.map((share) => [share, quantile(times, share)] as const),
  };
};
