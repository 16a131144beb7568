/**
 * `espalier bench tunnel`: two gateways as their users run them, traffic between the hosts behind them, on this machine.
 * Everything is made for it in network namespaces and removed after it, whatever happens.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EspalierError } from "../errors.ts";
import { tunUnavailable } from "../linux/capabilities.ts";
import type { Carried, Measured } from "./carried.ts";
import { cpuSeconds, whileRunning } from "./gateway-watch.ts";
import { echoes, endPings, readPings, startPings } from "./latency.ts";
import type { LossTrial } from "./loss-search.ts";
import { describeMachine, loadAverage } from "./machine.ts";
import { hasProgram, Processes, type Running } from "./processes.ts";
import { processorTime, processorTimeSince } from "./processor-time.ts";
import { mainProgram, startSelf } from "./self-gateways.ts";
import { INNER, OUTER, Sites } from "./sites.ts";
import { startStrongswan, strongswanUnavailable } from "./strongswan-gateways.ts";
import { moveTraffic } from "./traffic.ts";
import type { TunnelGateways, TunnelPlace } from "./tunnel-gateways.ts";
import { checkedSettings, type TunnelBenchOptions, type TunnelPeer, type TunnelSettings } from "./tunnel-options.ts";
import { searchRates, WARM_UP } from "./tunnel-search.ts";
import { startWireguard, wireguardUnavailable } from "./wireguard-gateways.ts";

/** Null is what has no meaning: `lossPercent` of TCP, `suite` without a tunnel. */
export interface TunnelBenchResult {
  readonly peer: TunnelPeer;
  readonly streams: number;
  /** Octets of payload in a datagram; null: TCP. */
  readonly udp: number | null;
  /** Datagrams a second that were asked for; null: as many as the sender can, or searched, or TCP. */
  readonly rate: number | null;
  /** What was searched: `rate`, the highest with at most `maxLossPercent`; `ndr`, those without loss and with 0.5 %. */
  readonly search: "none" | "rate" | "ndr";
  /** Null: nothing was searched for it. */
  readonly maxLossPercent: number | null;
  /** 10^9 bits of payload that arrived a second. */
  readonly gbps: number;
  /** Datagrams that arrived a second; of TCP, its octets in segments of the greatest size. */
  readonly pps: number;
  /** Datagrams that were sent a second; null: TCP. */
  readonly offeredPps: number | null;
  readonly lossPercent: number | null;
  /** Processors that both gateways together kept busy. What the kernel does on its own account is not in it. */
  readonly gatewayCores: number;
  /** Processors that the kernel kept busy on its own account: what no program did, see `processor-time.ts`. */
  readonly kernelCores: number;
  /** Processors that programs had which have nothing to do with it, or that the machine below gave to somebody else. */
  readonly otherCores: number;
  /** Seconds of the gateways' processor time for 10^9 bits of payload. */
  readonly cpuPerGbit: number | null;
  /** With no other traffic. */
  readonly ping: { readonly averageMs: number };
  /** ms there and back while the traffic ran, of all echoes; null: so many were lost that there is none. */
  readonly loadedP50Ms: number | null;
  readonly loadedP99Ms: number | null;
  /** Of these echoes, that did not come back. */
  readonly loadedLossPercent: number | null;
  /** Datagrams or segments that came after a later one, of all that came; null: not known. */
  readonly outOfOrder: number | null;
  readonly retransmits: number | null;
  /** Datagrams a second without any loss, and with at most 0.5 %; 0: none; null: not searched, or not found in its time. */
  readonly ndrPps: number | null;
  readonly pdrPps: number | null;
  /** Figures that are those of the sender at its end, among `pps`, `ndrPps` and `pdrPps`: the tunnel may do more. */
  readonly atLeast: readonly string[];
  /** Every trial of that search, in order. */
  readonly trials: readonly LossTrial[];
  readonly curves: { readonly latencyMs: readonly (readonly [number, number])[] };
  /** Gbit/s of parts of the time. */
  readonly samples: readonly number[];
  readonly poll: string | null;
  readonly batch: number | null;
  /** Pairs of SAs that the tunnel was to have; `auto`: one a worker. */
  readonly sas: number | "auto" | null;
  readonly suite: string | null;
  readonly engine: string | null;
  readonly workers: number | null;
  readonly encap: "auto" | "force" | "never" | null;
  readonly offloads: "on" | "off";
  /** That were measured. */
  readonly seconds: number;
  /** Load average of this machine before and after. */
  readonly load: readonly [number, number];
  readonly machine: string;
}

/**
 * Rejects with ESPALIER_USAGE for an option out of its range, ESPALIER_PRIVILEGE or ESPALIER_PLATFORM where this machine
 * does not allow it or lacks a program.
 */
export const benchTunnel = async (options: TunnelBenchOptions = {}): Promise<TunnelBenchResult> => {
  const settings = checkedSettings(options);
  mainProgram();
  checkMachine(settings);
  const processes = new Processes(options.signal);
  processes.proceed();
  const sites = new Sites(processes, `esb${process.pid}`);
  const directory = mkdtempSync(join(tmpdir(), `espalier-bench-${process.pid}-`));
  try {
    await sites.make(settings);
    const gateways = await start({ processes, sites, directory }, settings);
    return await measure(processes, sites, settings, gateways);
  } catch (error) {
    options.signal?.throwIfAborted(); // what broke then broke because of it
    throw error;
  } finally {
    await processes.endAll();
    await sites.remove();
    rmSync(directory, { recursive: true, force: true });
  }
};

const NOBODY: TunnelGateways = {
  processes: [],
  describe: async () => ({ suite: null, engine: null, workers: null }),
};

const start = async (place: TunnelPlace, settings: TunnelSettings): Promise<TunnelGateways> => {
  if (settings.peer === "self") return startSelf(place, settings);
  if (settings.peer === "strongswan") return startStrongswan(place, settings);
  if (settings.peer === "wireguard-go") return startWireguard(place);
  await place.sites.route("gw-a", INNER.netB, OUTER.b);
  await place.sites.route("gw-b", INNER.netA, OUTER.a);
  return NOBODY;
};

/** How long traffic goes on for its latency, s, at most. */
const LATENCY_SECONDS = 3;

/** Programs, and Debian's packages of them. */
const PACKAGES = { ip: "iproute2", nsenter: "util-linux", ping: "iputils-ping", iperf3: "iperf3", ethtool: "ethtool" };

/** Why a peer cannot run here for want of its programs, or undefined. */
export const peerUnavailable = (peer: string): string | undefined =>
  peer === "strongswan" ? strongswanUnavailable() : peer === "wireguard-go" ? wireguardUnavailable() : undefined;

const checkMachine = ({ offloads, peer, udp }: TunnelSettings): void => {
  if (process.getuid?.() !== 0)
    throw new EspalierError("ESPALIER_PRIVILEGE", "bench tunnel makes network namespaces, which takes root", {
      remedy: "Run it as root; `espalier bench esp` needs no privileges.",
    });
  const useless = [...(udp === undefined ? [] : ["iperf3"]), ...(offloads ? ["ethtool"] : [])];
  const missing = Object.entries(PACKAGES).filter(([program]) => !useless.includes(program) && !hasProgram(program));
  if (missing.length > 0)
    throw new EspalierError("ESPALIER_PLATFORM", `not installed: ${missing.map(([program]) => program).join(", ")}`, {
      remedy: `Install what is missing (Debian: apt-get install ${missing.map(([, of]) => of).join(" ")}).`,
    });
  const noTun = peer === "plain" ? undefined : tunUnavailable();
  if (noTun !== undefined) throw noTun;
  const noPeer = peerUnavailable(peer);
  if (noPeer !== undefined) throw new EspalierError("ESPALIER_PLATFORM", `the peer ${peer} cannot run here: ${noPeer}`);
};

const measure = async (
  processes: Processes,
  sites: Sites,
  settings: TunnelSettings,
  gateways: TunnelGateways,
): Promise<TunnelBenchResult> => {
  const { peer, streams, udp, offloads } = settings;
  const before = loadAverage();
  const averageMs = await pingTime(processes, sites);
  const run = async (seconds: number, rate: number | undefined): Promise<Measured> => {
    if (peer !== "self") await untilIdle(gateways.processes);
    const cpuBefore = cpuSeconds(gateways.processes);
    const timeBefore = processorTime();
    const carried = await whileRunning(
      gateways.processes,
      moveTraffic(processes, sites, { streams, udp, rate, seconds }),
    );
    if (udp !== undefined && carried.packets === 0) throw nothingArrived(carried, gateways);
    return { ...carried, cpu: cpuSeconds(gateways.processes) - cpuBefore, spent: processorTimeSince(timeBefore) };
  };
  const search = await searchRates(settings, run);
  const rate = search?.rate ?? settings.rate;
  if (search === undefined) await run(WARM_UP, rate);
  const measured = search?.run ?? (await run(settings.seconds, rate));
  // In a run of its own: beside a TCP stream that fills the machine, pings cost up to a quarter of its rate.
  const beside = Math.min(settings.seconds, LATENCY_SECONDS);
  const pings = startPings(processes, sites, beside);
  await run(beside, rate);
  const latency = readPings(await endPings(pings));
  const { seconds, bytes, packets, offered, lossPercent, retransmits, cpu, spent, outOfOrder, samples } = measured;
  if (peer !== "self") await untilIdle(gateways.processes);
  await processes.until("after the traffic an echo comes back through the tunnel", () => echoes(processes, sites));
  const { suite, engine, workers } = await gateways.describe();
  return {
    peer,
    streams,
    udp: udp ?? null,
    rate: settings.rate ?? null,
    search: settings.ndr ? "ndr" : settings.maxLoss === undefined ? "none" : "rate",
    maxLossPercent: settings.maxLoss ?? null,
    gbps: (bytes * 8) / seconds / 1e9,
    pps: packets / seconds,
    offeredPps: offered === null ? null : offered / seconds,
    lossPercent,
    gatewayCores: cpu / seconds,
    kernelCores: spent.kernel / seconds,
    otherCores: (spent.others + spent.stolen) / spent.wall,
    cpuPerGbit: bytes === 0 ? null : cpu / ((bytes * 8) / 1e9),
    ping: { averageMs },
    loadedP50Ms: latency?.p50 ?? null,
    loadedP99Ms: latency?.p99 ?? null,
    loadedLossPercent: latency?.lossPercent ?? null,
    outOfOrder,
    retransmits,
    ndrPps: search?.ndrPps ?? null,
    pdrPps: search?.pdrPps ?? null,
    atLeast: search?.atLeast ?? [],
    trials: search?.trials ?? [],
    curves: { latencyMs: latency?.curve ?? [] },
    samples: samples.length > 0 ? samples : [(bytes * 8) / seconds / 1e9],
    suite,
    engine,
    workers,
    poll: peer === "self" ? settings.poll : null,
    batch: peer === "self" ? settings.batch : null,
    sas: peer === "self" ? settings.sas : null,
    encap: peer === "self" ? settings.encap : null,
    offloads: offloads ? "on" : "off",
    seconds,
    load: [before, loadAverage()],
    machine: describeMachine(),
  };
};

const nothingArrived = ({ offered }: Carried, { processes }: TunnelGateways): EspalierError =>
  new EspalierError(
    "ESPALIER_PLATFORM",
    [`none of ${offered} datagrams arrived`, ...processes.map(({ account }) => account)].join("\n  "),
    { remedy: "The tunnel, or a link of it, does not carry: what its gateways said is above." },
  );

const LOOK = 250; // ms
const BUSY = 0.02; // s of processor time in between
const LOOKS = 60;

/** Some queue without a limit what they cannot do at once: it would be counted with what comes next. */
const untilIdle = async (gateways: readonly Running[]): Promise<void> => {
  let before = cpuSeconds(gateways);
  for (let look = 0; look < LOOKS && gateways.length > 0; look++) {
    await new Promise((resolve) => setTimeout(resolve, LOOK));
    const now = cpuSeconds(gateways);
    if (now - before <= BUSY) return;
    before = now;
  }
};

/** ms there and back, the mean of 100, once the way is warm. */
const pingTime = async (processes: Processes, sites: Sites): Promise<number> => {
  const ping = (count: number, interval: number): Promise<string> =>
    processes.run(
      sites.inside("host-a", ["ping", "-q", "-n", "-c", `${count}`, "-i", `${interval}`, "-W", "2", INNER.b]),
    );
  await ping(20, 0.02);
  const [, average] = /= [\d.]+\/([\d.]+)\//.exec(await ping(100, 0.01)) ?? [];
  if (average === undefined) throw new EspalierError("ESPALIER_PLATFORM", "ping does not say how long it took");
  return Number(average);
};
