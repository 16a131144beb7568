/**
 * A worker without its sockets and interfaces: the passes over packets that it makes of what it receives and reads, on
 * batches of packets that are made here. Only the passes are timed, from the packet in its buffer to the packet in its
 * buffer: making packets, which stands for the kernel's copy into or out of the buffers, is not.
 */
import type { Engine, EngineName } from "../crypto/engine.ts";
import { suitesDoneBy } from "../crypto/select-engine.ts";
import type { Suite } from "../crypto/suites.ts";
import { Arena, outboundRoom, RECEIVED } from "../dataplane/arena.ts";
import { EspSession } from "../dataplane/esp-session.ts";
import { Inbound, InboundBatch } from "../dataplane/inbound.ts";
import { IvPool } from "../dataplane/iv-pool.ts";
import { openEngine } from "../dataplane/open-engine.ts";
import { Outbound, OutboundBatch } from "../dataplane/outbound.ts";
import { OwnedSas } from "../dataplane/owned-sas.ts";
import { PlaneMemory, type SharedMemory } from "../dataplane/plane-memory.ts";
import { MAX_TRAIN } from "../linux/udp-gro.ts";
import { innerPackets, mostOctets, type PacketSize } from "./inner-packets.ts";

export interface EspLoadOptions {
  readonly memory: SharedMemory;
  readonly worker: number;
  readonly workers: number;
  /** SAs of this worker. */
  readonly sas: number;
  /** Packets that an SA has before it is the next one's turn; default 1. */
  readonly train?: number;
  readonly engine: EngineName;
  readonly suite: Suite;
  readonly esn: boolean;
  readonly size: PacketSize;
  /** Packets of a batch. */
  readonly batch: number;
}

/** What passed and what did not, so far. */
export interface Passed {
  readonly packets: number;
  readonly drops: number;
}

export class EspLoad {
  readonly #options: EspLoadOptions;
  readonly #tables: PlaneMemory;
  readonly #arena = new Arena(MAX_TRAIN);
  readonly #owned: OwnedSas;
  readonly #inbound: Inbound;
  readonly #outbound: Outbound;
  readonly #toOpen: InboundBatch;
  readonly #toSeal: OutboundBatch;
  readonly #packets: readonly Uint8Array[];
  readonly #engine: Engine;
  readonly #train: number;
  /** The SA that has the next packet. */
  #next = 0;
  /** Packets that it had since it was another's turn. */
  #had = 0;

  constructor(options: EspLoadOptions) {
    this.#options = options;
    this.#train = options.train ?? 1;
    const { worker, workers, size, batch } = options;
    this.#tables = new PlaneMemory(options.memory);
    const { sad, spd, counters, blocks } = this.#tables;
    const { slab, ops } = this.#arena;
    const engine = openEngine(options.engine, slab, ops.capacity);
    this.#engine = engine;
    this.#owned = new OwnedSas(sad, spd, engine);
    const parts = { sad, spd, counters, owned: this.#owned, engine, ops };
    this.#inbound = new Inbound({ ...parts, worker, workers, block: blocks.workerIn(worker) });
    this.#outbound = new Outbound({ ...parts, ivs: new IvPool(), block: blocks.workerOut(worker) });
    this.#toOpen = new InboundBatch(batch, new Uint8Array(0));
    this.#toSeal = new OutboundBatch(batch);
    this.#packets = innerPackets(batch, size);
  }

  /** Seal a batch; ms that it took. */
  seal(): number {
    this.#fill();
    const begin = performance.now();
    this.#outbound.seal(this.#toSeal);
    this.#outbound.settle(this.#toSeal);
    return performance.now() - begin;
  }

  /** Seal a fresh batch on the SAs' other ends, untimed, then open it; ms that the opening took. */
  open(): number {
    this.seal();
    this.#carry();
    const begin = performance.now();
    this.#inbound.open(this.#toOpen);
    this.#inbound.settle(this.#toOpen);
    return performance.now() - begin;
  }

  /** After `seal`: ms that the engine alone takes for the same octets once more, whatever they are by now. */
  sealAlone(): number {
    const begin = performance.now();
    this.#engine.seal(this.#arena.ops);
    return performance.now() - begin;
  }

  /** After `open`: put back what was sealed, untimed, then ms that the engine alone takes to open it. */
  openAlone(): number {
    this.#carry();
    const begin = performance.now();
    this.#engine.open(this.#arena.ops);
    return performance.now() - begin;
  }

  /** Use every SA once, so that its keys are expanded. */
  meetAll(): void {
    const { sas, batch } = this.#options;
    for (let met = 0; met < sas * this.#train; met += batch) this.open();
  }

  /** Throws when a batch, sealed and opened, is not what it was, or when another engine does not open what was sealed. */
  check(): void {
    this.seal();
    this.#checkElsewhere();
    this.#carry();
    this.#inbound.open(this.#toOpen);
    this.#inbound.settle(this.#toOpen);
    this.checkOpened();
  }

  /** Throws when the batch opened last is not what was sealed. */
  checkOpened(): void {
    const { slab } = this.#arena;
    const { suite, engine } = this.#options;
    this.#packets.forEach((packet, n) => {
      const at = this.#toOpen.innerAt[n]!;
      const opened = slab.subarray(at, at + this.#toOpen.innerLength[n]!);
      if (this.#toOpen.verdict[n] !== 0 || Buffer.compare(opened, packet) !== 0)
        throw new Error(`${engine} did not open what it sealed: ${suite.name}, ${packet.length} octets`);
    });
  }

  sealed(): Passed {
    return this.#passed(this.#tables.blocks.workerOut(this.#options.worker));
  }

  opened(): Passed {
    return this.#passed(this.#tables.blocks.workerIn(this.#options.worker));
  }

  close(): void {
    this.#owned.close();
    this.#engine.close();
  }

  #passed(block: number): Passed {
    const packets = this.#tables.counters.get(block, 0);
    return { packets, drops: this.#tables.counters.sum(block) - packets };
  }

  /** A batch of packets where TunReader would put them: each SA has as many as a train is long, then the one after it. */
  #fill(): void {
    const { worker, workers, sas, size } = this.#options;
    const { slab } = this.#arena;
    const batch = this.#toSeal;
    const room = outboundRoom(mostOctets(size));
    const own = this.#tables.blocks.tunnelOwn(0);
    const { length } = this.#packets;
    batch.count = length;
    for (let n = 0; n < length; n++) {
      const at = this.#arena.packetAt(n * room);
      const packet = this.#packets[n]!;
      slab.set(packet, at);
      batch.at[n] = at;
      batch.length[n] = packet.length;
      batch.slot[n] = worker + workers * this.#next;
      batch.tunnelBlock[n] = own;
      if (++this.#had < this.#train) continue;
      this.#had = 0;
      if (++this.#next === sas) this.#next = 0;
    }
  }

  /** What was sealed, to where Receiver would put it. */
  #carry(): void {
    const { slab } = this.#arena;
    const batch = this.#toOpen;
    const { count } = this.#toSeal;
    const room = outboundRoom(mostOctets(this.#options.size));
    batch.count = count;
    for (let n = 0; n < count; n++) {
      const from = this.#toSeal.sealedAt[n]!;
      const length = this.#toSeal.sealedLength[n]!;
      // More than there are buffers lie in them one behind the other, like those of a train.
      const at = this.#arena.inboundAt(n % RECEIVED) + Math.floor(n / RECEIVED) * room;
      slab.copyWithin(at, from, from + length);
      batch.at[n] = at;
      batch.length[n] = length;
      batch.truncated[n] = 0;
      batch.sourceLength[n] = 0;
    }
  }

  /**
   * Another implementation must understand us: two mistakes that cancel each other out are found here. Not where there is
   * none that does the suite.
   */
  #checkElsewhere(): void {
    const { suite, engine, esn } = this.#options;
    const other = (["node", "noble", "openssl", "ipsec-mb"] as const).find(
      (name) => (name === "node" || name !== engine) && suitesDoneBy(name).includes(suite),
    );
    if (other === undefined) return;
    const { sad } = this.#tables;
    const slot = this.#toSeal.slot[0]!;
    const { slab } = this.#arena;
    const at = this.#toSeal.sealedAt[0]!;
    const session = EspSession.open({
      direction: "open",
      suite,
      spi: sad.spi(slot),
      key: sad.key(slot, suite.keyLength),
      esn,
      engine: other,
    });
    const [first] = session.open([slab.slice(at, at + this.#toSeal.sealedLength[0]!)]);
    session.close();
    if (first?.packet === undefined || Buffer.compare(first.packet, this.#packets[0]!) !== 0)
      throw new Error(`${other} does not open what ${engine} sealed: ${suite.name} (${first?.verdict})`);
  }
}
