/**
 * `espalier bench tunnel`: two gateways as their users run them, traffic between the hosts behind them, on this machine.
 * Everything is made for it in network namespaces and removed after it, whatever happens.
 */
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { callControl } from "../control/client.ts";
import type { EngineName } from "../crypto/engine.ts";
import { SUITES, suiteByName } from "../crypto/suites.ts";
import { MAX_WORKERS } from "../dataplane/worker-board.ts";
import { EspalierError } from "../errors.ts";
import { tunUnavailable } from "../linux/capabilities.ts";
import { type Carried, moveTraffic } from "./iperf.ts";
import { describeMachine, loadAverage } from "./machine.ts";
import { hasProgram, Processes, type Running } from "./processes.ts";
import { searchRate } from "./rate-search.ts";
import { INNER, INNER_MTU, OUTER, Sites } from "./sites.ts";

export interface TunnelBenchOptions {
  /** `self`: a tunnel between two gateways of ours, the default. `plain`: none, the limit of this machine. */
  readonly peer?: "self" | "plain";
  /** Streams of TCP or UDP, 1 to 128; default 1. */
  readonly streams?: number;
  /** Octets of UDP payload, 16 to 1372; default TCP. */
  readonly udp?: number;
  /** Datagrams a second; default as many as the sender can, whatever is lost. */
  readonly rate?: number;
  /** Percent of UDP datagrams, 0 to 99: the highest rate is searched at which no more are lost. Takes some 20 s more. */
  readonly maxLoss?: number;
  /** 1 to 3600; default 5. */
  readonly seconds?: number;
  /** Default aes256gcm16. */
  readonly suite?: string;
  /** Of each gateway, 1 to 64; default 1. */
  readonly workers?: number;
  /** Default `auto`. */
  readonly engine?: EngineName | "auto";
  /** ESP in UDP; default `auto`, which is protocol 50 here. */
  readonly encap?: "auto" | "force" | "never";
  /** Of the virtual links: with them a packet may stand for 45. Default true. */
  readonly offloads?: boolean;
  /** When it is aborted all is ended and removed, and the promise rejects with its reason. */
  readonly signal?: AbortSignal;
}

/** Null is what has no meaning: `lossPercent` of TCP, `suite` without a tunnel. */
export interface TunnelBenchResult {
  readonly peer: "self" | "plain";
  readonly streams: number;
  /** Octets of payload in a datagram; null: TCP. */
  readonly udp: number | null;
  /** 10^9 bits of payload that arrived a second. */
  readonly gbps: number;
  /** Datagrams that arrived a second; of TCP, its octets in segments of the greatest size. */
  readonly pps: number;
  /** Datagrams that were sent a second; null: TCP. */
  readonly offeredPps: number | null;
  readonly lossPercent: number | null;
  /** Processors that both gateways together kept busy. What the kernel does on its own account is not in it. */
  readonly gatewayCores: number;
  /** With no other traffic. */
  readonly ping: { readonly averageMs: number };
  readonly retransmits: number | null;
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

type Settings = Required<Omit<TunnelBenchOptions, "signal" | "udp" | "rate" | "maxLoss">> & {
  readonly udp: number | undefined;
  readonly rate: number | undefined;
  readonly maxLoss: number | undefined;
};

const WARM_UP = 1; // seconds of the same traffic before the one that counts
const SEARCH = 2; // seconds of each step of a search
const PATIENCE = 15_000; // ms for IKE

/**
 * Rejects with ESPALIER_USAGE for an option out of its range, ESPALIER_PRIVILEGE or ESPALIER_PLATFORM where this machine
 * does not allow it or lacks a program.
 */
export const benchTunnel = async (options: TunnelBenchOptions = {}): Promise<TunnelBenchResult> => {
  const settings = checked(options);
  const main = mainProgram();
  checkMachine(settings);
  const processes = new Processes(options.signal);
  processes.proceed();
  const sites = new Sites(processes, `esb${process.pid}`);
  const directory = mkdtempSync(join(tmpdir(), `espalier-bench-${process.pid}-`));
  try {
    await sites.make(settings);
    const gateways = settings.peer === "self" ? await startGateways(processes, sites, settings, directory, main) : [];
    if (settings.peer === "plain") {
      await sites.route("gw-a", INNER.netB, OUTER.b);
      await sites.route("gw-b", INNER.netA, OUTER.a);
    }
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

const wrong = (message: string, remedy?: string): never => {
  throw new EspalierError("ESPALIER_USAGE", message, remedy === undefined ? {} : { remedy });
};

const checked = (options: TunnelBenchOptions): Settings => {
  const { peer = "self", streams = 1, seconds = 5, suite = "aes256gcm16", workers = 1, engine = "auto" } = options;
  const { encap = "auto", offloads = true, udp, rate, maxLoss } = options;
  const inRange = (what: string, value: number, least: number, most: number): void => {
    if (!(value >= least && value <= most && Number.isInteger(value)))
      wrong(`${what}: expected a whole number from ${least} to ${most}, not ${value}`);
  };
  const among = (what: string, value: string, all: readonly string[]): void => {
    if (!all.includes(value)) wrong(`${what}: expected ${all.join(", ")}, not ${value}`);
  };
  among("peer", peer, ["self", "plain"]);
  among("encap", encap, ["auto", "force", "never"]);
  among("engine", engine, ["auto", "ipsec-mb", "openssl", "node", "noble"]);
  inRange("streams", streams, 1, 128);
  inRange("seconds", seconds, 1, 3600);
  inRange("workers", workers, 1, MAX_WORKERS);
  if (udp !== undefined) inRange("udp", udp, 16, INNER_MTU - 28);
  if (rate !== undefined) inRange("rate", rate, 1, 1e9);
  if (maxLoss !== undefined && !(maxLoss >= 0 && maxLoss <= 99))
    wrong(`max-loss: expected 0 to 99 percent, not ${maxLoss}`);
  if (maxLoss !== undefined && udp === undefined) wrong("a greatest loss is for UDP", "Give --udp as well.");
  if (maxLoss !== undefined && rate !== undefined)
    wrong("the rate is either given or searched", "Leave one of them out.");
  if (rate !== undefined && udp === undefined) wrong("a rate is for UDP", "Give --udp as well.");
  if (suiteByName(suite) === undefined)
    wrong(`no suite is called ${suite}`, `Suites: ${SUITES.map(({ name }) => name).join(", ")}.`);
  return { peer, streams, seconds, suite, workers, engine, encap, offloads, udp, rate, maxLoss };
};

const mainProgram = (): string => {
  const main = fileURLToPath(new URL("../cli/main.js", import.meta.url));
  if (existsSync(main)) return main;
  throw new EspalierError("ESPALIER_PLATFORM", "the gateways run compiled JavaScript, and there is none", {
    remedy: "Run `npm run build` and use dist/.",
  });
};

/** Programs, and Debian's packages of them. */
const NEEDED = { ip: "iproute2", nsenter: "util-linux", ping: "iputils-ping", iperf3: "iperf3" };

const checkMachine = ({ offloads, peer }: Settings): void => {
  if (process.getuid?.() !== 0)
    throw new EspalierError("ESPALIER_PRIVILEGE", "bench tunnel makes network namespaces, which takes root", {
      remedy: "Run it as root; `espalier bench esp` needs no privileges.",
    });
  const needed = Object.entries(offloads ? NEEDED : { ...NEEDED, ethtool: "ethtool" });
  const missing = needed.filter(([program]) => !hasProgram(program));
  if (missing.length > 0)
    throw new EspalierError("ESPALIER_PLATFORM", `not installed: ${missing.map(([program]) => program).join(", ")}`, {
      remedy: `Install what is missing (Debian: apt-get install ${missing.map(([, of]) => of).join(" ")}).`,
    });
  const noTun = peer === "self" ? tunUnavailable() : undefined;
  if (noTun !== undefined) throw noTun;
};

interface BenchGateway {
  readonly process: Running;
  readonly control: string;
}

const startGateways = async (
  processes: Processes,
  sites: Sites,
  settings: Settings,
  directory: string,
  main: string,
): Promise<BenchGateway[]> => {
  const psk = `0x${randomBytes(32).toString("hex")}`;
  const gateways = (["b", "a"] as const).map((side) => {
    const control = join(directory, `${side}.sock`);
    const file = join(directory, `${side}.yaml`); // JSON is YAML
    writeFileSync(file, JSON.stringify({ control, ...configuration(side, psk, settings) }), { mode: 0o600 });
    const command = [process.execPath, main, "run", "-c", file];
    return { process: processes.start(sites.inside(side === "a" ? "gw-a" : "gw-b", command)), control };
  });
  for (const gateway of gateways) await processes.until("the tunnel is up", () => upReport(gateway), PATIENCE);
  return gateways;
};

const configuration = (side: "a" | "b", psk: string, { suite, workers, engine, encap }: Settings): object => {
  const far = side === "a" ? "b" : "a";
  return {
    workers,
    engine,
    log: { level: "warn" },
    connections: {
      bench: {
        local: { address: OUTER[side], id: `gw-${side}.example` },
        remote: { address: OUTER[far], id: `gw-${far}.example` },
        psk,
        start: side === "a" ? "initiate" : "none",
        encap,
        liveness: "off",
        children: {
          net: { proposals: [suite], interface: { name: "esp0", routes: [side === "a" ? INNER.netB : INNER.netA] } },
        },
      },
    },
  };
};

/** The gateway's status once its tunnel is up; throws when it has ended. */
const upReport = async ({ process, control }: BenchGateway) => {
  if (!process.isRunning) throw new EspalierError("ESPALIER_PLATFORM", `a gateway ended: ${process.account}`);
  if (!existsSync(control)) return undefined;
  const status = await callControl(control, "status", {});
  const [connection] = status.connections;
  return connection?.state === "up" && connection.childSas.length > 0 ? status : undefined;
};

const measure = async (
  processes: Processes,
  sites: Sites,
  settings: Settings,
  gateways: readonly BenchGateway[],
): Promise<TunnelBenchResult> => {
  const { peer, streams, udp, offloads } = settings;
  const before = loadAverage();
  const averageMs = await pingTime(processes, sites);
  const run = async (seconds: number, rate: number | undefined): Promise<Measured> => {
    const cpuBefore = cpuSeconds(gateways);
    const carried = await moveTraffic(processes, sites, { streams, udp, rate, seconds });
    return { ...carried, cpu: cpuSeconds(gateways) - cpuBefore };
  };
  const { seconds, bytes, packets, offered, lossPercent, retransmits, cpu } = await bestRun(settings, run);
  const status = gateways[0] === undefined ? undefined : await upReport(gateways[0]);
  return {
    peer,
    streams,
    udp: udp ?? null,
    gbps: (bytes * 8) / seconds / 1e9,
    pps: packets / seconds,
    offeredPps: offered === null ? null : offered / seconds,
    lossPercent,
    gatewayCores: cpu / seconds,
    ping: { averageMs },
    retransmits,
    suite: status?.connections[0]?.childSas[0]?.suite ?? null,
    engine: status?.engine.name ?? null,
    workers: status?.workers.length ?? null,
    encap: peer === "self" ? settings.encap : null,
    offloads: offloads ? "on" : "off",
    seconds,
    load: [before, loadAverage()],
    machine: describeMachine(),
  };
};

type Measured = Carried & { readonly cpu: number };

/** A short run to warm up, then the one that counts. With a greatest loss, a search between them. */
const bestRun = async (
  { rate, maxLoss, seconds }: Settings,
  run: (seconds: number, rate: number | undefined) => Promise<Measured>,
): Promise<Measured> => {
  const warm = await run(WARM_UP, rate);
  if (maxLoss === undefined) return run(seconds, rate);
  const judged = async (length: number, tried: number) => {
    const measured = await run(length, tried);
    return { ...measured, isGood: (measured.lossPercent ?? 0) <= maxLoss };
  };
  const most = (warm.offered ?? 0) / warm.seconds;
  return searchRate(
    most,
    async (tried) => {
      const short = await judged(SEARCH, tried);
      return { offered: (short.offered ?? 0) / short.seconds, isGood: short.isGood };
    },
    (tried) => judged(seconds, tried),
  );
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

const TICKS = 100; // a second, in /proc (proc(5): USER_HZ, which is 100 on all platforms of ours)

/** Processor time of the gateways, all their threads. */
const cpuSeconds = (gateways: readonly BenchGateway[]): number =>
  gateways.reduce((sum, { process: { pid } }) => {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // from the third on; the second may hold spaces
    return sum + (Number(fields[11]) + Number(fields[12])) / TICKS;
  }, 0);
