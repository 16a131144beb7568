/**
 * A worker that carries packets of its own, from a queue in place of a TUN device back into it: the very code of the workers,
 * over tables, keys and sockets that are thrown away after.
 */
import { randomBytes } from "node:crypto";
import type { Suite } from "../crypto/suites.ts";
import { DEFAULT_WINDOW } from "../ipsec/replay.ts";
import { anySelectors } from "../ipsec/selector.ts";
import { openEventfd } from "../linux/eventfd.ts";
import * as libc from "../linux/libc.ts";
import { Memory } from "../linux/memory.ts";
import { openSocketPair } from "../linux/socket-pair.ts";
import { saPath } from "./child-sa.ts";
import { EspWorker, type WorkerInit } from "./esp-worker.ts";
import { PlaneMemory } from "./plane-memory.ts";
import { LONGEST_REHEARSED } from "./rehearsal-packets.ts";
import { openWire, type RehearsalWire, SENDING_ROW } from "./rehearsal-wire.ts";
import type { WorkerTools } from "./worker-tools.ts";

const SLOT = 0;
const SLOT_BITS = 1;
const TUNNEL = 0;
/** An SPI names its slot by its low bits; no SPI is below 256. */
const SPI_OF_SLOT = ~(2 ** SLOT_BITS - 1);
const LEAST_SPI = 0x100;
/** Of the worker, for a packet that comes singly: one reads and sends it, one receives and delivers it. */
const ROUNDS = 2;

export class Rehearsal {
  readonly #tables: PlaneMemory;
  readonly #worker: EspWorker;
  readonly #suite: Suite;
  readonly #wire: RehearsalWire;
  readonly #fds: number[] = [];
  /** Our end of what the worker takes for a TUN device. */
  readonly #host: number;
  readonly #given = Memory.allocate(LONGEST_REHEARSED);
  readonly #taken = Memory.allocate(LONGEST_REHEARSED);
  #pairs = 0;

  /** Throws a system error when there are no descriptors left. `open`: the wire it carries them over. */
  constructor(
    { poll, batch, wakeFds }: Pick<WorkerInit, "poll" | "batch" | "wakeFds">,
    tools: WorkerTools,
    suite: Suite,
    open: typeof openWire = openWire,
  ) {
    const workers = Math.min(wakeFds.length, 2); // whether there are others is all that tells
    this.#tables = PlaneMemory.create(2 ** SLOT_BITS, workers);
    this.#suite = suite;
    this.#wire = open(this.#tables.sockets, SLOT_BITS);
    const { tun, host, eventfd } = this.#open();
    this.#host = host;
    this.#tables.tunnels.publish(TUNNEL, 0, [tun], { vnetHdr: true });
    this.#tables.spd.set(SLOT, anySelectors, anySelectors);
    this.rekey();
    this.#tables.tunnels.setCurrent(TUNNEL, 0, SLOT);
    this.#tables.tunnels.setFallback(TUNNEL, 0);
    const eventfds = wakeFds.slice(0, workers).fill(eventfd);
    this.#worker = new EspWorker({ worker: 0, memory: this.#tables.shared, wakeFds: eventfds, poll, batch }, tools);
  }

  /** What the worker reads and sleeps in; undoes what was opened when there is no descriptor for the rest. */
  #open(): { readonly host: number; readonly tun: number; readonly eventfd: number } {
    try {
      const [host, tun] = openSocketPair();
      this.#fds.push(host, tun);
      const eventfd = openEventfd();
      this.#fds.push(eventfd);
      return { host, tun, eventfd };
    } catch (error) {
      this.#closeAll();
      throw error;
    }
  }

  /** Another pair of SAs, with another key; each way to send them has its turn. */
  rekey(): void {
    const { sad } = this.#tables;
    this.#withdraw();
    const { address, port, encaps } = this.#wire;
    const end = { address, port };
    const key = randomBytes(this.#suite.keyLength);
    const pair = this.#pairs++;
    const sa = {
      spi: ((randomBytes(4).readUInt32LE() | LEAST_SPI) & SPI_OF_SLOT) >>> 0,
      suite: this.#suite,
      esn: pair % 4 < 2,
      encap: encaps[pair % encaps.length]!,
      transport: false,
      tunnel: TUNNEL,
      window: DEFAULT_WINDOW,
      key,
      path: saPath({ local: end, remote: end }, SENDING_ROW),
    };
    sad.publish(SLOT, sa);
    sad.publish(sad.outbound(SLOT), sa);
    key.fill(0);
  }

  /** `count` times one packet of at most LONGEST_REHEARSED octets. Returns the octets that came back. */
  carry(packet: Uint8Array, count = 1): number {
    this.#given.bytes.set(packet);
    for (let n = 0; n < count; n++) libc.write(this.#host, this.#given, 0, packet.length);
    let came = 0;
    for (let round = 0; this.#worker.round(round < ROUNDS ? 1 : 0) > 0; round++) {
      let octets = libc.read(this.#host, this.#taken, 0, LONGEST_REHEARSED);
      for (; octets > 0; octets = libc.read(this.#host, this.#taken, 0, LONGEST_REHEARSED)) came += octets;
    }
    return came;
  }

  close(): void {
    this.#withdraw();
    try {
      this.#worker.close();
    } finally {
      this.#closeAll();
    }
  }

  #closeAll(): void {
    this.#wire.close();
    for (const fd of this.#fds) libc.close(fd);
  }

  #withdraw(): void {
    const { sad, board } = this.#tables;
    sad.withdraw(SLOT);
    sad.withdraw(sad.outbound(SLOT));
    board.bump(SLOT);
  }
}
