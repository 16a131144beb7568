// HOT PATH
/**
 * The SAs that a worker has met, with their keys expanded: expensive work done once an SA and not once a packet. Entries are
 * valid for one generation of their record; keys of SAs that are gone are released by `forget`.
 */
import type { Engine, Key } from "../crypto/engine.ts";
import { suiteById } from "../crypto/suites.ts";
import { type Sad, SaFlag, type SaPath } from "../ipsec/sad.ts";

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
  /** By record, apart from the objects, as every packet asks: the generation that is known, 0 for none, and its key's handle. */
  readonly #known: Int32Array;
  /** By record: 1 once an authentic packet has been seen. */
  readonly #met: Uint8Array;

  constructor(sad: Sad, engine: Engine) {
    this.#sad = sad;
    this.#engine = engine;
    const records = sad.capacity * 2;
    this.#owned = new Array<OwnedSa | undefined>(records).fill(undefined);
    this.#known = new Int32Array(records * 2);
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
    const state = this.#sad.state(record);
    return (state & 1) === 1 && (state | 0) === this.#known[record * 2]
      ? this.#known[record * 2 + 1]!
      : this.#lookUp(record);
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
    return this.#known[record * 2]!;
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
    this.#known[record * 2] = generation;
    this.#known[record * 2 + 1] = key.handle;
    this.#met[record] = 0;
    return key.handle;
  }

  /** Release the key of what was in `record`, if that is gone. */
  forget(record: number): void {
    const known = this.#known[record * 2]!;
    if (known !== 0 && (this.#sad.generation(record) | 0) !== known) this.#release(record);
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
    this.#known[record * 2] = 0;
    this.#known[record * 2 + 1] = 0;
  }
}
