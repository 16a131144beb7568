// HOT PATH
/**
 * The SAs that a worker has met, with their keys expanded: expensive work done once an SA and not once a packet. Entries are
 * valid for one generation of their record; keys of SAs that are gone are released by `forget`.
 */
import type { Engine, Key } from "../crypto/engine.ts";
import { suiteById } from "../crypto/suites.ts";
import { type Sad, SaFlag, type SaPath } from "../ipsec/sad.ts";
import { type SaShape, SHAPES, shapeIndex } from "./sa-shape.ts";

// Words of a row.
const ROW = 4;
const HANDLE = 1;
const SHAPE = 2;

/** What the sender asks of an SA. */
export class OwnedSa {
  readonly key: Key;
  readonly encap: boolean;
  pathVersion = -1;
  path: SaPath;

  constructor(sad: Sad, record: number, key: Key) {
    this.key = key;
    this.encap = (sad.flags(record) & SaFlag.ENCAP) !== 0;
    this.path = sad.path(record);
  }
}

export class OwnedSas {
  readonly #sad: Sad;
  readonly #engine: Engine;
  readonly #owned: (OwnedSa | undefined)[];
  /**
   * By record, apart from the objects, as every packet asks, a row of words: the generation that is known, 0 for none, its key's
   * handle and its shape.
   */
  readonly #known: Int32Array;
  /** By record: 1 once an authentic packet has been seen. */
  readonly #met: Uint8Array;

  constructor(sad: Sad, engine: Engine) {
    this.#sad = sad;
    this.#engine = engine;
    const records = sad.capacity * 2;
    this.#owned = new Array<OwnedSa | undefined>(records).fill(undefined);
    this.#known = new Int32Array(records * ROW);
    this.#met = new Uint8Array(records);
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
    const at = record * ROW;
    // What is known is a live generation, which no withdrawn record shows; or 0, and so is the handle.
    return this.#known[at] === this.#sad.state(record) ? this.#known[at + HANDLE]! : this.#lookUp(record);
  }

  /** What the SA that `key` found in `record` has in common with others. */
  shape(record: number): SaShape {
    return SHAPES[this.#known[record * ROW + SHAPE]!]!;
  }

  #lookUp(record: number): number {
    const generation = this.#sad.generation(record);
    return generation === 0 ? 0 : this.#adopt(record, generation);
  }

  /** True the first time that it is asked of an SA. */
  meet(record: number): boolean {
    if (this.#met[record] === 1) return false;
    this.#met[record] = 1;
    return true;
  }

  /** Load what `key` asks of a record, so that the lines of a batch arrive together. */
  touch(record: number): number {
    return this.#known[record * ROW]!;
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
    this.#known[record * ROW] = generation;
    this.#known[record * ROW + HANDLE] = key.handle;
    this.#known[record * ROW + SHAPE] = shapeIndex(suite.id, this.#sad.flags(record));
    this.#met[record] = 0;
    return key.handle;
  }

  /** Release the key of what was in `record`, if that is gone. */
  forget(record: number): void {
    const known = this.#known[record * ROW]!;
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
    this.#known.fill(0, record * ROW, (record + 1) * ROW);
  }
}
