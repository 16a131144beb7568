// HOT PATH
/**
 * The Security Association Database (RFC 4301 §4.4.2) in shared memory.
 *
 * A slot holds a pair of SAs: record `slot` the inbound one, record `capacity + slot` the outbound one installed with it.
 * The receiver picks its SPI (RFC 4303 §2.1), so it picks one whose low bits are the slot: lookup needs no hash table.
 * All records lie before all rings, and these before all live rows; only inbound SAs have a ring. Words of a record, four
 * cache lines:
 *
 *   0 .. 15    fixed while the SA lives, written by control (but path and size): what workers look at
 *   16 .. 31   live: events; written by the SA's worker alone
 *   32 .. 63   fixed: key and addresses (but path and size, see `move` and `setSize`)
 *
 * What every packet asks of shared memory, the counter, a double, STATE and the newest word of the window, is a live row of 16
 * octets among those of all records: those of ten thousand SAs stay in a cache. A cache line has the rows of records that are 64
 * apart, and 64 lines follow one another: so neighbours, which different workers own, share no line, and where workers are a power
 * of two all in one line are one worker's.
 *
 * STATE is published last and withdrawn first, so a worker sees a whole record or none. Its value is the record's
 * generation: odd while live. The key is wiped on removal; a slot is used again only once every worker has finished a
 * batch begun after the removal (the plane sees to that).
 *
 * Sequence numbers are doubles, exact to 2^53: an extended counter ends there and not at 2^64.
 */
import type { Suite } from "../crypto/suites.ts";
import { FIRST_LINE, LINE_SPARE } from "./cache-line.ts";
import { closeWindow, MAX_RING_WORDS, ringWordsFor } from "./replay.ts";

const RECORD = 64;
const SPI = 1;
const SUITE = 2;
const FLAGS = 3;
const TUNNEL = 4;
const WINDOW = 5;
const RING_WORDS = 6;
const PATH_VERSION = 7;
const SOCKET = 8;
const FAMILY = 9;
const PORTS = 10;
const LOCAL = 11; // 4 words
const LIMIT = 15;
const EVENTS = 16;
const SEEN_VERSION = 17;
const SEEN_FAMILY_PORT = 18;
const SEEN_ADDRESS = 19; // 4 words
const KEY = 32; // 25 words
const MTU = 57;
const TFC = 58;
const OVERSIZE = 59;
const REMOTE = 60; // 4 words
const RING = MAX_RING_WORDS;
// Live rows come in tiles of 64 lines of 4. Doubles of a row: the counter, then two words.
const TILE = 256;
const LIVE = 2;
const TILE_OCTETS = TILE * LIVE * 8;
/** In a live row, see `Sad.liveAt`. */
export const LIVE_STATE = 2;
export const LIVE_NEWEST = 3;

/** Octets of KEYMAT a record has room for. */
export const MAX_KEY = 100;

export const SaFlag = { ESN: 1, ENCAP: 2, TRANSPORT: 4 } as const;

/** What a worker tells control about an inbound SA. */
export const SaEvent = {
  /** The first authentic packet has arrived. */
  FIRST_PACKET: 1,
  /** An authentic UDP-encapsulated packet came from another address or port than the SA's peer. */
  PEER_MOVED: 2,
} as const;

/** Where ESP goes: tunnel end points, and UDP ports when it is encapsulated. */
export interface SaPath {
  readonly family: 4 | 6;
  /** 4 or 16 octets each. */
  readonly local: Uint8Array;
  readonly remote: Uint8Array;
  readonly localPort: number;
  readonly remotePort: number;
  /** Row of the socket table that is bound to the local address; -1 where nothing is sent. */
  readonly socket: number;
}

/** What becomes of a packet that is larger than its SA's path takes (RFC 4301 §8.2). */
export const Oversize = {
  /** Fragmented before it is sealed; where it forbids that, its sender is told. */
  BEFORE: 0,
  /** Sealed whole: its ESP packet is fragmented. */
  AFTER: 1,
  /** The same where it says DF, which is not ours to clear; else as BEFORE. */
  AFTER_DF: 2,
} as const;
export type Oversize = (typeof Oversize)[keyof typeof Oversize];

/** The sizes of an outbound SA's packets. */
export interface SaSize {
  /** Octets of the largest inner packet whose ESP packet fits the path; 0 for any. */
  readonly mtu: number;
  readonly oversize: Oversize;
  /** Packets are padded to a multiple of so many octets, see `paddedLength`; 0 for no padding. */
  readonly tfc: number;
}

export const ANY_SIZE: SaSize = { mtu: 0, oversize: Oversize.BEFORE, tfc: 0 };

/** No packet is longer. */
const NO_LIMIT = 0xffff_ffff;

export interface SaRecord {
  readonly spi: number;
  readonly suite: Suite;
  readonly esn: boolean;
  readonly encap: boolean;
  /** Transport mode (RFC 4301 §4.1): what is protected lies behind the packet's own header; default false. */
  readonly transport?: boolean;
  readonly tunnel: number;
  /** Packets; of an inbound SA. */
  readonly window: number;
  /** `suite.keyLength` octets; copied. */
  readonly key: Uint8Array;
  readonly path: SaPath;
  /** Counter before the first packet: 0 but in tests of exhaustion. */
  readonly top?: number;
  /** Of an outbound SA; default any. */
  readonly size?: SaSize;
}

/** An address and port seen on the wire. */
export interface SeenPeer {
  readonly address: Uint8Array;
  readonly port: number;
}

export class Sad {
  readonly memory: SharedArrayBuffer;
  /** Slots; a power of two. Records are twice as many. */
  readonly capacity: number;
  /** For the replay functions: rings lie in here, and live rows. */
  readonly words: Uint32Array;
  /** The same memory as doubles: see `liveAt`. */
  readonly doubles: Float64Array;
  readonly #state: Int32Array;
  readonly #bytes: Uint8Array;
  /** Where the rings begin, in words, and the live rows, in doubles. */
  readonly #rings: number;
  readonly #live: number;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    // Live rows are far less than half of the rest, and a whole tile at least: the power of two is exact. As a shift it is a
    // small integer to V8, where `**` would make it a double, and every address that is reckoned from it.
    this.capacity =
      1 << Math.floor(Math.log2((memory.byteLength - LINE_SPARE - TILE_OCTETS) / 4 / (RECORD * 2 + RING)));
    this.#rings = this.capacity * 2 * RECORD;
    this.#live = (this.capacity * (2 * RECORD + RING)) >> 1;
    this.words = new Uint32Array(memory, FIRST_LINE);
    this.#state = new Int32Array(memory, FIRST_LINE);
    this.doubles = new Float64Array(memory, FIRST_LINE);
    this.#bytes = new Uint8Array(memory, FIRST_LINE);
  }

  /** `capacity`: a power of two. */
  static create(capacity: number): Sad {
    const tiles = Math.ceil((2 * capacity) / TILE);
    return new Sad(new SharedArrayBuffer(LINE_SPARE + capacity * (RECORD * 2 + RING) * 4 + tiles * TILE_OCTETS));
  }

  /** The record of the outbound SA that lies in `slot`. */
  outbound(slot: number): number {
    return this.capacity + slot;
  }

  // Control

  /** Write a record that is not live, then publish it. */
  publish(record: number, sa: SaRecord): void {
    const at = record * RECORD;
    this.words.fill(0, at, at + RECORD);
    this.words[this.newestAt(record)] = 0;
    if (record < this.capacity) this.words.fill(0, this.ringAt(record), this.ringAt(record) + RING);
    this.words[at + SPI] = sa.spi;
    this.words[at + SUITE] = sa.suite.id;
    this.words[at + FLAGS] =
      (sa.esn ? SaFlag.ESN : 0) | (sa.encap ? SaFlag.ENCAP : 0) | (sa.transport ? SaFlag.TRANSPORT : 0);
    this.words[at + TUNNEL] = sa.tunnel;
    this.words[at + WINDOW] = sa.window;
    this.words[at + RING_WORDS] = ringWordsFor(sa.window);
    this.setTop(record, sa.top ?? 0);
    this.#writePath(at, sa.path);
    this.setSize(record, sa.size ?? ANY_SIZE);
    this.#bytes.set(sa.key, (at + KEY) * 4);
    Atomics.add(this.#state, this.#stateAt(record), 1); // odd: live
  }

  /** Withdraw a live record and wipe its key. Counter and events stay readable until the slot is used again. */
  withdraw(record: number): void {
    const state = this.#stateAt(record);
    if ((Atomics.load(this.#state, state) & 1) === 0) return;
    Atomics.add(this.#state, state, 1); // even: gone
    const key = record * RECORD + KEY;
    this.words.fill(0, key, key + MAX_KEY / 4);
  }

  /** Give a live record another path. A reader that meets the change half-way tries again. */
  move(record: number, path: SaPath): void {
    const at = record * RECORD;
    Atomics.add(this.#state, at + PATH_VERSION, 1); // odd: being written
    this.#writePath(at, path);
    Atomics.add(this.#state, at + PATH_VERSION, 1);
  }

  /** Words that are read singly: a packet may meet some of the old ones and some of the new. */
  setSize(record: number, { mtu, oversize, tfc }: SaSize): void {
    const at = record * RECORD;
    const asTheyAre = mtu === 0 || oversize === Oversize.AFTER ? NO_LIMIT : mtu;
    this.words[at + MTU] = mtu;
    this.words[at + TFC] = tfc;
    this.words[at + OVERSIZE] = oversize;
    const looksAtAll = tfc > 0 || (this.words[at + FLAGS]! & SaFlag.TRANSPORT) !== 0; // fragments are short, too
    this.words[at + LIMIT] = looksAtAll ? 0 : asTheyAre;
  }

  #writePath(at: number, path: SaPath): void {
    this.words[at + SOCKET] = path.socket;
    this.words[at + FAMILY] = path.family;
    this.words[at + PORTS] = (path.localPort << 16) | path.remotePort;
    this.#bytes.set(path.local, (at + LOCAL) * 4);
    this.#bytes.set(path.remote, (at + REMOTE) * 4);
  }

  /** Take the events of a record since the last call. */
  takeEvents(record: number): number {
    return Atomics.exchange(this.#state, record * RECORD + EVENTS, 0);
  }

  /** The peer that `PEER_MOVED` spoke of; undefined while the worker is writing it, ask again later. */
  seenPeer(record: number): SeenPeer | undefined {
    const at = record * RECORD;
    const before = Atomics.load(this.#state, at + SEEN_VERSION);
    const familyPort = this.words[at + SEEN_FAMILY_PORT]!;
    const length = familyPort >>> 16 === 4 ? 4 : 16;
    const from = (at + SEEN_ADDRESS) * 4;
    const address = new Uint8Array(this.#bytes.subarray(from, from + length));
    const settled = (before & 1) === 0 && Atomics.load(this.#state, at + SEEN_VERSION) === before;
    return settled ? { address, port: familyPort & 0xffff } : undefined;
  }

  /**
   * The worker that owned the inbound SA in `slot` is dead and another will take over: put right what it may have left
   * half done. An outbound SA needs nothing: a number is taken before it is used, so at most some are never sent.
   */
  recover(slot: number): void {
    if (this.generation(slot) === 0) return;
    const at = slot * RECORD;
    if ((Atomics.load(this.#state, at + SEEN_VERSION) & 1) === 1) Atomics.add(this.#state, at + SEEN_VERSION, 1);
    closeWindow(this.words, this.newestAt(slot), this.ringAt(slot), this.words[at + RING_WORDS]!, this.top(slot));
  }

  // Workers, once an SA

  suite(record: number): number {
    return this.words[record * RECORD + SUITE]!;
  }

  flags(record: number): number {
    return this.words[record * RECORD + FLAGS]!;
  }

  window(record: number): number {
    return this.words[record * RECORD + WINDOW]!;
  }

  ringWords(record: number): number {
    return this.words[record * RECORD + RING_WORDS]!;
  }

  /** Where the ring of the inbound SA in `slot` begins, in words. */
  ringAt(slot: number): number {
    return this.#rings + slot * RING;
  }

  /** Where the newest word of its window is, in words. */
  newestAt(slot: number): number {
    return this.#topAt(slot) * 2 + LIVE_NEWEST;
  }

  /** A view of the key: copy nothing from it but into an engine. */
  key(record: number, length: number): Uint8Array {
    const from = (record * RECORD + KEY) * 4;
    return this.#bytes.subarray(from, from + length);
  }

  /** Changes whenever the path does; odd while it is being written. */
  pathVersion(record: number): number {
    return Atomics.load(this.#state, record * RECORD + PATH_VERSION);
  }

  /** The path as `pathVersion` had it just before: valid when `pathVersion` says the same just after. */
  path(record: number): SaPath {
    const at = record * RECORD;
    const family = this.words[at + FAMILY] === 6 ? 6 : 4;
    const length = family === 4 ? 4 : 16;
    const ports = this.words[at + PORTS]!;
    return {
      family,
      local: new Uint8Array(this.#bytes.subarray((at + LOCAL) * 4, (at + LOCAL) * 4 + length)),
      remote: new Uint8Array(this.#bytes.subarray((at + REMOTE) * 4, (at + REMOTE) * 4 + length)),
      localPort: ports >>> 16,
      remotePort: ports & 0xffff,
      socket: this.words[at + SOCKET]! | 0,
    };
  }

  // Workers, per packet

  /**
   * The live row of a record, in words, an even number: `words[row + LIVE_STATE]` is what `state` says, `row + LIVE_NEWEST` is
   * `newestAt`, and `doubles[row / 2]` is `top`. A loop asks once, as V8 inlines only so much into one function.
   */
  liveAt(record: number): number {
    return this.#topAt(record) * 2;
  }

  /** Slot of the live inbound SA with this SPI, or -1. */
  find(spi: number): number {
    const slot = spi & (this.capacity - 1);
    return (this.state(slot) & 1) === 1 && this.words[slot * RECORD + SPI] === spi ? slot : -1;
  }

  /**
   * The state as this thread happens to see it: the generation while live. Enough to know a record again that `generation`
   * has shown before: it is used for another SA only once every worker has begun a batch after it was withdrawn.
   */
  state(record: number): number {
    return this.#state[this.#stateAt(record)]!;
  }

  /** Zero when the record is not live; otherwise another number for every SA it has held, so it keys caches. */
  generation(record: number): number {
    const state = Atomics.load(this.#state, this.#stateAt(record));
    return (state & 1) === 1 ? state : 0;
  }

  /** Octets of the largest packet that an outbound SA takes as it is: what is larger, or everything, wants a second look. */
  limit(record: number): number {
    return this.words[record * RECORD + LIMIT]!;
  }

  /** See `SaSize`. */
  mtu(record: number): number {
    return this.words[record * RECORD + MTU]!;
  }

  tfc(record: number): number {
    return this.words[record * RECORD + TFC]!;
  }

  oversize(record: number): number {
    return this.words[record * RECORD + OVERSIZE]!;
  }

  spi(record: number): number {
    return this.words[record * RECORD + SPI]!;
  }

  tunnel(record: number): number {
    return this.words[record * RECORD + TUNNEL]!;
  }

  /** Highest sequence number sent, or received and authenticated. */
  top(record: number): number {
    return this.doubles[this.#topAt(record)]!;
  }

  setTop(record: number, seq: number): void {
    this.doubles[this.#topAt(record)] = seq;
  }

  #topAt(record: number): number {
    return this.#live + ((record & -TILE) + ((record & 63) << 2) + ((record >> 6) & 3)) * LIVE;
  }

  #stateAt(record: number): number {
    return this.#topAt(record) * 2 + LIVE_STATE;
  }

  raise(record: number, event: number): void {
    Atomics.or(this.#state, record * RECORD + EVENTS, event);
  }

  /** Note the source of an authentic packet that is not the SA's peer, for control. `address` has 4 or 16 octets. */
  sawPeer(record: number, source: Uint8Array, addressAt: number, addressLength: number, port: number): void {
    const at = record * RECORD;
    Atomics.add(this.#state, at + SEEN_VERSION, 1);
    this.words[at + SEEN_FAMILY_PORT] = ((addressLength === 4 ? 4 : 6) << 16) | port;
    const to = (at + SEEN_ADDRESS) * 4;
    for (let i = 0; i < addressLength; i++) this.#bytes[to + i] = source[addressAt + i]!;
    Atomics.add(this.#state, at + SEEN_VERSION, 1);
    this.raise(record, SaEvent.PEER_MOVED);
  }
}

/** Where the record's parts lie, in words: for the test that holds them apart on cache lines. */
export const SAD_LAYOUT = {
  record: RECORD,
  fixedEnd: LIMIT + 1,
  live: EVENTS,
  liveEnd: SEEN_ADDRESS + 4,
  cold: KEY,
  coldEnd: REMOTE + 4,
  ring: RING,
} as const;
