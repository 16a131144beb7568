// HOT PATH
/**
 * The SAs that a worker has met, with their keys expanded: expensive work done once an SA and not once a packet. Entries are
 * valid for one generation of their record; keys of SAs that are gone are released by `forget`.
 */
import type { Engine, Key } from "../crypto/engine.ts";
import { hasCounterIv, type Suite, suiteById } from "../crypto/suites.ts";
import { ESP_HEADER } from "../ipsec/esp.ts";
import { type Sad, SaFlag, type SaPath } from "../ipsec/sad.ts";

/** Without extended numbers a counter ends at 2^32 - 1 (RFC 4303 §3.3.3); with them at what a double holds exactly. */
const LAST_SHORT = 0xffff_ffff;
const LAST_EXTENDED = Number.MAX_SAFE_INTEGER;

/** All fields are fixed but the path. */
export class OwnedSa {
  readonly generation: number;
  readonly key: Key;
  readonly spi: number;
  readonly tunnel: number;
  readonly esn: boolean;
  readonly encap: boolean;
  readonly counterIv: boolean;
  readonly alignment: number;
  readonly ivLength: number;
  readonly icvLength: number;
  /** SPI to the last octet of the IV. */
  readonly headLength: number;
  readonly window: number;
  readonly ringAt: number;
  readonly ringWords: number;
  readonly lastSeq: number;
  pathVersion = -1;
  path: SaPath;
  /** Whether an authentic packet has been seen. */
  met = false;

  constructor(sad: Sad, record: number, generation: number, suite: Suite, key: Key) {
    const flags = sad.flags(record);
    this.generation = generation;
    this.key = key;
    this.spi = sad.spi(record);
    this.tunnel = sad.tunnel(record);
    this.esn = (flags & SaFlag.ESN) !== 0;
    this.encap = (flags & SaFlag.ENCAP) !== 0;
    this.counterIv = hasCounterIv(suite);
    this.alignment = suite.alignment;
    this.ivLength = suite.ivLength;
    this.icvLength = suite.icvLength;
    this.headLength = ESP_HEADER + suite.ivLength;
    this.window = sad.window(record);
    this.ringAt = sad.ringAt(record);
    this.ringWords = sad.ringWords(record);
    this.lastSeq = this.esn ? LAST_EXTENDED : LAST_SHORT;
    this.path = sad.path(record);
  }
}

export class OwnedSas {
  readonly #sad: Sad;
  readonly #engine: Engine;
  readonly #owned: (OwnedSa | undefined)[];

  constructor(sad: Sad, engine: Engine) {
    this.#sad = sad;
    this.#engine = engine;
    this.#owned = new Array<OwnedSa | undefined>(sad.capacity * 2).fill(undefined);
  }

  /** The SA in `record`, or undefined when none is live there. */
  get(record: number): OwnedSa | undefined {
    const generation = this.#sad.generation(record);
    if (generation === 0) return undefined;
    const owned = this.#owned[record];
    return owned !== undefined && owned.generation === generation ? owned : this.#adopt(record, generation);
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

  #adopt(record: number, generation: number): OwnedSa | undefined {
    this.#release(record);
    const suite = suiteById(this.#sad.suite(record));
    if (suite === undefined || !this.#engine.supports(suite)) return undefined;
    const esn = (this.#sad.flags(record) & SaFlag.ESN) !== 0;
    const key = this.#engine.expand(suite, this.#sad.key(record, suite.keyLength), esn);
    const sa = new OwnedSa(this.#sad, record, generation, suite, key);
    if (this.#sad.generation(record) !== generation) {
      this.#engine.release(key); // withdrawn, and its key perhaps wiped, while we were reading
      return undefined;
    }
    this.#owned[record] = sa;
    return sa;
  }

  /** Release the key of what was in `record`, if that is gone. */
  forget(record: number): void {
    const owned = this.#owned[record];
    if (owned !== undefined && this.#sad.generation(record) !== owned.generation) this.#release(record);
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
  }
}
