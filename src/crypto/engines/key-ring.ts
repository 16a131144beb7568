/**
 * The expanded keys of one engine. A key belongs to the engine that made it until it is released. A batch names it by its
 * handle, which tells a key that may be used from a stranger's, a leftover or none at all by one comparison:
 *
 *   bits   31 .. 26  the engine       25 .. 18  how often the place was used before       17 .. 0  the place
 */
import { inspect } from "node:util";
import type { Key } from "../engine.ts";
import type { Suite } from "../suites.ts";

const PLACE_BITS = 18;
const GENERATION_BITS = 8;
/** Numbers that engines may have. */
export const ENGINES = 64;
const LAST_GENERATION = (1 << GENERATION_BITS) - 1;

/** Keys that an engine can have. */
export const MAX_KEYS = 1 << PLACE_BITS;

/** HOT PATH. The place of the key that a handle may name, below MAX_KEYS. */
export const placeOf = (handle: number): number => handle & (MAX_KEYS - 1);

/** HOT PATH. The engine, 0 to 63, that has made the key; engines of a thread are numbered in turn, from 1. */
export const engineOf = (handle: number): number => handle >>> (PLACE_BITS + GENERATION_BITS);

/** The last engine of this thread. */
let lastEngine = 0;

/** What the keys of all engines share. Secrets live in private fields of the subclasses and never print. */
export abstract class RingKey implements Key {
  readonly suite: Suite;
  readonly esn: boolean;
  /** 0 before it is in the ring and after its release. */
  handle = 0;

  constructor(suite: Suite, esn: boolean) {
    this.suite = suite;
    this.esn = esn;
  }

  /** Overwrite the secrets and free what holds them. Called once, by the ring. */
  abstract wipe(): void;

  toJSON(): object {
    return { suite: this.suite.name, esn: this.esn, key: "<redacted>" };
  }

  [inspect.custom](): string {
    return `Key { ${this.suite.name}, esn: ${this.esn}, <redacted> }`;
  }
}

export class KeyRing<K extends RingKey> {
  readonly #keys: (K | undefined)[] = [];
  /** By place: how often it was used before. */
  readonly #generations: number[] = [];
  readonly #free: number[] = [];
  readonly #engine: number;
  #closed = false;

  constructor() {
    lastEngine = (lastEngine % (ENGINES - 1)) + 1; // never 0, so no handle is
    this.#engine = lastEngine;
  }

  /** The key that `make` makes for a place. Throws a RangeError when the ring is closed or full. */
  add(make: (place: number) => K): K {
    if (this.#closed) throw new RangeError("the engine is closed");
    const place = this.#free.pop() ?? this.#keys.length;
    if (place >= MAX_KEYS) throw new RangeError(`more than ${MAX_KEYS} keys`);
    const key = make(place);
    const generation = this.#generations[place] ?? 0;
    key.handle = (this.#engine << (PLACE_BITS + GENERATION_BITS)) | (generation << PLACE_BITS) | place;
    this.#generations[place] = generation === LAST_GENERATION ? 0 : generation + 1;
    this.#keys[place] = key;
    return key;
  }

  /** HOT PATH. The key that `handle` names. Throws a RangeError when it is not, or no longer, one of this engine's. */
  own(handle: number): K {
    const own = this.#keys[placeOf(handle)];
    return own !== undefined && own.handle === handle ? own : refuseKey(handle);
  }

  /** Whether `key` is one of this engine's, and not released. */
  has(key: Key): boolean {
    return this.#keys[placeOf(key.handle)] === key;
  }

  /** Wipe a key and forget it. A key that is not here (any more) is left alone. */
  release(key: Key): void {
    const place = placeOf(key.handle);
    const own = this.#keys[place];
    if (own === undefined || own !== key) return;
    this.#keys[place] = undefined;
    this.#free.push(place);
    own.handle = 0;
    own.wipe();
  }

  /** Release every key and take no more. */
  close(): void {
    this.#closed = true;
    for (const key of this.#keys) if (key !== undefined) this.release(key);
  }
}

export const refuseKey = (handle: number): never => {
  throw new RangeError(handle === 0 ? "a packet without a key" : "a key that this engine did not make, or released");
};

/** A copy of part of a key, to keep and to wipe: `slice` would not be one, where the key came as a Buffer. */
export const copyOf = (key: Uint8Array, from: number, to = key.length): Uint8Array =>
  new Uint8Array(key.subarray(from, to));

/** Throws a RangeError unless `key` has the length that KEYMAT of `suite` has. */
export const checkKeyLength = (suite: Suite, key: Uint8Array): void => {
  if (key.length !== suite.keyLength)
    throw new RangeError(`a key of ${key.length} octets for ${suite.name}: ${suite.keyLength} expected`);
};
