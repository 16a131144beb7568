// HOT PATH
/**
 * The SAs that a worker has met, with their keys expanded: expensive work done once an SA and not once a packet. Entries are
 * valid for one generation of their record; keys of SAs that are gone are released by `forget`.
 */
import type { Engine, Key } from "../crypto/engine.ts";
import { suiteById } from "../crypto/suites.ts";
import { type Sad, SaFlag, type SaPath } from "../ipsec/sad.ts";
import { SPD_FRONT, type Spd } from "../ipsec/spd.ts";
import { Memory } from "../linux/memory.ts";
import { type SaShape, SHAPES, shapeIndex } from "./sa-shape.ts";

/** A row of `OwnedSas.rows`, in words: how many, and where each is. */
export const OwnedRow = {
  /** A cache line. */
  WORDS: 16,
  /** The generation of the record that the row is of; 0 for none. It is so as long as `Sad.state` says the same. */
  GENERATION: 0,
  /** The key's handle. */
  KEY: 1,
  /** Number of an SaShape. */
  SHAPE: 2,
  SPI: 3,
  /** Packets, and the words of its ring. */
  WINDOW: 4,
  RING_WORDS: 5,
  /** Of the record, an SaFlag each. */
  FLAGS: 6,
  /** 1 once an authentic packet has been seen. */
  MET: 7,
  /** What `Spd.copyFront` says of the slot. */
  FRONT: 8,
} as const;

const { WORDS, GENERATION, KEY, SHAPE, SPI, WINDOW, RING_WORDS, FLAGS, MET, FRONT } = OwnedRow;
const LINE = WORDS * 4;

if (FRONT + SPD_FRONT > WORDS) throw new RangeError("a row has no room for what decides about most packets"); // cold

/** What the sender asks of an SA. */
export class OwnedSa {
  readonly key: Key;
  readonly encap: boolean;
  pathVersion = -1;
  path: SaPath;
  /** Batches that go without trains: the kernel refused one. */
  cautious = 0;

  constructor(sad: Sad, record: number, key: Key) {
    this.key = key;
    this.encap = (sad.flags(record) & SaFlag.ENCAP) !== 0;
    this.path = sad.path(record);
  }
}

export class OwnedSas {
  /**
   * By record, apart from the objects and from shared memory, a row of all that a packet asks of its SA and that stays as it is
   * while the SA lives.
   */
  readonly rows: Int32Array;
  /** The same memory without signs: for addresses, which are compared by size. */
  readonly fronts: Uint32Array;
  readonly #sad: Sad;
  readonly #spd: Spd;
  readonly #engine: Engine;
  readonly #owned: (OwnedSa | undefined)[];

  constructor(sad: Sad, spd: Spd, engine: Engine) {
    this.#sad = sad;
    this.#spd = spd;
    this.#engine = engine;
    const records = sad.capacity * 2;
    this.#owned = new Array<OwnedSa | undefined>(records).fill(undefined);
    const { bytes, base } = Memory.allocate((records + 1) * LINE);
    const from = -base & (LINE - 1); // to the first whole line
    this.rows = new Int32Array(bytes.buffer, from, records * WORDS);
    this.fronts = new Uint32Array(bytes.buffer, from, records * WORDS);
  }

  /** The SA in `record`, or undefined when none is live there. */
  get(record: number): OwnedSa | undefined {
    return this.key(record) === 0 ? undefined : this.#owned[record];
  }

  /** The SA that `key` found in `record` last, though it may be withdrawn since: for who carries a packet of it still. */
  found(record: number): OwnedSa | undefined {
    return this.#owned[record];
  }

  /** The handle of its key, or 0 when none is live there. */
  key(record: number): number {
    const row = record * WORDS;
    // What is known is a live generation, which no withdrawn record shows; or 0, and so is the handle.
    return this.rows[row] === this.#sad.state(record) ? this.rows[row + KEY]! : this.lookUp(record);
  }

  /** What the SA that `key` found in `record` has in common with others. */
  shape(record: number): SaShape {
    return SHAPES[this.rows[record * WORDS + SHAPE]!]!;
  }

  /** `key` of a record whose row is of another generation, or of none. */
  lookUp(record: number): number {
    const generation = this.#sad.generation(record);
    return generation === 0 ? 0 : this.#adopt(record, generation);
  }

  /** An authentic packet has been seen: the row says so from now on. */
  meet(record: number): void {
    this.rows[record * WORDS + MET] = 1;
  }

  /** The SA's path as control last wrote it. */
  path(record: number, sa: OwnedSa): SaPath {
    const version = this.#sad.pathVersion(record);
    if (version !== sa.pathVersion) this.#readPath(record, sa, version);
    return sa.path;
  }

  /** Keep the old path while control is in the middle of writing a new one. */
  #readPath(record: number, sa: OwnedSa, version: number): void {
    const path = this.#sad.path(record);
    if ((version & 1) === 1 || this.#sad.pathVersion(record) !== version) return;
    sa.path = path;
    sa.pathVersion = version;
  }

  #adopt(record: number, generation: number): number {
    this.#release(record);
    const suite = suiteById(this.#sad.suite(record));
    if (suite === undefined || !this.#engine.supports(suite)) return 0;
    const esn = (this.#sad.flags(record) & SaFlag.ESN) !== 0;
    const key = this.#engine.expand(suite, this.#sad.key(record, suite.keyLength), esn);
    const sa = new OwnedSa(this.#sad, record, key);
    if (this.#sad.generation(record) !== generation) {
      this.#engine.release(key); // withdrawn, and its key perhaps wiped, while we were reading
      return 0;
    }
    this.#owned[record] = sa;
    this.#writeRow(record, generation, key.handle, shapeIndex(suite.id, this.#sad.flags(record)));
    return key.handle;
  }

  #writeRow(record: number, generation: number, handle: number, shape: number): void {
    const sad = this.#sad;
    const { rows } = this;
    const row = record * WORDS;
    rows[row + GENERATION] = generation;
    rows[row + KEY] = handle;
    rows[row + SHAPE] = shape;
    rows[row + SPI] = sad.spi(record);
    rows[row + WINDOW] = sad.window(record);
    rows[row + RING_WORDS] = sad.ringWords(record);
    rows[row + FLAGS] = sad.flags(record);
    rows[row + MET] = 0;
    this.#spd.copyFront(record & (sad.capacity - 1), this.fronts, row + FRONT);
  }

  /** Release the key of what was in `record`, if that is gone. */
  forget(record: number): void {
    const known = this.rows[record * WORDS]!;
    if (known !== 0 && this.#sad.generation(record) !== known) this.#release(record);
  }

  /** Release the keys of all SAs that are gone. */
  sweep(): void {
    for (let record = 0; record < this.#owned.length; record++) this.forget(record);
  }

  close(): void {
    for (let record = 0; record < this.#owned.length; record++) this.#release(record);
  }

  #release(record: number): void {
    const owned = this.#owned[record];
    if (owned === undefined) return;
    this.#engine.release(owned.key);
    this.#owned[record] = undefined;
    this.rows.fill(0, record * WORDS, (record + 1) * WORDS);
  }
}
