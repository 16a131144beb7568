/**
 * The data plane as the control thread holds it: it starts the workers, writes SAs, tunnels and sockets into the tables
 * they read, and reads their counters and events.
 *
 * Descriptors stay the caller's: it closes TUN descriptors after `removeTunnel` has resolved and sockets after `stop` has.
 */
import type { EngineName } from "../crypto/engine.ts";
import { EspalierError } from "../errors.ts";
import { addressText, type Endpoint, familyOf } from "../ip-address.ts";
import { addTallies } from "../ipsec/counters.ts";
import { SaEvent } from "../ipsec/sad.ts";
import { enableUdpGro } from "../linux/udp-gro.ts";
import { MAX_PACKET } from "./arena.ts";
import { type ChildSa, checkKey, checkSpi, checkWindow, type EspPath, saPath } from "./child-sa.ts";
import { PlaneMemory } from "./plane-memory.ts";
import {
  type PairCounters,
  reportPair,
  reportTunnel,
  reportWorker,
  type TunnelCounters,
  type WorkerStats,
} from "./plane-report.ts";
import { Slots } from "./slots.ts";
import { MAX_ADDRESSES } from "./socket-table.ts";
import { MAX_TUNNELS } from "./tunnel-table.ts";
import { MAX_WORKERS } from "./worker-board.ts";
import { startWorkers, type Workers } from "./workers.ts";

export interface PlaneOptions {
  /** 1 to 64. */
  readonly workers: number;
  /** One that this machine has: see `selectEngine`. */
  readonly engine: EngineName;
  /** Pairs of SAs, a power of two from 64 to 65536; default 4096. The kernel's filters need log2 of it: `slotBits`. */
  readonly slots?: number;
  /** No threads: the caller runs the workers by `step`. For tests. */
  readonly inThread?: boolean;
}

export interface TunnelOptions {
  /** Non-blocking; one IP packet a read or write, no packet information header. */
  readonly tunFd: number;
  /** Each packet of it, read or written, begins with a virtio_net_hdr (see `openTun`); default false. */
  readonly vnetHdr?: boolean;
  /** Default: tunnel id mod workers. */
  readonly worker?: number;
}

export interface SocketOptions {
  /** Local address that they are bound to, canonical. */
  readonly address: string;
  /** Non-blocking; one a worker, or none at all. */
  readonly udp: readonly number[];
  readonly raw: readonly number[];
}

export type PlaneEvent =
  /** The first authentic packet of an inbound SA: its peer uses the pair. */
  | { readonly kind: "first-packet"; readonly spiIn: number }
  /** An authentic UDP-encapsulated packet came from elsewhere than `path.remote` (RFC 7296 §2.23). */
  | { readonly kind: "peer-moved"; readonly spiIn: number; readonly remote: Endpoint }
  /** A worker met a bug and stopped: its SAs carry nothing any more. */
  | { readonly kind: "failed"; readonly worker: number; readonly message: string };

interface Pair {
  readonly slot: number;
  readonly tunnel: number;
  readonly order: number;
  path: EspPath;
}

const usage = (message: string): EspalierError => new EspalierError("ESPALIER_USAGE", message);
const DEFAULT_SLOTS = 4096;

export class Plane {
  readonly workers: number;
  readonly slots: number;
  readonly engine: EngineName;
  readonly #memory: PlaneMemory;
  readonly #threads: Workers;
  readonly #slots: Slots;
  readonly #tunnels = new Set<number>();
  readonly #addresses: string[] = [];
  /** By inbound SPI. */
  readonly #reserved = new Map<number, { slot: number; tunnel: number }>();
  readonly #pairs = new Map<number, Pair>();
  /** Tunnels of slots that wait for reuse. */
  readonly #retiredFrom = new Map<number, number>();
  readonly #reported = new Set<number>();
  #order = 0;
  #stopped: Promise<void> | undefined;

  private constructor(options: Required<Omit<PlaneOptions, "inThread">>, memory: PlaneMemory, threads: Workers) {
    this.workers = options.workers;
    this.slots = options.slots;
    this.engine = options.engine;
    this.#memory = memory;
    this.#threads = threads;
    this.#slots = new Slots(options.slots, options.workers);
  }

  /** Resolves once every worker runs. Throws ESPALIER_USAGE for options out of range, ESPALIER_PLATFORM for no engine. */
  static async start({ workers, engine, slots = DEFAULT_SLOTS, inThread = false }: PlaneOptions): Promise<Plane> {
    if (!Number.isInteger(workers) || workers < 1 || workers > MAX_WORKERS)
      throw usage(`a plane has 1 to ${MAX_WORKERS} workers, not ${workers}`);
    if (!Number.isInteger(Math.log2(slots)) || slots < 64 || slots > 65536)
      throw usage(`slots are a power of two from 64 to 65536, not ${slots}`);
    const memory = PlaneMemory.create(slots);
    const threads = await startWorkers({ workers, engine, memory, inThread });
    return new Plane({ workers, engine, slots }, memory, threads);
  }

  /** Low bits of an SPI that are its slot: what the kernel's filters are built with. */
  get slotBits(): number {
    return Math.log2(this.slots);
  }

  // Tunnels and sockets

  /** Returns the tunnel's id. */
  addTunnel({ tunFd, vnetHdr = false, worker }: TunnelOptions): number {
    let tunnel = 0;
    while (this.#tunnels.has(tunnel)) tunnel++;
    if (tunnel === MAX_TUNNELS) throw usage(`more than ${MAX_TUNNELS} tunnels`);
    const owner = worker ?? tunnel % this.workers;
    if (!Number.isInteger(owner) || owner < 0 || owner >= this.workers) throw usage(`no worker ${owner}`);
    const { blocks, counters, tunnels } = this.#memory;
    for (const block of [blocks.tunnelOwn(tunnel), blocks.tunnelEndedIn(tunnel), blocks.tunnelEndedOut(tunnel)])
      counters.clear(block);
    tunnels.publish(tunnel, owner, tunFd, vnetHdr);
    this.#tunnels.add(tunnel);
    this.#announce();
    return tunnel;
  }

  /** Remove a tunnel and its SAs. Resolves when no worker uses its descriptor any more. */
  async removeTunnel(tunnel: number): Promise<void> {
    this.#checkTunnel(tunnel);
    for (const [spi, pair] of this.#pairs) if (pair.tunnel === tunnel) this.remove(spi);
    for (const [spi, reserved] of this.#reserved) if (reserved.tunnel === tunnel) this.releaseSpi(spi);
    this.#memory.tunnels.withdraw(tunnel);
    const revision = this.#announce();
    await this.#threads.until(() => this.#passed(revision));
    this.#reclaim();
    this.#tunnels.delete(tunnel);
  }

  workerOf(tunnel: number): number {
    this.#checkTunnel(tunnel);
    return this.#memory.tunnels.worker(tunnel);
  }

  /** Sockets of a local address: before the first SA that uses it. They are used until `stop`. */
  addSockets({ address, udp, raw }: SocketOptions): void {
    if (this.#addresses.includes(address)) throw usage(`${address} has its sockets already`);
    if (this.#addresses.length === MAX_ADDRESSES) throw usage(`more than ${MAX_ADDRESSES} local addresses`);
    for (const fds of [udp, raw])
      if (fds.length !== 0 && fds.length !== this.workers)
        throw usage(`${fds.length} sockets for ${this.workers} workers`);
    // A train holds packets of several SPIs when they come from one peer and port, and the kernel steers it by the first of
    // them: only a worker that owns all SAs may get trains.
    if (this.workers === 1) for (const fd of udp) enableUdpGro(fd);
    this.#addresses.push(address);
    this.#memory.sockets.publish(this.#addresses.length - 1, familyOf(address), udp, raw);
    this.#announce();
  }

  // SAs

  /** An SPI for an inbound SA of the tunnel; 0 when its worker has no free slot. */
  reserveSpi(tunnel: number): number {
    this.#checkTunnel(tunnel);
    this.#reclaim();
    const spi = this.#slots.reserve(this.#memory.tunnels.worker(tunnel));
    if (spi !== 0) this.#reserved.set(spi, { slot: spi & (this.slots - 1), tunnel });
    return spi;
  }

  /** A reserved SPI that will not be installed. Ignores others. */
  releaseSpi(spiIn: number): void {
    const reserved = this.#reserved.get(spiIn);
    if (reserved === undefined) return;
    this.#reserved.delete(spiIn);
    this.#slots.release(reserved.slot);
  }

  /** Install a pair: the inbound SA is live at once, the outbound one carries traffic from `use` on. */
  install(tunnel: number, child: ChildSa): void {
    this.#checkTunnel(tunnel);
    const reserved = this.#reserved.get(child.spiIn);
    if (reserved === undefined || reserved.tunnel !== tunnel)
      throw usage(`SPI ${child.spiIn.toString(16)} is not reserved for this tunnel`);
    checkSpi(child.spiOut);
    checkKey(child.suite, child.keyIn);
    checkKey(child.suite, child.keyOut);
    const window = checkWindow(child.replayWindow);
    const path = saPath(child.path, this.#addresses.indexOf(child.path.local.address));
    const { slot } = reserved;
    const { sad, spd, counters, blocks } = this.#memory;
    spd.set(slot, child.local, child.remote);
    counters.clear(blocks.record(slot));
    counters.clear(blocks.record(sad.outbound(slot)));
    const both = { suite: child.suite, esn: child.esn, encap: child.encap, tunnel, window, path };
    sad.publish(sad.outbound(slot), { ...both, spi: child.spiOut, key: child.keyOut });
    sad.publish(slot, { ...both, spi: child.spiIn, key: child.keyIn });
    this.#reserved.delete(child.spiIn);
    this.#pairs.set(child.spiIn, { slot, tunnel, order: this.#order++, path: child.path });
  }

  /** From now on the tunnel sends on this pair. */
  use(spiIn: number): void {
    const { slot, tunnel } = this.#pair(spiIn);
    this.#memory.tunnels.setCurrent(tunnel, slot);
  }

  /** Remove both SAs. If the tunnel was sending on them it goes on with the pair installed last, or sends nothing. */
  remove(spiIn: number): void {
    const { slot, tunnel } = this.#pair(spiIn);
    const { sad, tunnels } = this.#memory;
    this.#pairs.delete(spiIn);
    if (tunnels.current(tunnel) === slot) {
      const left = [...this.#pairs.values()].filter((pair) => pair.tunnel === tunnel);
      tunnels.setCurrent(tunnel, left.sort((a, b) => b.order - a.order)[0]?.slot ?? -1);
    }
    sad.withdraw(slot);
    sad.withdraw(sad.outbound(slot));
    this.#retiredFrom.set(slot, tunnel);
    this.#slots.retire(slot, this.#announce());
  }

  /** The peer's authenticated address or port changed. */
  move(spiIn: number, path: EspPath): void {
    const pair = this.#pair(spiIn);
    const { sad } = this.#memory;
    const moved = saPath(path, this.#addresses.indexOf(path.local.address));
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

  /** Packets of a live pair, or undefined: what liveness checks ask. */
  usage(spiIn: number): { packetsIn: number; packetsOut: number } | undefined {
    return this.counters(spiIn);
  }

  /** Counts of a tunnel over all its SAs, former ones included. */
  tunnelCounters(tunnel: number): TunnelCounters {
    this.#checkTunnel(tunnel);
    const slots = [...this.#pairs.values()].filter((pair) => pair.tunnel === tunnel).map(({ slot }) => slot);
    for (const [slot, from] of this.#retiredFrom) if (from === tunnel) slots.push(slot);
    return reportTunnel(this.#memory, tunnel, slots);
  }

  workerStats(): WorkerStats[] {
    return Array.from({ length: this.workers }, (_, worker) =>
      reportWorker(this.#memory, worker, this.#threads.cpuTime(worker)),
    );
  }

  /** Sum over all workers: every packet that any of them received or read is in here once. */
  totals(): TunnelCounters {
    const stats = this.workerStats();
    return { in: addTallies(stats.map((each) => each.in)), out: addTallies(stats.map((each) => each.out)) };
  }

  /** What happened since the last call. Call it every 50 ms or so. */
  poll(): PlaneEvent[] {
    this.#reclaim();
    const { sad } = this.#memory;
    const events: PlaneEvent[] = [];
    for (const [spiIn, { slot, path }] of this.#pairs) {
      const bits = sad.takeEvents(slot);
      if (bits & SaEvent.FIRST_PACKET) events.push({ kind: "first-packet", spiIn });
      if (bits & SaEvent.PEER_MOVED) {
        const seen = sad.seenPeer(slot);
        if (seen === undefined) continue; // being written: its writer raises the event again
        const remote = { address: addressText(seen.address), port: seen.port };
        if (remote.address !== path.remote.address || remote.port !== path.remote.port)
          events.push({ kind: "peer-moved", spiIn, remote });
      }
    }
    for (const { worker, message } of this.#threads.failures()) {
      if (this.#reported.has(worker)) continue;
      this.#reported.add(worker);
      events.push({ kind: "failed", worker, message });
    }
    return events;
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

  #announce(): number {
    const revision = this.#memory.board.bump();
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
    const { sad, spd, counters, blocks } = this.#memory;
    for (const slot of this.#slots.reclaim((revision) => this.#passed(revision))) {
      const tunnel = this.#retiredFrom.get(slot)!;
      counters.addTo(blocks.tunnelEndedIn(tunnel), blocks.record(slot));
      counters.addTo(blocks.tunnelEndedOut(tunnel), blocks.record(sad.outbound(slot)));
      spd.clear(slot);
      this.#retiredFrom.delete(slot);
    }
  }

  #checkTunnel(tunnel: number): void {
    if (!this.#tunnels.has(tunnel)) throw usage(`no tunnel ${tunnel}`);
  }

  #pair(spiIn: number): Pair {
    const pair = this.#pairs.get(spiIn);
    if (pair === undefined) throw usage(`no SA with SPI ${spiIn.toString(16)}`);
    return pair;
  }
}

/** Outer packets longer than this are not received: compute MTUs from the lesser of this and the path's. */
export const MAX_OUTER_MTU = MAX_PACKET;

export type { ChildSa, EspPath, PairCounters, TunnelCounters, WorkerStats };
