// HOT PATH
/**
 * Tunnel interfaces in shared memory: control writes a row, publishes it by its state and withdraws it by its state.
 *
 * A tunnel has one queue a worker, or one for all; the worker of that one is its home. Each worker sends on a pair of SAs
 * of its own; one that has none leaves packets to the fallback, a worker that has (RFC 9611 §3). Control names a fallback
 * after it gave that worker a pair and before it takes it away, so who is named can send.
 *
 * A pair that the peer may not have yet is a candidate: its worker sends on it from the first packet that came in on it, so
 * that what answers that packet already takes the same way back.
 */
import { Df } from "../ipsec/outer-header.ts";
import { MAX_WORKERS } from "./worker-board.ts";

export const MAX_TUNNELS = 1024;

const FDS = 16;
const CURRENT = FDS + MAX_WORKERS;
const CANDIDATE = CURRENT + MAX_WORKERS;
const ROW = CANDIDATE + MAX_WORKERS;
/** Of a candidate, beside its slot: its peer has it. */
const PROVEN = 1 << 30;
const STATE = 0;
const HOME = 1;
const READER = 2;
const VNET_HDR = 3;
const FALLBACK = 4;

const MSS_IPV4 = 5;
const MSS_IPV6 = 6;
const HOLDS = 7;
const DF = 8;
const TRAPS = 9;
const WANTED = 10;
const BYPASS_IPV4 = 11;
const BYPASS_IPV6 = 12;
const ERRORS = 13;
/** READER of a child whose packets are read from the queues of another: all read theirs, but those. */
const ALL = -1;
const NOBODY = -2;
/** Behind the rows, octets: the outer TOS of each tunnel by the inner one. */
const TOS = MAX_TUNNELS * ROW * 4;
const TOS_VALUES = 256;

/** What a row says beside its queues; each is false by default. */
export interface TunnelRow {
  readonly vnetHdr?: boolean;
  readonly holds?: boolean;
  readonly isChild?: boolean;
  readonly traps?: boolean;
  readonly bypass?: BypassFds | undefined;
}

/** Raw sockets that send whole packets past the tunnel; -1: none of that family. */
export interface BypassFds {
  readonly ipv4: number;
  readonly ipv6: number;
}

export class TunnelTable {
  readonly memory: SharedArrayBuffer;
  readonly #worker: number;
  readonly #words: Int32Array;
  readonly #tos: Uint8Array;

  /** `worker`: whose queues and pairs `fd`, `isReader` and `current` speak of. */
  constructor(memory: SharedArrayBuffer, worker = 0) {
    this.memory = memory;
    this.#worker = worker;
    this.#words = new Int32Array(memory, 0, MAX_TUNNELS * ROW);
    this.#tos = new Uint8Array(memory, TOS);
  }

  static create(): TunnelTable {
    return new TunnelTable(new SharedArrayBuffer(TOS + MAX_TUNNELS * TOS_VALUES));
  }

  // Control

  /**
   * `fds`: a queue of each worker, or one that `home` reads and all write. `vnetHdr`: a virtio_net_hdr of 10 octets stands
   * before each packet that a queue gives and takes. `holds`: no packet is taken out while nobody can send it. `isChild`:
   * the queues are another's, from which policies take packets for it. `traps`: then say when one had no SA.
   */
  publish(
    tunnel: number,
    home: number,
    fds: readonly number[],
    { vnetHdr = false, holds = false, isChild = false, traps = false, bypass }: TunnelRow = {},
  ): void {
    const at = tunnel * ROW;
    this.#words[at + HOME] = home;
    this.#words[at + READER] = isChild ? NOBODY : fds.length === 1 ? home : ALL;
    this.#words[at + VNET_HDR] = vnetHdr ? 1 : 0;
    this.#words[at + HOLDS] = holds ? 1 : 0;
    this.#words[at + TRAPS] = traps ? 1 : 0;
    this.#words[at + BYPASS_IPV4] = bypass?.ipv4 ?? -1;
    this.#words[at + BYPASS_IPV6] = bypass?.ipv6 ?? -1;
    Atomics.store(this.#words, at + WANTED, 0);
    for (let worker = 0; worker < MAX_WORKERS; worker++) {
      this.#words[at + FDS + worker] = (fds.length === 1 ? fds[0] : fds[worker]) ?? -1;
      Atomics.store(this.#words, at + CURRENT + worker, -1);
      Atomics.store(this.#words, at + CANDIDATE + worker, -1);
    }
    Atomics.store(this.#words, at + FALLBACK, -1);
    this.setMss(tunnel, 0, 0);
    this.setDf(tunnel, Df.copy);
    this.setErrors(tunnel, true);
    for (let tos = 0; tos < TOS_VALUES; tos++) this.#tos[tunnel * TOS_VALUES + tos] = tos;
    Atomics.store(this.#words, at + STATE, 1);
  }

  withdraw(tunnel: number): void {
    Atomics.store(this.#words, tunnel * ROW + STATE, 0);
  }

  /** `slot` -1: the worker has no pair. */
  setCurrent(tunnel: number, worker: number, slot: number): void {
    Atomics.store(this.#words, tunnel * ROW + CURRENT + worker, slot);
  }

  /** `slot`: of a pair that the worker may send on once its peer has, while it has no other; -1: none. */
  setCandidate(tunnel: number, worker: number, slot: number): void {
    Atomics.store(this.#words, tunnel * ROW + CANDIDATE + worker, slot);
  }

  /** `worker` -1: no worker has a pair. */
  setFallback(tunnel: number, worker: number): void {
    Atomics.store(this.#words, tunnel * ROW + FALLBACK, worker);
  }

  /** The largest TCP segments that may be announced through the tunnel (see `clampMss`); 0 for any. */
  setMss(tunnel: number, mss4: number, mss6: number): void {
    Atomics.store(this.#words, tunnel * ROW + MSS_IPV4, mss4);
    Atomics.store(this.#words, tunnel * ROW + MSS_IPV6, mss6);
  }

  /** `table`: from `outerTosTable`. Until then the inner TOS is copied. */
  setOuterTos(tunnel: number, table: Uint8Array): void {
    this.#tos.set(table, tunnel * TOS_VALUES);
  }

  /** Whether a packet of a child that traps had no SA since the last call. */
  takeWanted(tunnel: number): boolean {
    return Atomics.exchange(this.#words, tunnel * ROW + WANTED, 0) === 1;
  }

  /** `df`: of `Df`. Until then it is copied. */
  setDf(tunnel: number, df: number): void {
    Atomics.store(this.#words, tunnel * ROW + DF, df);
  }

  /** Whether ICMP errors pass for what they quote. Until then they do. */
  setErrors(tunnel: number, pass: boolean): void {
    Atomics.store(this.#words, tunnel * ROW + ERRORS, pass ? 1 : 0);
  }

  // Workers

  takesErrors(tunnel: number): boolean {
    return this.#words[tunnel * ROW + ERRORS] === 1;
  }

  /** A packet of this tunnel is there, and no SA: control is told where it traps. Returns whether it does. */
  want(tunnel: number): boolean {
    const at = tunnel * ROW;
    if (this.#words[at + TRAPS] === 0) return false;
    if (this.#words[at + WANTED] === 0) Atomics.store(this.#words, at + WANTED, 1);
    return true;
  }

  /** Socket for packets of this version that bypass, or -1. */
  bypassFd(tunnel: number, version: number): number {
    return this.#words[tunnel * ROW + (version === 4 ? BYPASS_IPV4 : BYPASS_IPV6)]!;
  }

  df(tunnel: number): number {
    return this.#words[tunnel * ROW + DF]!;
  }

  outerTos(tunnel: number, inner: number): number {
    return this.#tos[tunnel * TOS_VALUES + inner]!;
  }

  mss4(tunnel: number): number {
    return this.#words[tunnel * ROW + MSS_IPV4]!;
  }

  mss6(tunnel: number): number {
    return this.#words[tunnel * ROW + MSS_IPV6]!;
  }

  isLive(tunnel: number): boolean {
    return Atomics.load(this.#words, tunnel * ROW + STATE) === 1;
  }

  /** Where this worker delivers packets. */
  fd(tunnel: number): number {
    return this.#words[tunnel * ROW + FDS + this.#worker]!;
  }

  /** Whether that descriptor is this worker's to read. */
  isReader(tunnel: number): boolean {
    const reader = this.#words[tunnel * ROW + READER]!;
    return reader === ALL || reader === this.#worker;
  }

  /** Whether its packets stay in their queues for now. */
  isHeld(tunnel: number): boolean {
    return this.#words[tunnel * ROW + HOLDS] === 1 && this.fallback(tunnel) < 0;
  }

  vnetHdr(tunnel: number): boolean {
    return this.#words[tunnel * ROW + VNET_HDR] === 1;
  }

  /** Slot of the pair that carries what this worker takes out of the tunnel, or -1: then see `fallback`. */
  current(tunnel: number): number {
    const slot = Atomics.load(this.#words, tunnel * ROW + CURRENT + this.#worker);
    if (slot >= 0) return slot;
    const candidate = Atomics.load(this.#words, tunnel * ROW + CANDIDATE + this.#worker);
    return candidate >= PROVEN ? candidate - PROVEN : -1;
  }

  /** The peer has sent on this worker's pair. */
  prove(tunnel: number, slot: number): void {
    // Unless control has another candidate now, or none.
    Atomics.compareExchange(this.#words, tunnel * ROW + CANDIDATE + this.#worker, slot, slot + PROVEN);
  }

  /** The worker that sends for those without a pair, or -1: then nothing leaves. */
  fallback(tunnel: number): number {
    return Atomics.load(this.#words, tunnel * ROW + FALLBACK);
  }
}
