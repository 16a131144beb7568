// HOT PATH
/**
 * One ESP worker: a thread that owns some of the SAs and alone moves their counters and windows. A round is
 *
 *   look at the tables when they changed -> poll -> each ready socket: receive, open, write to TUNs
 *                                                -> ready TUNs: read, seal, send
 *
 * Nothing is handed on: a packet that comes in is out before the next batch is read (run to completion).
 */
import type { Engine, EngineName } from "../crypto/engine.ts";
import { ERRNO } from "../linux/errno.ts";
import { drainEventfd } from "../linux/eventfd.ts";
import { IoUring, RING_ENTRIES } from "../linux/io-uring.ts";
import { POLLIN, POLLNVAL, PollSet } from "../linux/poll.ts";
import { MAX_TRAIN } from "../linux/udp-gro.ts";
import { Arena, BATCH, INBOUND_BATCH } from "./arena.ts";
import { Inbound, InboundBatch } from "./inbound.ts";
import { IvPool } from "./iv-pool.ts";
import { openEngine } from "./open-engine.ts";
import { Outbound, OutboundBatch } from "./outbound.ts";
import { OwnedSas } from "./owned-sas.ts";
import { PlaneMemory, type SharedMemory } from "./plane-memory.ts";
import { Receiver, SocketKind } from "./receiver.ts";
import { Sender } from "./sender.ts";
import { MAX_ADDRESSES } from "./socket-table.ts";
import { TunReader } from "./tun-reader.ts";
import { TunWriter } from "./tun-writer.ts";
import { MAX_TUNNELS } from "./tunnel-table.ts";
import { WorkerStat } from "./worker-board.ts";

export interface WorkerInit {
  readonly worker: number;
  readonly workers: number;
  readonly engine: EngineName;
  readonly memory: SharedMemory;
  /** An eventfd that control writes to when the tables have changed. */
  readonly wakeFd: number;
}

/** What a watched descriptor is. */
const { UDP, RAW_IPV4, RAW_IPV6 } = SocketKind;
const TUN = 3;
const MAX_WATCHED = 1 + MAX_ADDRESSES * 2 + MAX_TUNNELS;

export class EspWorker {
  readonly #worker: number;
  readonly #wakeFd: number;
  readonly #tables: PlaneMemory;
  readonly #ring: IoUring | undefined;
  readonly #arena: Arena;
  readonly #engine: Engine;
  readonly #owned: OwnedSas;
  readonly #inbound: Inbound;
  readonly #outbound: Outbound;
  readonly #received: InboundBatch;
  readonly #read: OutboundBatch;
  readonly #receiver: Receiver;
  readonly #tunReader: TunReader;
  readonly #sender: Sender;
  readonly #tunWriter: TunWriter;
  readonly #polls = new PollSet(MAX_WATCHED);
  /** By index in the poll set: index 0 is the eventfd. */
  readonly #kind = new Uint8Array(MAX_WATCHED);
  readonly #fd = new Int32Array(MAX_WATCHED);
  readonly #tunnel = new Int32Array(MAX_WATCHED);
  #watched = 0;
  #revision = -1;

  constructor({ worker, workers, engine, memory, wakeFd }: WorkerInit) {
    this.#worker = worker;
    this.#wakeFd = wakeFd;
    this.#tables = new PlaneMemory(memory);
    const { sad, spd, counters, blocks } = this.#tables;
    const ring = IoUring.open();
    this.#ring = typeof ring === "string" ? undefined : ring;
    this.#arena = new Arena(MAX_TRAIN, { vectors: true, slots: this.#ring === undefined ? 0 : RING_ENTRIES });
    const { slab, ops } = this.#arena;
    this.#engine = openEngine(engine, slab, ops.capacity);
    this.#owned = new OwnedSas(sad, this.#engine);
    const shared = { sad, spd, counters, owned: this.#owned, engine: this.#engine, ops };
    this.#inbound = new Inbound(Object.assign({ worker, workers, block: blocks.workerIn(worker) }, shared));
    this.#outbound = new Outbound(Object.assign({ ivs: new IvPool(), block: blocks.workerOut(worker) }, shared));

    const packetMemory = this.#arena.memory;
    this.#receiver = new Receiver(this.#arena);
    this.#received = new InboundBatch(INBOUND_BATCH, this.#receiver.sources);
    this.#read = new OutboundBatch(BATCH);
    this.#tunReader = new TunReader(this.#arena, this.#tables, this.#ring);
    this.#sender = new Sender(packetMemory, this.#tables, this.#owned, worker);
    this.#tunWriter = new TunWriter(packetMemory, this.#tables, this.#arena.sum, this.#ring);
  }

  /** One round; sleeps up to `timeout` ms for work. Returns how many packets were judged. */
  round(timeout: number): number {
    const revision = this.#tables.board.revision();
    if (revision !== this.#revision) this.#rescan(revision);
    this.#tables.board.addStat(this.#worker, WorkerStat.POLLS);
    if (this.#polls.wait(timeout) <= 0) return 0;
    if (this.#polls.ready(0) !== 0) drainEventfd(this.#wakeFd);
    let packets = 0;
    for (let i = 1; i < this.#watched; i++)
      if (this.#polls.ready(i) !== 0) packets += this.#kind[i] === TUN ? this.#readTun(i) : this.#receive(i);
    return packets + this.#flush();
  }

  /** Forget all keys and packets. */
  close(): void {
    this.#owned.close();
    this.#engine.close();
    this.#ring?.close();
    this.#arena.slab.fill(0);
  }

  /** Between two batches: note what is there now, forget what is gone, and let control know. */
  #rescan(revision: number): void {
    const { sockets, tunnels, board } = this.#tables;
    this.#polls.clear();
    this.#watched = 0;
    this.#watch(this.#wakeFd, UDP, -1);
    for (let row = 0; row < MAX_ADDRESSES; row++) {
      if (!sockets.isLive(row)) continue;
      this.#watch(sockets.udp(row, this.#worker), UDP, -1);
      this.#watch(sockets.raw(row, this.#worker), sockets.family(row) === 4 ? RAW_IPV4 : RAW_IPV6, -1);
    }
    for (let tunnel = 0; tunnel < MAX_TUNNELS; tunnel++)
      if (tunnels.isLive(tunnel) && tunnels.worker(tunnel) === this.#worker)
        this.#watch(tunnels.fd(tunnel), TUN, tunnel);
    this.#owned.sweep();
    this.#revision = revision;
    board.acknowledge(this.#worker, revision);
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
    const gone = this.#kind[i] === TUN && result < 0 && result !== -ERRNO.EAGAIN;
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
    while (this.#receiver.take(batch) > 0) {
      this.#inbound.open(batch);
      this.#tunWriter.write(batch);
      this.#inbound.settle(batch);
      this.#tables.board.addStat(this.#worker, WorkerStat.BATCHES_IN);
      packets += batch.count;
    }
    return packets;
  }

  /** Append what waits in a TUN queue to the outbound batch, and send that whenever it is full. */
  #readTun(i: number): number {
    const batch = this.#read;
    const reader = this.#tunReader;
    const fd = this.#fd[i]!;
    const tunnel = this.#tunnel[i]!;
    let packets = reader.hasRoom(tunnel, batch) ? 0 : this.#flush();
    do {
      const result = reader.read(fd, tunnel, batch);
      while (reader.pending) {
        packets += this.#flush();
        reader.resume(batch);
      }
      if (result < 0) {
        this.#mute(i, result);
        return packets;
      }
    } while (reader.hasRoom(tunnel, batch));
    return packets + this.#flush();
  }

  #flush(): number {
    const batch = this.#read;
    const { count } = batch;
    if (count > 0) {
      this.#outbound.seal(batch);
      this.#sender.send(batch);
      this.#outbound.settle(batch);
      this.#tables.board.addStat(this.#worker, WorkerStat.BATCHES_OUT);
    }
    this.#tunReader.clear(batch);
    return count;
  }
}
