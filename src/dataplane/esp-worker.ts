// HOT PATH
/**
 * One ESP worker: a thread that owns some of the SAs and alone moves their counters and windows. A round is
 *
 *   look at the tables when they changed -> poll -> what other workers handed over: the same two ways
 *                                                -> each ready socket: receive, open, write to TUNs
 *                                                -> ready TUNs: read, seal, send
 *
 * A packet that comes in is out before the next batch is read (run to completion), unless its SA is another worker's: then
 * it goes into that worker's ring as it is, and is judged and counted there.
 */
import { spiOf } from "../ipsec/esp.ts";
import { Verdict } from "../ipsec/verdict.ts";
import { isPassing } from "../linux/errno.ts";
import { drainEventfd } from "../linux/eventfd.ts";
import { POLLIN, POLLNVAL, PollSet } from "../linux/poll.ts";
import { type Arena, MAX_PACKET } from "./arena.ts";
import { Bypass } from "./bypass.ts";
import { Dummies } from "./dummies.ts";
import { Fitting } from "./fitting.ts";
import { Handoff } from "./handoff.ts";
import { HandoffIntake } from "./handoff-intake.ts";
import { Inbound, InboundBatch } from "./inbound.ts";
import { InboundPolicy } from "./inbound-policy.ts";
import { IvPool } from "./iv-pool.ts";
import { MssClamp } from "./mss-clamp.ts";
import { Outbound, OutboundBatch } from "./outbound.ts";
import { OutboundPolicy } from "./outbound-policy.ts";
import { OuterTos } from "./outer-tos.ts";
import { OwnedSas } from "./owned-sas.ts";
import { PlaneMemory, type SharedMemory } from "./plane-memory.ts";
import { PollStrategy, type PollStrategyName } from "./poll-strategy.ts";
import { Receiver, SocketKind } from "./receiver.ts";
import { Sender } from "./sender.ts";
import { MAX_ADDRESSES } from "./socket-table.ts";
import { TooBigAnswers } from "./too-big-answers.ts";
import { TunReader } from "./tun-reader.ts";
import { TunWriter } from "./tun-writer.ts";
import { MAX_TUNNELS } from "./tunnel-table.ts";
import { WaitingPackets } from "./waiting-packets.ts";
import { TABLES_CHANGED, TUN_IO_URING, WorkerStat } from "./worker-board.ts";
import type { WorkerTools } from "./worker-tools.ts";

export interface WorkerInit {
  readonly worker: number;
  readonly memory: SharedMemory;
  /** An eventfd of each worker: control writes to it when the tables have changed, others when they hand packets over. */
  readonly wakeFds: readonly number[];
  /** How it waits for work. */
  readonly poll: PollStrategyName;
  /** Packets that it takes at a time, at most, 1 to MAX_BATCH. */
  readonly batch: number;
}

/** What a watched descriptor is. */
const { UDP, RAW_IPV4, RAW_IPV6 } = SocketKind;
const TUN = 3;
const MAX_WATCHED = 1 + MAX_ADDRESSES * 2 + MAX_TUNNELS;
/** Batches from others in one round: our own sockets and interfaces want their turn. */
const MOST_TAKEN = 8;

export class EspWorker {
  readonly #worker: number;
  readonly #workers: number;
  readonly #wakeFd: number;
  readonly #tables: PlaneMemory;
  readonly #arena: Arena;
  readonly #owned: OwnedSas;
  readonly #inbound: Inbound;
  readonly #outbound: Outbound;
  readonly #received: InboundBatch;
  readonly #read: OutboundBatch;
  readonly #receiver: Receiver;
  readonly #tunReader: TunReader;
  readonly #sender: Sender;
  readonly #tunWriter: TunWriter;
  readonly #clamp: MssClamp;
  readonly #tos: OuterTos;
  readonly #waiting: WaitingPackets;
  readonly #outboundPolicy: OutboundPolicy;
  readonly #inboundPolicy: InboundPolicy;
  readonly #bypass: Bypass;
  readonly #fitting: Fitting;
  readonly #dummies: Dummies;
  readonly #handoff: Handoff;
  readonly #intake: HandoffIntake;
  readonly #polls = new PollSet(MAX_WATCHED);
  readonly #strategy: PollStrategy;
  /** By index in the poll set: index 0 is the eventfd. */
  readonly #kind = new Uint8Array(MAX_WATCHED);
  readonly #fd = new Int32Array(MAX_WATCHED);
  readonly #tunnel = new Int32Array(MAX_WATCHED);
  /** Of a TUN: when it was read last, one packet was all it had. */
  readonly #lone = new Uint8Array(MAX_WATCHED);
  #watched = 0;
  /** What it knows of the tables; nothing at first. */
  #revision = 0;
  #fresh = true;

  /** `tools`: this thread's. The caller closes them, after this. */
  constructor({ worker, memory, wakeFds, poll, batch }: WorkerInit, { arena, engine, ring }: WorkerTools) {
    const workers = wakeFds.length;
    this.#worker = worker;
    this.#workers = workers;
    this.#wakeFd = wakeFds[worker]!;
    this.#strategy = new PollStrategy(poll);
    this.#tables = new PlaneMemory(memory, worker);
    const { sad, spd, counters, blocks, tunnels } = this.#tables;
    const tunIo = typeof ring === "number" ? undefined : ring;
    this.#tables.board.setTunIo(worker, typeof ring === "number" ? ring : TUN_IO_URING);
    this.#arena = arena;
    const { slab, ops } = arena;
    this.#owned = new OwnedSas(sad, spd, engine);
    const shared = { sad, spd, counters, owned: this.#owned, engine, ops };
    this.#inbound = new Inbound(Object.assign({ worker, workers, tunnels, block: blocks.workerIn(worker) }, shared));
    const out = Object.assign({ ivs: new IvPool(), block: blocks.workerOut(worker) }, shared);
    this.#outbound = new Outbound(out);
    this.#dummies = new Dummies(this.#tables, out);

    const packetMemory = this.#arena.memory;
    this.#receiver = new Receiver(this.#arena, batch);
    this.#received = new InboundBatch(batch, this.#receiver.sources);
    this.#read = new OutboundBatch(batch);
    this.#tunReader = new TunReader(arena, this.#tables, tunIo);
    this.#sender = new Sender(packetMemory, this.#tables, this.#owned, worker);
    this.#tunWriter = new TunWriter(packetMemory, this.#tables, worker, arena.sum, tunIo);
    this.#clamp = new MssClamp(slab, this.#tables);
    this.#tos = new OuterTos(slab, this.#tables);
    this.#waiting = new WaitingPackets(this.#tables);
    this.#outboundPolicy = new OutboundPolicy(slab, this.#tables, this.#waiting);
    this.#inboundPolicy = new InboundPolicy(slab, this.#tables);
    this.#bypass = new Bypass(packetMemory, this.#tables);
    const answers = new TooBigAnswers(packetMemory, this.#tables);
    this.#fitting = new Fitting(this.#arena, this.#tables, answers, blocks.workerOut(worker));
    this.#handoff = new Handoff({ memory: memory.handoff, thread: worker, wakeFds });
    this.#intake = new HandoffIntake(this.#handoff, this.#arena, this.#tables, { workers, batch });
  }

  /** One round; sleeps up to `timeout` ms for work. Returns how many packets were judged. */
  round(timeout: number): number {
    const revision = this.#tables.board.revision();
    if (this.#fresh || revision !== this.#revision) this.#catchUp(revision);
    this.#tables.board.addStat(this.#worker, WorkerStat.POLLS);
    const ready = this.#wait(timeout);
    let packets = this.#takeOver();
    if (ready <= 0) {
      if (packets > 0) this.#strategy.worked();
      return packets;
    }
    this.#strategy.worked();
    if (this.#polls.ready(0) !== 0) drainEventfd(this.#wakeFd);
    for (let i = 1; i < this.#watched; i++)
      if (this.#polls.ready(i) !== 0)
        packets += this.#kind[i] === TUN ? this.#readTun(i, ready === 1 && this.#lone[i] === 1) : this.#receive(i);
    return packets + this.#flush() + this.#sendWaiting();
  }

  #wait(timeout: number): number {
    if (timeout === 0 || this.#strategy.looks() || !this.#handoff.maySleep()) return this.#polls.wait(0);
    const ready = this.#polls.wait(timeout);
    this.#handoff.awake();
    return ready;
  }

  /** Forget all keys, and the packets that wait. */
  close(): void {
    this.#owned.close();
    this.#waiting.close();
    this.#fitting.close();
  }

  /** Between two batches: forget what is gone, note what is there now, and let control know. */
  #catchUp(revision: number): void {
    const { board } = this.#tables;
    let all = this.#fresh || !board.remembers(this.#revision);
    let watch = all;
    if (!all) {
      for (let at = this.#revision; at !== revision; at = (at + 1) | 0) {
        const slot = board.change(at);
        if (slot === TABLES_CHANGED) watch = true;
        else this.#forget(slot);
      }
      all = !board.remembers(this.#revision);
    }
    if (all) this.#owned.sweep();
    if (all || watch) this.#rewatch();
    this.#fresh = false;
    this.#revision = revision;
    board.acknowledge(this.#worker, revision);
  }

  #forget(slot: number): void {
    if (slot % this.#workers !== this.#worker) return;
    this.#owned.forget(slot);
    this.#owned.forget(this.#tables.sad.outbound(slot));
  }

  /** Watch all sockets and interfaces that are there now. */
  #rewatch(): void {
    const { sockets, tunnels } = this.#tables;
    this.#polls.clear();
    this.#watched = 0;
    this.#tables.policies.forget();
    this.#waiting.dropGone();
    this.#watch(this.#wakeFd, UDP, -1);
    for (let row = 0; row < MAX_ADDRESSES; row++) {
      if (!sockets.isLive(row)) continue;
      this.#watch(sockets.udp(row, this.#worker), UDP, -1);
      this.#watch(sockets.raw(row, this.#worker), sockets.family(row) === 4 ? RAW_IPV4 : RAW_IPV6, -1);
    }
    for (let tunnel = 0; tunnel < MAX_TUNNELS; tunnel++)
      if (tunnels.isLive(tunnel) && tunnels.isReader(tunnel) && !tunnels.isHeld(tunnel))
        this.#watch(tunnels.fd(tunnel), TUN, tunnel);
  }

  #watch(fd: number, kind: number, tunnel: number): void {
    if (fd < 0) return;
    const i = this.#polls.add(fd, POLLIN);
    this.#kind[i] = kind;
    this.#fd[i] = fd;
    this.#tunnel[i] = tunnel;
    this.#watched = i + 1;
  }

  /** A descriptor that is not there any more would keep us awake: do not watch it until the tables change. */
  #mute(i: number, result: number): void {
    const gone = this.#kind[i] === TUN && result < 0 && !isPassing(result);
    if (gone || (this.#polls.ready(i) & POLLNVAL) !== 0) this.#polls.set(i, -1, 0);
  }

  #receive(i: number): number {
    const batch = this.#received;
    const count = this.#receiver.receive(this.#fd[i]!, this.#kind[i]!);
    if (count <= 0) {
      this.#mute(i, count);
      return 0;
    }
    let packets = 0;
    while (this.#receiver.take(batch) > 0) packets += this.#open(batch);
    return packets;
  }

  #open(batch: InboundBatch): number {
    this.#inbound.open(batch);
    if (this.#inbound.stray >= 0) this.#reportStray(batch);
    if (this.#workers > 1) this.#giveIn(batch);
    if (this.#tables.policies.any) this.#inboundPolicy.apply(batch);
    this.#tos.inbound(batch);
    this.#clamp.inbound(batch);
    this.#tunWriter.write(batch);
    this.#inbound.settle(batch);
    this.#tables.board.addStat(this.#worker, WorkerStat.BATCHES_IN);
    return batch.count;
  }

  /**
   * Append what waits in a TUN queue to the outbound batch, and send that whenever it is full. A packet that is likely to be
   * the only one, of all, is sent before the queue is asked for another.
   */
  #readTun(i: number, lone: boolean): number {
    const batch = this.#read;
    const reader = this.#tunReader;
    const fd = this.#fd[i]!;
    const tunnel = this.#tunnel[i]!;
    let packets = reader.hasRoom(tunnel, batch) ? 0 : this.#flush();
    const before = packets + batch.count;
    let reads = 0;
    do {
      const result = reader.read(fd, tunnel, batch, lone && reads < 2);
      while (reader.pending) {
        packets += this.#flush();
        reader.resume(batch);
      }
      if (result < 0) {
        this.#mute(i, result);
        this.#lone[i] = packets + batch.count - before === 1 ? 1 : 0;
        return packets;
      }
      reads++;
      if (lone && reads === 1) packets += this.#flush();
    } while (reader.hasRoom(tunnel, batch));
    this.#lone[i] = 0;
    return packets + this.#flush();
  }

  #flush(): number {
    const batch = this.#read;
    const packets = batch.count > 0 ? this.#seal(batch) : 0;
    this.#tunReader.clear(batch);
    return packets;
  }

  #seal(batch: OutboundBatch): number {
    if (this.#tables.policies.any) this.#outboundPolicy.apply(batch);
    if (this.#workers > 1) this.#giveOut(batch);
    this.#clamp.outbound(batch);
    const fitting = this.#fitting;
    if (fitting.fits(batch)) this.#sealAsItIs(batch);
    else for (fitting.begin(batch); fitting.next(); ) this.#sealAsItIs(fitting.made);
    this.#tables.board.addStat(this.#worker, WorkerStat.BATCHES_OUT);
    return batch.count;
  }

  #sealAsItIs(batch: OutboundBatch): void {
    this.#tos.outbound(batch);
    this.#outbound.seal(batch);
    this.#sender.send(batch);
    if (batch === this.#fitting.made) this.#fitting.join();
    if (this.#tables.policies.any) this.#bypass.send(batch);
    this.#outbound.settle(batch);
  }

  // Between workers

  /** Judge what others gave us. */
  #takeOver(): number {
    const { inbound, outbound } = this.#intake;
    let packets = 0;
    for (let taken = 0; taken < MOST_TAKEN && this.#intake.take(); taken++) {
      if (inbound.count > 0) {
        packets += this.#open(inbound);
        if (this.#intake.isFromWorker) this.#reportMixed(inbound);
      }
      if (outbound.count === 0) continue;
      if (this.#intake.isFromWorker) packets += this.#seal(outbound);
      else this.#sealDummies(outbound); // control gives no packets to send but these
    }
    return packets + this.#sendWaiting();
  }

  /** What waited for an SA, before anything else is read and once more before this worker sleeps. */
  #sendWaiting(): number {
    const { outbound } = this.#intake;
    let packets = 0;
    while (this.#waiting.count > 0 && this.#waiting.take(outbound, this.#arena)) packets += this.#seal(outbound);
    return packets;
  }

  #sealDummies(batch: OutboundBatch): void {
    this.#dummies.seal(batch);
    this.#sender.send(batch);
    this.#dummies.settle(batch);
  }

  /**
   * The kernel steers each datagram to its worker, so what another worker got for us was in a train behind a packet of its
   * own: then packets of one SA may overtake each other on two ways. Only an authentic packet tells; a forger could say
   * anything.
   */
  #reportMixed(batch: InboundBatch): void {
    const { sockets } = this.#tables;
    for (let n = 0; n < batch.count; n++) {
      if (batch.verdict[n] !== Verdict.PASS) continue;
      const slot = batch.slot[n]!;
      const sa = this.#owned.get(slot);
      if (sa === undefined) continue;
      const row = this.#owned.path(slot, sa).socket;
      if (row >= 0) sockets.reportMixed(row);
      return;
    }
  }

  /** Control looks now and then: what it has not taken yet leaves no room for another. Whence a raw packet came is not handed on. */
  #reportStray(batch: InboundBatch): void {
    const { strays } = this.#tables;
    const { stray: n, strayAt, strayLength } = this.#inbound;
    if (strays.isFull(this.#worker)) return;
    const spi = spiOf(this.#arena.memory.view, batch.at[n]!);
    const octets = batch.sourceLength[n]!;
    if (strayLength > 0) strays.reportMismatch(this.#worker, spi, this.#arena.slab, strayAt, strayLength);
    else if (octets > 0)
      strays.reportUnknown(this.#worker, spi, batch.sources, batch.sourceAt[n]!, octets, batch.sourcePort[n]!);
    else if (batch === this.#received) {
      const { rawOctets, sources } = this.#receiver;
      strays.reportUnknown(this.#worker, spi, sources, this.#receiver.rawSourceAt(n), rawOctets, 0);
    }
  }

  /** What came in for SAs of others. */
  #giveIn(batch: InboundBatch): void {
    const { memory } = this.#arena;
    let any = false;
    for (let n = 0; n < batch.count; n++) {
      if (batch.verdict[n] !== Verdict.HANDOFF) continue;
      const at = batch.at[n]!;
      const length = batch.length[n]!;
      const to = (spiOf(memory.view, at) & (this.#tables.sad.capacity - 1)) % this.#workers;
      if (batch.truncated[n] === 1) batch.verdict[n] = Verdict.TOO_BIG;
      else if (!this.#handoff.give(to, memory, at, length, -1)) batch.verdict[n] = Verdict.HANDOFF_FULL;
      else {
        any = true;
        const octets = batch.sourceLength[n]!;
        this.#handoff.giveSource(to, length, batch.sources, batch.sourceAt[n]!, octets, batch.sourcePort[n]!);
        this.#handoff.giveTos(to, length, batch.outerTos[n]!);
      }
    }
    if (any) this.#handoff.publish();
  }

  /** What leaves a tunnel in which we have no pair, to the worker that sends for us. */
  #giveOut(batch: OutboundBatch): void {
    const { tunnels, blocks } = this.#tables;
    const { memory } = this.#arena;
    let any = false;
    for (let n = 0; n < batch.count; n++) {
      if (batch.slot[n]! >= 0 || batch.refused[n] !== Verdict.PASS) continue;
      const tunnel = blocks.tunnelOf(batch.tunnelBlock[n]!);
      const to = tunnels.fallback(tunnel);
      if (to < 0 || to === this.#worker) continue; // nobody sends: NO_SA
      const length = batch.length[n]!;
      if (length > MAX_PACKET) batch.refused[n] = Verdict.TOO_BIG;
      else if (!this.#handoff.give(to, memory, batch.at[n]!, length, tunnel)) batch.refused[n] = Verdict.HANDOFF_FULL;
      else {
        batch.refused[n] = Verdict.HANDOFF;
        any = true;
      }
    }
    if (any) this.#handoff.publish();
  }
}
