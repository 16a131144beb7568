/**
 * The gateway: the composition root. IKE decides (sans I/O), the data plane carries, and here what one wants of the other
 * becomes real: sockets, timers, the control socket; pairs of SAs and their interfaces in `gateway/pairs.ts`.
 */
import { randomInt } from "node:crypto";
import { lookup } from "node:dns/promises";
import type { Config } from "./config/config.ts";
import { toConnections } from "./config/connections.ts";
import { loadConfig } from "./config/load.ts";
import { createLog, type Log, type LogEntry } from "./control/log.ts";
import { type ControlServer, serveControl } from "./control/server.ts";
import type { GatewayStatus } from "./control/status.ts";
import { VERSION } from "./control/version.ts";
import { RandomPool } from "./crypto/random-pool.ts";
import { describeChoice, type EngineChoice } from "./crypto/select-engine.ts";
import { Plane, type PlaneEvent } from "./dataplane/plane.ts";
import { EspalierError } from "./errors.ts";
import { type Clock, systemClock } from "./gateway/clock.ts";
import { DummyTraffic } from "./gateway/dummy-traffic.ts";
import { chooseEngines } from "./gateway/engines.ts";
import { InitQueue } from "./gateway/init-queue.ts";
import { KeyPool } from "./gateway/key-pool.ts";
import { sourceFor } from "./gateway/local-address.ts";
import { type ManualPair, manualPairs, withoutManual } from "./gateway/manual-sas.ts";
import { Pairs } from "./gateway/pairs.ts";
import { reportEngines, reportStatus } from "./gateway/report.ts";
import { slowKeyExchanges } from "./gateway/slow-key-exchanges.ts";
import { GatewaySockets } from "./gateway/sockets.ts";
import { Trap } from "./gateway/trap.ts";
import { Tunnels } from "./gateway/tunnels.ts";
import type { Effect } from "./ike/effect.ts";
import { BAD_SOURCE, IkeManager } from "./ike/manager.ts";
import { familyOf, formatEndpoint } from "./ip-address.ts";
import { requireCapabilities } from "./linux/capabilities.ts";
import { IcmpSocket } from "./linux/icmp-socket.ts";
import { routeTo } from "./linux/route.ts";

/** How often the data plane is asked for events, and timers are looked at, ms. */
const BEAT = 20;
/** ICMP errors that are looked at in one beat. */
const MOST_ERRORS = 16;
/** How long `stop` waits for peers to answer its Deletes, ms. */
const FAREWELL = 1500;

/** Octets of memory for so many policies, and for as many to take their place; what is not used is never touched. */
const policyRoom = (policies: number): number => (4 << 20) + 8192 * policies;

export interface GatewayOptions {
  /** Default: as the configuration says, to standard error. */
  readonly log?: Log;
  readonly clock?: Clock;
}

/** A gateway of this configuration, or of the file at this path; `start` makes it real. Throws ESPALIER_CONFIG. */
export const createGateway = async (config: Config | string, options: GatewayOptions = {}): Promise<Gateway> =>
  new Gateway(typeof config === "string" ? loadConfig(config) : config, options);

/** What a started gateway holds. */
interface Parts {
  readonly choice: EngineChoice;
  readonly plane: Plane;
  readonly manager: IkeManager;
  readonly pairs: Pairs;
  readonly manual: readonly ManualPair[];
  readonly startedAt: number;
  trap: Trap;
  control: ControlServer | undefined;
  beat: NodeJS.Timeout | undefined;
}

export class Gateway {
  /** Settles when the gateway has stopped; rejects when it had to stop because of a failure. */
  readonly closed: Promise<void>;
  readonly #config: Config;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #sockets: GatewaySockets;
  readonly #strangers = new InitQueue({
    serve: (bytes, path) => this.#act((manager, now) => manager.receive(bytes, path, now)),
    onDrop: () => this.#parts?.manager.drop("init-queue-full"),
  });
  readonly #keyPool = new KeyPool({
    onDone: (id, result) => this.#act((manager, now) => manager.keyWorkDone(id, result, now)),
    onTrouble: (message) => this.#write("error", "key-threads-failed", `computed on the control thread: ${message}`),
  });
  readonly #tunnels: Tunnels;
  readonly #icmp: IcmpSocket[] = [];
  readonly #dummies = new DummyTraffic(randomInt);
  #parts: Parts | undefined;
  #stopping: Promise<void> | undefined;
  #settle: { resolve: () => void; reject: (reason: unknown) => void } = { resolve: () => {}, reject: () => {} };

  constructor(config: Config, { log, clock = systemClock }: GatewayOptions) {
    this.#config = config;
    this.#clock = clock;
    this.#log = log ?? createLog(config.log);
    this.closed = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.closed.catch(() => {}); // whoever awaits it hears of it; nobody has to
    this.#tunnels = new Tunnels(config);
    this.#sockets = new GatewaySockets({
      ikePort: config.ports.ike,
      nattPort: config.ports.natt,
      dscp: config.ike.dscp,
      mark: config.mark,
      onMessage: (bytes, path) => {
        if (!this.#strangers.take(bytes, path)) this.#act((manager, now) => manager.receive(bytes, path, now));
      },
      onEsp: (packet, remote) => this.#guarded("esp-failed", () => this.#parts?.plane.deliver(packet, remote)),
      onBadSource: () => this.#parts?.manager.drop(BAD_SOURCE),
      onSendError: (path, error) =>
        this.#write("debug", "send-failed", `to ${formatEndpoint(path.remote)}: ${error.message}`),
    });
  }

  /**
   * Choose the engine, start the workers, open sockets and interfaces, begin the connections that say so. Throws
   * EspalierError (privilege, port in use, platform) and leaves nothing behind then.
   */
  async start(): Promise<void> {
    if (this.#parts !== undefined || this.#stopping !== undefined)
      throw new EspalierError("ESPALIER_USAGE", "a gateway starts once");
    try {
      await this.#start();
    } catch (error) {
      await this.#dismantle();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const { workers, affinity, poll, batch, ports, control, mark, interfaces } = this.#config;
    requireCapabilities();
    const source = (remote: string): string => sourceFor(remote, mark);
    const connections = toConnections(withoutManual(this.#config), source);
    const manual = manualPairs(this.#config, source);
    const choice = chooseEngines(this.#config);
    for (const line of describeChoice(choice)) this.#write("info", "engine", line);
    const plane = await Plane.start({
      workers,
      affinity,
      poll,
      batch,
      engine: choice.plan,
      policyOctets: policyRoom(interfaces.reduce((sum, { policies }) => sum + policies.length, 0)),
    });
    const random = new RandomPool();
    const manager = new IkeManager(
      connections,
      {
        random: (length) => random.take(length),
        reserveSpi: (connection, child, resource) => plane.reserveSpi(this.#tunnels.idOf(connection, child), resource),
        releaseSpi: (spi) => plane.releaseSpi(spi),
        usage: (spi) => plane.usage(spi),
        pathMtu: ({ remote }) => this.#guarded("path-mtu-failed", () => routeTo(remote.address, { mark })?.mtu),
      },
      { ports, ...this.#config.ike, slowKeyExchanges: slowKeyExchanges(connections) },
    );
    const parts: Parts = {
      choice,
      plane,
      manager,
      pairs: new Pairs({
        plane,
        tunnels: this.#tunnels,
        clock: this.#clock,
        isTrapping: (connection, child) => manager.isTrapping(connection, child),
        mark,
      }),
      manual,
      startedAt: this.#clock.now(),
      trap: new Trap([]),
      control: undefined,
      beat: undefined,
    };
    this.#parts = parts;
    const addresses = [
      ...connections.map(({ local }) => local.address),
      ...manual.map(({ child }) => child.path.local.address),
    ];
    await this.#openSockets(new Set(addresses), plane);
    this.#tunnels.open(plane);
    for (const { id, tunnel, settings } of this.#tunnels.all)
      if (settings.dummies !== undefined) this.#dummies.add(id, tunnel, settings.dummies, this.#clock.now());
    parts.trap = new Trap(this.#tunnels.trapped());
    parts.control = await serveControl(control, {
      status: () => this.status(),
      initiate: (name) => this.initiate(name),
      terminate: (name) => this.terminate(name),
      rekey: (name, options) => this.rekey(name, options),
    });
    parts.beat = setInterval(() => this.#guarded("beat-failed", () => this.#onBeat()), BEAT);
    this.#write("info", "started", `${workers} ${workers === 1 ? "worker" : "workers"}, control socket ${control}`);
    for (const pair of manual) parts.pairs.installManual(pair);
    this.#act((ike, now) => ike.start(now));
  }

  /** Delete all SAs at the peers, remove interfaces, routes and sockets. May be called twice. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop().then(this.#settle.resolve, (error: unknown) => {
      this.#settle.reject(error);
      throw error;
    });
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    if (this.#parts !== undefined) {
      const { manager } = this.#parts;
      for (const { name } of withoutManual(this.#config).connections) this.#act((ike, now) => ike.terminate(name, now));
      const until = this.#clock.now() + FAREWELL; // a Delete that is lost is sent again meanwhile
      const isOpen = (): boolean => manager.status(this.#clock.now()).some(({ state }) => state !== "down");
      while (isOpen() && this.#clock.now() < until) await new Promise((wake) => setTimeout(wake, BEAT));
      this.#act((ike, now) => ike.stop(now));
    }
    await this.#dismantle();
    this.#write("info", "stopped", "all SAs, interfaces, routes and sockets are gone");
  }

  status(): GatewayStatus {
    const { choice, plane, manager, manual, startedAt } = this.#running();
    return reportStatus({
      clock: this.#clock,
      manager,
      plane,
      tunnels: this.#tunnels,
      manual,
      about: {
        version: VERSION,
        engine: reportEngines(choice),
      },
      startedAt,
    });
  }

  /** Bring a connection up. Throws ESPALIER_USAGE for an unknown name, as the other two do. */
  initiate(name: string): void {
    this.#running();
    this.#take((manager, now) => manager.initiate(name, now));
  }

  /** Delete a connection's SAs at the peer; it stays down until `initiate` or until the peer begins. */
  terminate(name: string): void {
    this.#running();
    this.#take((manager, now) => manager.terminate(name, now));
  }

  /** New keys now: for the Child SAs, or with `ike` for the IKE SA. Make before break. */
  rekey(name: string, { ike = false }: { ike?: boolean } = {}): void {
    this.#running();
    this.#take((manager, now) => manager.rekey(name, { ike }, now));
  }

  // Start and end

  async #openSockets(addresses: ReadonlySet<string>, plane: Plane): Promise<void> {
    for (const address of addresses)
      plane.addSockets(await this.#sockets.open(address, { workers: plane.workers, slotBits: plane.slotBits }));
    for (const family of new Set([...addresses].map(familyOf))) this.#icmp.push(new IcmpSocket(family));
  }

  /** Undo whatever of `#start` has happened. */
  async #dismantle(): Promise<void> {
    const parts = this.#parts;
    clearInterval(parts?.beat);
    this.#strangers.close();
    await this.#keyPool.close();
    await parts?.control?.close();
    parts?.pairs.close();
    await parts?.plane.stop();
    this.#parts = undefined;
    this.#tunnels.close();
    for (const socket of this.#icmp.splice(0)) socket.close();
    await this.#sockets.close();
  }

  #running(): Parts {
    if (this.#parts !== undefined) return this.#parts;
    throw new EspalierError("ESPALIER_USAGE", "the gateway is not running");
  }

  // Between the planes

  #onBeat(): void {
    const parts = this.#parts;
    if (parts === undefined) return;
    for (const event of parts.plane.poll()) this.#onPlaneEvent(event, parts.pairs);
    this.#guarded("path-mtu-failed", () => this.#readIcmp(parts.pairs));
    this.#guarded("path-mtu-failed", () => parts.pairs.renewPaths());
    this.#dummies.run(this.#clock.now(), (id, length) => parts.plane.sendDummy(id, length));
    for (const { connection, child } of parts.trap.look(
      (name, of) => parts.manager.isTrapping(name, of),
      this.#clock.now(),
    ))
      this.#act((manager, now) => manager.trapped(connection, child, now));
    const wake = parts.manager.nextWake();
    if (wake !== undefined && wake <= this.#clock.now()) this.#act((manager, now) => manager.tick(now));
  }

  #onPlaneEvent(event: PlaneEvent, pairs: Pairs): void {
    switch (event.kind) {
      case "first-packet":
        if (pairs.has(event.spiIn)) this.#act((manager, now) => manager.peerUsed(event.spiIn, now));
        break;
      case "peer-moved":
        if (pairs.has(event.spiIn)) this.#act((manager, now) => manager.espFrom(event.spiIn, event.remote, now));
        break;
      case "unknown-spi":
        this.#act((manager, now) => manager.unknownSpi(event.spi, event.remote, now));
        break;
      case "selector-mismatch":
        if (pairs.has(event.spiIn))
          this.#act((manager, now) => manager.selectorMismatch(event.spiIn, event.start, now));
        break;
      case "wanted": {
        const wanted = this.#tunnels.childOf(event.tunnel);
        if (wanted !== undefined) this.#act((manager, now) => manager.trapped(wanted.connection, wanted.child, now));
        break;
      }
      case "mixed-trains":
        this.#write("info", "mixed-trains", `datagrams for ${event.address} come singly: their trains mixed SAs`);
        break;
      case "tun-refused": {
        const name = [...this.#tunnels.all].find(({ id }) => id === event.tunnel)?.tunnel.name ?? "an interface";
        // The peer may send before our interface is up, and after it went down.
        const [level, why] =
          event.errno === "EIO" ? (["info", "it is not up"] as const) : (["warn", event.errno] as const);
        this.#write(level, "tun-refused", `${name} did not take a packet: ${why}; others are counted as tun-error`);
        break;
      }
      case "replaced":
        this.#write("error", "worker-replaced", `worker ${event.worker} died and was replaced: ${event.message}`);
        break;
      case "failed":
        this.#fail(new Error(`worker ${event.worker} stopped: ${event.message}`));
        break;
    }
  }

  /** Routers on the way to a peer may say that our packets are too big for them (RFC 4301 §8.2). */
  #readIcmp(pairs: Pairs): void {
    for (const socket of this.#icmp)
      for (let read = 0; read < MOST_ERRORS; read++) {
        const message = socket.read();
        if (message === undefined) break;
        const told = pairs.takeIcmp(message, socket.family);
        if (told === undefined) continue;
        const level = told.news === "lowered" ? "info" : "debug";
        this.#write(level, "path-mtu", `${told.mtu} to ${told.remote}: ${told.news}`);
      }
  }

  /** What comes from the network, or with time, has no caller: whatever goes wrong with it is written down. */
  #act(step: (manager: IkeManager, now: number) => readonly Effect[]): void {
    this.#guarded("step-failed", () => this.#take(step));
  }

  /** What the system refuses costs this one step; anything else is a bug. */
  #guarded<Result>(event: string, step: () => Result): Result | undefined {
    try {
      return step();
    } catch (error) {
      if (error instanceof EspalierError) this.#write("error", event, error.message);
      else this.#fail(error);
      return undefined;
    }
  }

  /** Let IKE take one step and do what it asks for. A caller's mistake goes back to the caller. */
  #take(step: (manager: IkeManager, now: number) => readonly Effect[]): void {
    const manager = this.#parts?.manager;
    if (manager === undefined) return; // a datagram that came while the gateway was ending
    let effects: readonly Effect[] = [];
    try {
      effects = step(manager, this.#clock.now());
    } catch (error) {
      if (error instanceof EspalierError) throw error;
      this.#fail(error);
    }
    for (const effect of effects) {
      try {
        this.#perform(effect);
      } catch (error) {
        // What the system refuses, such as a route that somebody else added meanwhile, costs that effect alone.
        if (error instanceof EspalierError) this.#write("error", `${effect.kind}-failed`, error.message);
        else this.#fail(error);
      }
    }
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case "send":
        this.#sockets.ike.send(effect.path, effect.bytes);
        break;
      case "keepalive":
        this.#sockets.ike.keepalive(effect.path);
        break;
      case "install":
        this.#running().pairs.install(effect.child, effect.use === "now");
        break;
      case "use":
        this.#running().pairs.use(effect.spiIn);
        break;
      case "remove":
        this.#running().pairs.remove(effect.spiIn);
        break;
      case "move":
        this.#running().pairs.move(effect.spiIn, effect.path);
        break;
      case "resolve":
        this.#resolve(effect.connection, effect.host);
        break;
      case "key-work":
        this.#keyPool.do(effect.id, effect.work);
        break;
      case "forget-key-work":
        this.#keyPool.forget(effect.id);
        break;
      case "log":
        this.#log.write(effect);
        break;
    }
  }

  /** By the system's resolver: its file of hosts, its name servers. */
  #resolve(connection: string, host: string): void {
    lookup(host, { all: true })
      .then(
        (found) => found.map(({ address }) => address),
        () => [],
      )
      .then((addresses) => this.#act((manager, now) => manager.resolved(connection, host, addresses, now)));
  }

  /** A bug, here or in a worker: end in order, SAs deleted at the peers, rather than go on half. */
  #fail(cause: unknown): void {
    const error = cause instanceof Error ? cause : new Error(String(cause));
    this.#write("error", "failed", error.stack ?? error.message);
    this.#settle.reject(error);
    this.stop().catch((reason: unknown) => this.#write("error", "stop-failed", String(reason)));
  }

  #write(level: LogEntry["level"], event: string, message: string): void {
    this.#log.write({ level, event, message });
  }
}
