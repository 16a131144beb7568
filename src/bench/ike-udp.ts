/** Handshakes over UDP between two processes on the loopback interface, and the tunnels that are idle after them. */
import { type ChildProcess, fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { EspalierError } from "../errors.ts";
import { openIkePort } from "../linux/ike-port.ts";
import { close } from "../linux/libc.ts";
import { boundEndpoint } from "../linux/socket.ts";
import type { Looked, Order, Told } from "./ike-process.ts";
import { checkProofs } from "./ike-proofs.ts";
import { figuresOf, type IkeBenchRow, type IkeTask, keyExchangeTime } from "./ike-rows.ts";
import type { IkeSiteOptions, PairProof } from "./ike-site.ts";

const ADDRESSES = { initiator: "127.77.0.1", responder: "127.77.0.2" };
/** Before the clock runs, ms, but no longer than it runs: the compiler is to have finished. */
const WARM_UP = 1000;

/** How long a process may take to end, ms. */
const GRACE = 2000;

const pause = (ms: number): Promise<void> => new Promise((wake) => setTimeout(wake, ms));

class Child {
  readonly #process: ChildProcess;
  #answer: { resolve: (told: Told) => void; reject: (reason: Error) => void } | undefined;

  constructor() {
    this.#process = fork(new URL("./ike-process.js", import.meta.url), { serialization: "advanced" });
    this.#process.on("message", (told: Told) => this.#answer?.resolve(told));
    this.#process.on("exit", (status) =>
      this.#answer?.reject(new EspalierError("ESPALIER_PLATFORM", `a gateway of the benchmark ended with ${status}`)),
    );
  }

  async obey(order: Order): Promise<Told> {
    const told = await new Promise<Told>((resolve, reject) => {
      this.#answer = { resolve, reject };
      this.#process.send(order);
    });
    if (told.kind === "failed") throw new EspalierError("ESPALIER_PLATFORM", told.message);
    return told;
  }

  async proofs(): Promise<ReadonlyMap<number, PairProof>> {
    const told = await this.obey({ order: "proofs" });
    return told.kind === "proofs" ? told.proofs : new Map();
  }

  async look(stop = false): Promise<Looked> {
    const told = await this.obey({ order: "look", stop });
    if (told.kind !== "looked") throw new RangeError(`asked for a look, got ${told.kind}`);
    return told.looked;
  }

  /** It ends when nobody talks to it any more; one that does not is ended. */
  async end(): Promise<void> {
    this.#answer = undefined;
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), GRACE);
    if (this.#process.connected) this.#process.disconnect();
    await ended;
    clearTimeout(timer);
  }
}

/** Two UDP ports that are free on both addresses at this moment. */
const freePorts = (): { ike: number; natt: number } => {
  const fds = [0, 0].map(() => openIkePort({ address: "0.0.0.0", port: 0 }));
  const [ike = 0, natt = 0] = fds.map((fd) => boundEndpoint(fd).port);
  for (const fd of fds) close(fd);
  return { ike, natt };
};

export interface Pair {
  readonly initiator: Child;
  readonly responder: Child;
}

/** Start both, bring all connections up, check that both sides have the same keys, act, and end both whatever happens. */
export const withPair = async <T>(
  site: Pick<IkeSiteOptions, "connections" | "kex" | "pfs" | "liveness" | "keyThreads">,
  act: (pair: Pair) => Promise<T>,
): Promise<T> => {
  const pair = { initiator: new Child(), responder: new Child() };
  const proofKey = randomBytes(32).toString("hex");
  const all = { ...site, addresses: ADDRESSES, ports: freePorts() };
  try {
    for (const role of ["responder", "initiator"] as const)
      await pair[role].obey({ order: "open", site: { ...all, role }, proofKey });
    await pair.initiator.obey({ order: "connect", connections: site.connections, atOnce: 8 });
    checkProofs(site.connections, await pair.initiator.proofs(), await pair.responder.proofs());
    return await act(pair);
  } finally {
    await Promise.all(Object.values(pair).map((child) => child.end()));
  }
};

export const measureOverUdp = ({
  kex,
  work,
  concurrency,
  seconds,
  rate,
  keyThreads,
}: IkeTask): Promise<IkeBenchRow> => {
  const keyExchangeMs = keyExchangeTime(kex);
  const site = { connections: concurrency, kex, pfs: work === "rekey-child-pfs", liveness: undefined, keyThreads };
  return withPair(site, async (pair) => {
    const { initiator, responder } = pair;
    await initiator.obey({ order: "repeat", work, connections: concurrency, rate });
    await pause(Math.min(WARM_UP, seconds * 1000));
    const before = { initiator: await initiator.look(), responder: await responder.look() };
    await pause(seconds * 1000);
    const after = { initiator: await initiator.look(true), responder: await responder.look() };
    const figures = figuresOf(after.initiator.done, after.initiator.span);
    const { count } = figures;
    if (count === 0) throw new EspalierError("ESPALIER_PLATFORM", `nothing was done within ${seconds} s`);
    const since = (role: keyof Pair, reason: string): number =>
      (after[role].counters[reason] ?? 0) - (before[role].counters[reason] ?? 0);
    return {
      ...{ what: work, keyExchange: kex, authentication: "psk", transport: "udp", clients: concurrency },
      ...{ rate: rate ?? null, keyThreads: keyThreads ?? null, ...figures },
      initiatorCpuMs: after.initiator.cpu / count,
      responderCpuMs: after.responder.cpu / count,
      keyExchangeMs,
      initiatorStallP99Ms: after.initiator.stall.p99,
      initiatorStallMs: after.initiator.stall.longest,
      responderStallP99Ms: after.responder.stall.p99,
      responderStallMs: after.responder.stall.longest,
      retransmissions: since("initiator", "retransmissions") + since("responder", "retransmissions"),
      cookies: since("responder", "cookies-sent"),
    };
  });
};
