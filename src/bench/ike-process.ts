/**
 * One gateway's control plane in a process of its own, for `espalier bench ike`: the IKE core, the queue of those who want to
 * begin, and UDP sockets as the gateway has them. Its parent says what to do, a message at a time, and is told what came out.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { IkeSockets } from "../gateway/ike-sockets.ts";
import { InitQueue } from "../gateway/init-queue.ts";
import { BAD_SOURCE } from "../ike/manager.ts";
import { openIkePort } from "../linux/ike-port.ts";
import { type Done, IkeLoad, type IkeWork } from "./ike-load.ts";
import { type Span, STALL_RESOLUTION } from "./ike-rows.ts";
import { IkeSite, type IkeSiteOptions, type PairProof } from "./ike-site.ts";

export type Order =
  | { readonly order: "open"; readonly site: IkeSiteOptions; readonly proofKey: string }
  /** Initiator: bring so many connections up. Answered when they are. */
  | { readonly order: "connect"; readonly connections: number; readonly atOnce: number }
  /** Initiator: begin the work and go on with it until `look`. */
  | {
      readonly order: "repeat";
      readonly work: IkeWork;
      readonly connections: number;
      readonly rate: number | undefined;
    }
  | { readonly order: "proofs" }
  /** What has been since the last look. `stop`: begin no more. */
  | { readonly order: "look"; readonly stop: boolean }
  | { readonly order: "close" };

export interface Looked {
  readonly done: Done;
  /** ms of this process's clock: the last look, and this one. */
  readonly span: Span;
  /** ms of processor time of this process. */
  readonly cpu: number;
  /** ms that a timer was late. */
  readonly stall: { readonly p99: number; readonly longest: number };
  /** Octets of memory that are resident. */
  readonly resident: number;
  readonly heapUsed: number;
  readonly pairs: number;
  readonly counters: Readonly<Record<string, number>>;
}

export type Told =
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "proofs"; readonly proofs: ReadonlyMap<number, PairProof> }
  | { readonly kind: "looked"; readonly looked: Looked };

const DSCP = 48;
/** As the gateway looks at its timers, ms. */
const BEAT = 20;

class IkeProcess {
  readonly #site: IkeSite;
  readonly #load: IkeLoad;
  readonly #sockets: IkeSockets;
  readonly #queue: InitQueue;
  readonly #delays = monitorEventLoopDelay({ resolution: STALL_RESOLUTION });
  readonly #beat: NodeJS.Timeout;
  #next: NodeJS.Immediate | undefined;
  #pace: NodeJS.Timeout | undefined;
  #since = { at: performance.now(), cpu: process.cpuUsage() };

  private constructor(site: IkeSite, sockets: IkeSockets, queue: InitQueue) {
    this.#site = site;
    this.#load = new IkeLoad(site);
    this.#sockets = sockets;
    this.#queue = queue;
    this.#delays.enable();
    this.#beat = setInterval(() => {
      site.beat();
      this.step();
    }, BEAT);
  }

  static async open(options: IkeSiteOptions): Promise<IkeProcess> {
    const { role, addresses, ports } = options;
    let self: IkeProcess | undefined;
    const receive = (bytes: Uint8Array, path: Parameters<InitQueue["take"]>[1]): void =>
      site.act((ike, now) => ike.receive(bytes, path, now));
    const queue = new InitQueue({ serve: receive, onDrop: () => site.manager.drop("init-queue-full") });
    const sockets = new IkeSockets({
      ikePort: ports.ike,
      nattPort: ports.natt,
      dscp: DSCP,
      onMessage: (bytes, path) => {
        if (!queue.take(bytes, path)) receive(bytes, path);
        self?.step();
      },
      onEsp: () => {},
      onBadSource: () => site.manager.drop(BAD_SOURCE),
      onSendError: () => {},
    });
    const site = await IkeSite.open(options, (path, bytes) => sockets.send(path, bytes));
    const address = addresses[role];
    await sockets.open(address, openIkePort({ address, port: ports.natt }));
    self = new IkeProcess(site, sockets, queue);
    return self;
  }

  async obey(order: Exclude<Order, { order: "open" }>, proofKey: string): Promise<Told> {
    switch (order.order) {
      case "connect":
        await this.#connect(order.connections, order.atOnce);
        return { kind: "done" };
      case "repeat":
        this.#site.prove(undefined);
        this.#load.repeat(order.work, order.connections, order.rate);
        if (order.rate !== undefined) this.#pace = setInterval(() => this.#load.begin(), 1000 / order.rate);
        return { kind: "done" };
      case "proofs": {
        const proofs = new Map(this.#site.proofs);
        this.#site.prove(proofKey);
        return { kind: "proofs", proofs };
      }
      case "look":
        if (order.stop) this.#stop();
        return { kind: "looked", looked: this.#look() };
      case "close":
        await this.#close();
        return { kind: "done" };
    }
  }

  prove(key: string): void {
    this.#site.prove(key);
  }

  /** No more than `atOnce` on their way at a time. */
  async #connect(connections: number, atOnce: number): Promise<void> {
    for (let next = 0; next < connections || this.#load.waiting > 0; ) {
      const room = Math.min(atOnce - this.#load.waiting, connections - next);
      if (room > 0) this.#load.connect(Array.from({ length: room }, (_, n) => next + n));
      next += Math.max(0, room);
      await new Promise(setImmediate);
    }
  }

  /** What the last message made due begins outside of it. */
  step(): void {
    this.#next ??= setImmediate(() => {
      this.#next = undefined;
      if (this.#load.step()) this.step();
    });
  }

  #look(): Looked {
    const { at, cpu } = this.#since;
    const ended = performance.now();
    const used = process.cpuUsage();
    const { rss, heapUsed } = process.memoryUsage();
    const looked = {
      done: this.#load.take(),
      span: { began: at, ended },
      cpu: (used.user - cpu.user + used.system - cpu.system) / 1000,
      stall: { p99: late(this.#delays.percentile(99)), longest: late(this.#delays.max) },
      resident: rss,
      heapUsed,
      pairs: this.#site.pairs,
      counters: { ...this.#site.manager.counters },
    };
    this.#delays.reset();
    this.#since = { at: ended, cpu: used };
    return looked;
  }

  #stop(): void {
    clearInterval(this.#pace);
    this.#load.end();
  }

  async #close(): Promise<void> {
    clearInterval(this.#beat);
    clearInterval(this.#pace);
    clearImmediate(this.#next);
    this.#delays.disable();
    this.#queue.close();
    await this.#sockets.close();
    await this.#site.close();
  }
}

/** Of the ns between two looks, the ms that were too much. */
const late = (ns: number): number => Math.max(0, ns / 1e6 - STALL_RESOLUTION);

const serve = (tell: (told: Told) => void): void => {
  let gateway: IkeProcess | undefined;
  let proofKey = "";
  const obey = async (order: Order): Promise<Told> => {
    if (order.order !== "open") {
      if (gateway === undefined) throw new RangeError("it is not open");
      return gateway.obey(order, proofKey);
    }
    proofKey = order.proofKey;
    gateway = await IkeProcess.open(order.site);
    gateway.prove(proofKey);
    return { kind: "done" };
  };
  process.on("message", (order: Order) => {
    obey(order).then(tell, (error: unknown) =>
      tell({ kind: "failed", message: error instanceof Error ? error.message : String(error) }),
    );
  });
  process.on("disconnect", () => process.exit()); // nobody is left to measure for
};

if (process.send !== undefined) serve((told) => process.send?.(told));
