/**
 * The data plane as the control thread holds it: it starts the workers, writes SAs, tunnels and sockets into the tables
 * they read, and reads their counters and events.
 *
 * Descriptors stay the caller's: it closes TUN descriptors after `removeTunnel` has resolved and sockets after `stop` has.
 */
import type { EngineName } from "../crypto/engine.ts";
import type { EnginePlan } from "../crypto/engine-plan.ts";
import { addressBytes, type Endpoint } from "../ip-address.ts";
import { addTallies } from "../ipsec/counters.ts";
import { ESP_HEADER, spiOf } from "../ipsec/esp.ts";
import { Df, type DfPolicy } from "../ipsec/outer-header.ts";
import { ANY_SIZE, type SaSize } from "../ipsec/sad.ts";
import { Memory } from "../linux/memory.ts";
import { DEFAULT_BATCH, MAX_PACKET, PARK } from "./arena.ts";
import { type ChildSa, checkKey, checkSpi, checkWindow, type EspPath, saPath } from "./child-sa.ts";
import { Handoff } from "./handoff.ts";
import { type PlaneEvent, PlaneEvents } from "./plane-events.ts";
import { PlaneMemory } from "./plane-memory.ts";
import { type ChildOptions, checkPlane, type PlaneOptions, type TunnelOptions, usage } from "./plane-options.ts";
import { PlanePolicies, type PlanePolicy } from "./plane-policies.ts";
import {
  type PairCounters,
  pairTraffic,
  reportPair,
  reportTunnel,
  reportWorker,
  type TunnelCounters,
  type WorkerStats,
} from "./plane-report.ts";
import { PlaneSockets, type SocketOptions } from "./plane-sockets.ts";
import { type Pair, PlaneTunnel, type PlaneTunnelOptions } from "./plane-tunnel.ts";
import { Slots } from "./slots.ts";
import { MAX_TUNNELS } from "./tunnel-table.ts";
import { TABLES_CHANGED } from "./worker-board.ts";
import { startWorkers, type Workers } from "./workers.ts";

const DEFAULT_SLOTS = 4096;

export class Plane {
  readonly workers: number;
  readonly slots: number;
  readonly engine: EngineName | EnginePlan;
  readonly #memory: PlaneMemory;
  readonly #threads: Workers;
  readonly #slots: Slots;
  readonly #tunnels = new Map<number, PlaneTunnel>();
  readonly #sockets: PlaneSockets;
  readonly #policies: PlanePolicies;
  readonly #handoff: Handoff;
  /** By inbound SPI. */
  readonly #reserved = new Map<number, { slot: number; tunnel: PlaneTunnel; resource: number }>();
  readonly #pairs = new Map<number, Pair>();
  /** Tunnels of slots that wait for reuse. */
  readonly #retiredFrom = new Map<number, PlaneTunnel>();
  readonly #zeros = Memory.allocate(MAX_PACKET);
  /** Where a packet lies from which it is given to a worker. */
  readonly #given = Memory.allocate(PARK);
  /** What came to `deliver` and met no worker. */
  readonly #undelivered = { runt: 0, "handoff-full": 0 };
  readonly #events: PlaneEvents;
  #order = 0;
  #stopped: Promise<void> | undefined;

  private constructor({ workers, engine }: PlaneOptions, memory: PlaneMemory, threads: Workers) {
    this.workers = workers;
    this.slots = memory.sad.capacity;
    this.engine = engine;
    this.#memory = memory;
    this.#threads = threads;
    this.#slots = new Slots(this.slots, workers);
    this.#sockets = new PlaneSockets(memory.sockets, workers);
    this.#policies = new PlanePolicies(memory.policies);
    this.#handoff = new Handoff({ memory: memory.handoff, thread: workers, wakeFds: threads.wakeFds });
    const [sockets, tunnels, pairs, reserved] = [this.#sockets, this.#tunnels, this.#pairs, this.#reserved];
    this.#events = new PlaneEvents({ workers, memory, threads, sockets, tunnels, pairs, reserved });
  }

  /**
   * Resolves once every worker runs. Throws ESPALIER_USAGE for options out of range, ESPALIER_PLATFORM for no engine,
   * ESPALIER_CONFIG for a CPU that this process may not use.
   */
  static async start(options: PlaneOptions): Promise<Plane> {
    const { workers, engine, slots = DEFAULT_SLOTS, inThread = false, poll = "adaptive", affinity = [] } = options;
    const { policyOctets, batch = DEFAULT_BATCH } = options;
    checkPlane({ workers, slots, batch, affinity });
    const memory = PlaneMemory.create(slots, workers, policyOctets);
    const threads = await startWorkers({ workers, engine, memory, inThread, poll, batch, affinity });
    return new Plane(options, memory, threads);
  }

  /** Low bits of an SPI that are its slot: what the kernel's filters are built with. */
  get slotBits(): number {
    return Math.log2(this.slots);
  }

  // Tunnels and sockets

  /** Returns the tunnel's id. */
  addTunnel({ tunFds, vnetHdr = false, holds = false, worker, hasChildren = false, bypass }: TunnelOptions): number {
    if (tunFds.length !== 1 && tunFds.length !== this.workers)
      throw usage(`${tunFds.length} queues for ${this.workers} workers`);
    return this.#add(worker, { fds: tunFds, vnetHdr, holds, hasChildren, bypass });
  }

  /** A child of a tunnel that has children: its SAs bring packets to the tunnel's queues. Returns its id, one of a tunnel. */
  addChild(id: number, { worker, traps = false }: ChildOptions = {}): number {
    const parent = this.#tunnel(id);
    if (!parent.hasChildren) throw usage(`tunnel ${id} has no children`);
    const { fds, vnetHdr } = parent;
    const child = this.#add(worker, { fds, vnetHdr, holds: false, parent, traps });
    this.#policies.join(id, child);
    return child;
  }

  #add(worker: number | undefined, options: Omit<PlaneTunnelOptions, "id" | "home" | "workers">): number {
    let id = 0;
    while (this.#tunnels.has(id)) id++;
    if (id === MAX_TUNNELS) throw usage(`more than ${MAX_TUNNELS} tunnels`);
    const home = worker ?? id % this.workers;
    if (!Number.isInteger(home) || home < 0 || home >= this.workers) throw usage(`no worker ${home}`);
    const { blocks, counters, tunnels } = this.#memory;
    counters.clear(blocks.tunnelEndedIn(id));
    counters.clear(blocks.tunnelEndedOut(id));
    for (let each = 0; each < this.workers; each++) counters.clear(blocks.tunnelOwn(id, each));
    this.#tunnels.set(id, new PlaneTunnel(tunnels, { id, home, workers: this.workers, ...options }));
    this.#announce(TABLES_CHANGED);
    return id;
  }

  /**
   * The ordered policies of a tunnel with children, in place of those before: a packet is judged by the old list or the new
   * one, and none waits. Throws ESPALIER_USAGE for a child of another tunnel, and for more than there is room for.
   */
  setPolicies(id: number, policies: readonly PlanePolicy[]): void {
    if (!this.#tunnel(id).hasChildren) throw usage(`tunnel ${id} has no children`);
    this.#reclaim();
    const children = this.#childrenOf(id);
    const former = this.#policies.set(id, children, policies);
    const revision = this.#announce(TABLES_CHANGED);
    if (former !== undefined) this.#policies.retire(former, revision);
  }

  #childrenOf(id: number): number[] {
    const parent = this.#tunnels.get(id);
    return [...this.#tunnels.values()].filter((tunnel) => tunnel.parent === parent).map((tunnel) => tunnel.id);
  }

  /**
   * Remove a tunnel, its children and their SAs; or a child, which no policy may name any more: else ESPALIER_USAGE. Resolves when
   * no worker uses its descriptors any more.
   */
  async removeTunnel(id: number): Promise<void> {
    const { parent } = this.#tunnel(id);
    if (parent !== undefined && this.#policies.names(parent.id, id)) throw usage(`a policy names child ${id}`);
    const gone = [this.#tunnel(id), ...this.#childrenOf(id).map((child) => this.#tunnel(child))];
    const list = this.#policies.clear(id);
    for (const tunnel of gone) {
      for (const spi of tunnel.installed) this.remove(spi);
      for (const spi of tunnel.reserved) this.releaseSpi(spi);
      this.#policies.leave(tunnel.id);
      this.#memory.tunnels.withdraw(tunnel.id);
    }
    const revision = this.#announce(TABLES_CHANGED);
    if (list !== undefined) this.#policies.retire(list, revision);
    await this.#threads.until(() => this.#passed(revision));
    this.#reclaim();
    for (const tunnel of gone) this.#tunnels.delete(tunnel.id);
  }

  /** What the outer header's TOS or traffic class is, by the inner one's: from `outerTosTable`. Default: the same. */
  setOuterTos(id: number, table: Uint8Array): void {
    this.#memory.tunnels.setOuterTos(this.#tunnel(id).id, table);
  }

  /** DF of the outer IPv4 header. Default: copied from the inner one. */
  setDf(id: number, df: DfPolicy): void {
    this.#memory.tunnels.setDf(this.#tunnel(id).id, Df[df]);
  }

  /**
   * Whether ICMP errors pass the pairs that are installed from now on when what they quote came by them, whatever address they
   * come from (RFC 4301 §6.2). Default: they do.
   */
  setIcmpErrors(id: number, pass: boolean): void {
    this.#memory.tunnels.setErrors(this.#tunnel(id).id, pass);
  }

  /** TCP SYNs that pass the tunnel, either way, announce segments of no more than `mss4` or `mss6` octets; 0 for any. */
  setMss(id: number, mss4: number, mss6: number): void {
    this.#memory.tunnels.setMss(this.#tunnel(id).id, mss4, mss6);
  }

  /** The worker that owns a pair, or will own the one that an SPI is reserved for. */
  workerOf(spiIn: number): number {
    return (spiIn & (this.slots - 1)) % this.workers;
  }

  /** Sockets of a local address: before the first SA that uses it. They are used until `stop`. */
  addSockets(options: SocketOptions): void {
    this.#sockets.add(options);
    this.#announce(TABLES_CHANGED);
  }

  /**
   * An ESP packet that came to a socket of the caller's, from `remote`: it goes to the worker of its SA, who judges and
   * counts it. When that one has too much to do it is lost, as on the wire, and counted here. Throws a RangeError, and gives
   * nothing, when `remote` has no IP address.
   */
  deliver(packet: Uint8Array, remote: Endpoint): void {
    if (packet.length < ESP_HEADER) {
      this.#undelivered["runt"]++;
      return;
    }
    const source = addressBytes(remote.address);
    const worker = this.workerOf(spiOf(new DataView(packet.buffer, packet.byteOffset), 0));
    const fits = packet.length <= this.#given.size; // or it is longer than any IP packet
    if (fits) this.#given.bytes.set(packet);
    if (!fits || !this.#handoff.give(worker, this.#given, 0, packet.length, -1)) {
      this.#undelivered["handoff-full"]++;
      return;
    }
    this.#handoff.giveSource(worker, packet.length, source, 0, source.length, remote.port);
    this.#handoff.publish();
  }

  /**
   * Send a dummy packet (RFC 4303 §2.6) as long as a packet of `length` octets, on the pair that carries what others leave
   * to it. Nothing happens where there is none, or where its worker has too much to do.
   */
  sendDummy(id: number, length: number): void {
    if (!Number.isInteger(length) || length < 0 || length > MAX_PACKET)
      throw usage(`a dummy packet has 0 to ${MAX_PACKET} octets, not ${length}`);
    const worker = this.#memory.tunnels.fallback(this.#tunnel(id).id);
    if (worker >= 0 && this.#handoff.give(worker, this.#zeros, 0, length, id)) this.#handoff.publish();
  }

  // SAs

  /**
   * An SPI for an inbound SA of the tunnel, for its resource (RFC 9611 §4): a whole number from 0, and the SAs of
   * `workers` resources in a row have a worker each. 0 when the worker has no free slot.
   */
  reserveSpi(id: number, resource = 0): number {
    const tunnel = this.#tunnel(id);
    if (!Number.isInteger(resource) || resource < 0)
      throw usage(`a resource is a whole number from 0, not ${resource}`);
    this.#reclaim();
    const spi = this.#slots.reserve(tunnel.workerFor(resource));
    if (spi === 0) return 0;
    this.#reserved.set(spi, { slot: spi & (this.slots - 1), tunnel, resource });
    tunnel.reserved.add(spi);
    return spi;
  }

  /**
   * Reserve this very SPI, for an SA with manual keys. Its low bits (`slotBits`) name its slot, and so its worker: false when
   * another SA has the slot.
   */
  claimSpi(id: number, spi: number): boolean {
    const tunnel = this.#tunnel(id);
    checkSpi(spi);
    this.#reclaim();
    if (!this.#slots.claim(spi)) return false;
    const slot = spi & (this.slots - 1);
    const resource = (this.workerOf(spi) - tunnel.home + this.workers) % this.workers;
    this.#reserved.set(spi, { slot, tunnel, resource });
    tunnel.reserved.add(spi);
    return true;
  }

  /** A reserved SPI that will not be installed. Ignores others. */
  releaseSpi(spiIn: number): void {
    const reserved = this.#reserved.get(spiIn);
    if (reserved === undefined) return;
    this.#reserved.delete(spiIn);
    reserved.tunnel.reserved.delete(spiIn);
    this.#slots.release(reserved.slot);
  }

  /**
   * Install a pair: the inbound SA is live at once. The outbound one carries traffic from `use` on; where its worker has no
   * other, from the first packet on that comes in on the pair.
   */
  install(id: number, child: ChildSa): void {
    const tunnel = this.#tunnel(id);
    const reserved = this.#reserved.get(child.spiIn);
    if (reserved === undefined || reserved.tunnel !== tunnel)
      throw usage(`SPI ${child.spiIn.toString(16)} is not reserved for this tunnel`);
    checkSpi(child.spiOut);
    checkKey(child.suite, child.keyIn);
    checkKey(child.suite, child.keyOut);
    const window = checkWindow(child.replayWindow);
    const path = saPath(child.path, this.#sockets.row(child.path.local.address));
    const { slot, resource } = reserved;
    const { sad, spd, counters, blocks, tunnels } = this.#memory;
    spd.set(slot, child.local, child.remote, tunnels.takesErrors(id));
    counters.clear(blocks.record(slot));
    counters.clear(blocks.record(sad.outbound(slot)));
    const transport = child.mode === "transport";
    if (transport && child.encap) throw usage("transport mode does not go in UDP");
    const { suite, esn, encap, size = ANY_SIZE, sequence = { in: 0, out: 0 } } = child;
    const both = { suite, transport, esn, encap, tunnel: id, window, path };
    sad.publish(sad.outbound(slot), { ...both, spi: child.spiOut, key: child.keyOut, size, top: sequence.out });
    sad.publish(slot, { ...both, spi: child.spiIn, key: child.keyIn, top: sequence.in });
    this.#reserved.delete(child.spiIn);
    tunnel.reserved.delete(child.spiIn);
    const pair: Pair = {
      spiIn: child.spiIn,
      slot,
      worker: slot % this.workers,
      resource,
      order: this.#order++,
      tunnel,
      path: child.path,
      pairs: child.pairs ?? 1,
      resting: false,
      met: false,
    };
    this.#pairs.set(child.spiIn, pair);
    tunnel.add(pair);
  }

  /** From now on the pair's worker sends on this pair what leaves the tunnel through it. */
  use(spiIn: number): void {
    const pair = this.#pair(spiIn);
    this.#change(pair.tunnel, () => pair.tunnel.use(pair));
  }

  /**
   * Send on this pair no more, but go on receiving: what replaced it is in use, or its peer is about to forget it. Its worker
   * goes on as after `remove`.
   */
  rest(spiIn: number): void {
    const pair = this.#pair(spiIn);
    this.#change(pair.tunnel, () => pair.tunnel.rest(pair));
  }

  /**
   * Remove both SAs. If their worker was sending on them it goes on with the pair it got last, or leaves its packets to a
   * worker that has a pair; when none has, nothing is sent.
   */
  remove(spiIn: number): void {
    const pair = this.#pair(spiIn);
    const { slot, tunnel } = pair;
    const { sad } = this.#memory;
    this.#pairs.delete(spiIn);
    this.#change(tunnel, () => tunnel.remove(pair));
    sad.withdraw(slot);
    sad.withdraw(sad.outbound(slot));
    this.#retiredFrom.set(slot, tunnel);
    tunnel.retired.add(slot);
    this.#slots.retire(slot, this.#announce(slot));
  }

  /** The path of a pair takes packets of another size, or they are to be padded otherwise. */
  setSize(spiIn: number, size: SaSize): void {
    const { sad } = this.#memory;
    sad.setSize(sad.outbound(this.#pair(spiIn).slot), size);
  }

  /** The peer's authenticated address or port changed. */
  move(spiIn: number, path: EspPath): void {
    const pair = this.#pair(spiIn);
    const { sad } = this.#memory;
    const moved = saPath(path, this.#sockets.row(path.local.address));
    sad.move(pair.slot, moved);
    sad.move(sad.outbound(pair.slot), moved);
    pair.path = path;
  }

  // Looking

  /** Counts of a live pair, or undefined when the SPI names none. */
  counters(spiIn: number): PairCounters | undefined {
    const pair = this.#pairs.get(spiIn);
    if (pair === undefined) return undefined;
    return reportPair(this.#memory, pair.slot);
  }

  /** The same by direction. */
  pairTraffic(spiIn: number): TunnelCounters | undefined {
    const pair = this.#pairs.get(spiIn);
    return pair === undefined ? undefined : pairTraffic(this.#memory, pair.slot);
  }

  /** What a live pair has carried, or undefined: what liveness checks and lifetimes by volume ask. */
  usage(spiIn: number): Omit<PairCounters, "drops"> | undefined {
    return this.counters(spiIn);
  }

  /** Counts of a tunnel over all its SAs, former ones included. */
  tunnelCounters(id: number): TunnelCounters {
    const tunnel = this.#tunnel(id);
    return reportTunnel(this.#memory, id, [...tunnel.slots(), ...tunnel.retired], this.workers);
  }

  workerStats(): WorkerStats[] {
    return Array.from({ length: this.workers }, (_, worker) =>
      reportWorker(this.#memory, worker, {
        cpuTime: this.#threads.cpuTime(worker),
        replaced: this.#threads.replaced(worker),
        overruns: this.#sockets.overruns(worker),
      }),
    );
  }

  /** Sum over all workers, and of what met none: every packet that was received or read is in here once. */
  totals(): TunnelCounters {
    const stats = this.workerStats();
    const lost = Object.entries(this.#undelivered).filter(([, count]) => count > 0);
    const undelivered = { packets: 0, bytes: 0, drops: Object.fromEntries(lost) };
    return {
      in: addTallies([...stats.map((each) => each.in), undelivered]),
      out: addTallies(stats.map((each) => each.out)),
    };
  }

  /** What happened since the last call, or with very many pairs a few calls ago. Call it every 50 ms or so. */
  poll(): PlaneEvent[] {
    this.#reclaim();
    return this.#events.take();
  }

  /** Run one round of every worker: only with `inThread`. Returns how many packets were judged. */
  step(): number {
    return this.#threads.step();
  }

  /** Stop the workers and wipe all keys. Resolves when none uses a descriptor any more. May be called twice. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    for (const spiIn of [...this.#pairs.keys()]) this.remove(spiIn);
    this.#memory.board.requestStop();
    await this.#threads.stop();
  }

  /** Workers look whether they may read its queues, and send what waits, where that has changed. */
  #change(tunnel: PlaneTunnel, change: () => void): void {
    const couldSend = tunnel.canSend;
    change();
    if ((tunnel.holds || tunnel.traps) && tunnel.canSend !== couldSend) this.#announce(TABLES_CHANGED);
  }

  /** `change`: a slot, or TABLES_CHANGED. */
  #announce(change: number): number {
    const revision = this.#memory.board.bump(change);
    this.#threads.wake();
    return revision;
  }

  #passed(revision: number): boolean {
    for (let worker = 0; worker < this.workers; worker++)
      if (!this.#memory.board.hasPassed(worker, revision)) return false;
    return true;
  }

  /** Former SAs leave their counts to their tunnel once nobody can count on them any more. */
  #reclaim(): void {
    this.#policies.reclaim((revision) => this.#passed(revision));
    const { sad, spd, counters, blocks } = this.#memory;
    for (const slot of this.#slots.reclaim((revision) => this.#passed(revision))) {
      const tunnel = this.#retiredFrom.get(slot)!;
      counters.addTo(blocks.tunnelEndedIn(tunnel.id), blocks.record(slot));
      counters.addTo(blocks.tunnelEndedOut(tunnel.id), blocks.record(sad.outbound(slot)));
      tunnel.retired.delete(slot);
      spd.clear(slot);
      this.#retiredFrom.delete(slot);
    }
  }

  #tunnel(id: number): PlaneTunnel {
    const tunnel = this.#tunnels.get(id);
    if (tunnel === undefined) throw usage(`no tunnel ${id}`);
    return tunnel;
  }

  #pair(spiIn: number): Pair {
    const pair = this.#pairs.get(spiIn);
    if (pair === undefined) throw usage(`no SA with SPI ${spiIn.toString(16)}`);
    return pair;
  }
}

/** Outer packets longer than this are not received: compute MTUs from the lesser of this and the path's. */
export const MAX_OUTER_MTU = MAX_PACKET;

export type { ChildSa, EspPath, PairCounters, PlaneEvent, PlaneOptions, PlanePolicy, TunnelCounters, WorkerStats };
