/** How long packets take while the tunnel is loaded: ping(8) beside the traffic. */
import type { Processes, Running } from "./processes.ts";
import { INNER, type Sites } from "./sites.ts";
import { quantile } from "./statistics.ts";

export interface Latency {
  /** ms there and back, of all echoes: one that does not come back takes for ever. Null: that share did not come back. */
  readonly p50: number | null;
  readonly p99: number | null;
  /** Of echoes, that did not come back. */
  readonly lossPercent: number;
  /** Points of the distribution: share of all, ms. It ends where no more came back. */
  readonly curve: readonly (readonly [number, number])[];
}

const INTERVAL = 0.01; // s
const LAST_ECHO = 1000; // ms
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

/** The last echoes may be on their way still when the traffic has ended. */
export const endPings = async (pings: Running): Promise<string> => {
  await Promise.race([pings.ended, new Promise((resolve) => setTimeout(resolve, LAST_ECHO))]);
  await pings.end("SIGINT"); // then it sums up
  return pings.out;
};

/** Undefined when none was sent. */
export const readPings = (text: string): Latency | undefined => {
  const times = [...text.matchAll(/time=([\d.]+) ms/g)].map(([, ms]) => Number(ms)).sort((a, b) => a - b);
  const sent = Math.max(times.length, Number(/(\d+) packets transmitted/.exec(text)?.[1] ?? 0));
  if (sent === 0) return undefined;
  const last = times.length - 1;
  const within = (share: number): number | null => {
    const at = (sent - 1) * share;
    return at > last ? null : quantile(times, last === 0 ? 0 : at / last);
  };
  const curve = SHARES.flatMap((share) => {
    const ms = within(share);
    return ms === null ? [] : [[share, ms] as const];
  });
  const end = last > 0 && last < sent - 1 ? [[last / (sent - 1), times[last]!] as const] : [];
  return {
    p50: within(0.5),
    p99: within(0.99),
    lossPercent: (1 - times.length / sent) * 100,
    curve: [...curve, ...end],
  };
};
