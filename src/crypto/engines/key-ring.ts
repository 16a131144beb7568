/**
 * The expanded keys of one engine. A key belongs to the engine that made it until it is released: the ring tells a key
 * that may be used from a stranger, a leftover or nothing at all, without a Map, by one look into an array.
 */
import { inspect } from "node:util";
import type { Key } from "../engine.ts";
import type { Suite } from "../suites.ts";

/** What the keys of all engines share. Secrets live in private fields of the subclasses and never print. */
export abstract class RingKey implements Key {
  readonly suite: Suite;
  readonly esn: boolean;
  /** Its place in the ring; -1 before it has one and after its release. */
  slot = -1;

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
  readonly #free: number[] = [];
  #closed = false;

  /** Throws a RangeError when the ring is closed; the key is wiped then. */
  add(key: K): K {
    if (this.#closed) {
      key.wipe();
      throw new RangeError("the engine is closed");
    }
    key.slot = this.#free.pop() ?? this.#keys.length;
    this.#keys[key.slot] = key;
    return key;
  }

  /** HOT PATH. `key` as this engine's own. Throws a RangeError when it is not, or no longer, one of its keys. */
  own(key: Key | undefined): K {
    const slot = key === undefined ? -1 : (key as K).slot;
    const own = slot >= 0 ? this.#keys[slot] : undefined;
    if (own === undefined || own !== key) return refuseKey(key);
    return own;
  }

  /** Whether `key` is one of this engine's, and not released. */
  has(key: Key): boolean {
    const { slot } = key as K;
    return slot >= 0 && this.#keys[slot] === key;
  }

  /** Wipe a key and forget it. A key that is not here (any more) is left alone. */
  release(key: Key): void {
    const { slot } = key as K;
    const own = this.#keys[slot];
    if (own === undefined || own !== key) return;
    this.#keys[slot] = undefined;
    this.#free.push(slot);
    own.slot = -1;
    own.wipe();
  }

  /** Release every key and take no more. */
  close(): void {
    this.#closed = true;
    for (const key of this.#keys) if (key !== undefined) this.release(key);
  }
}

const refuseKey = (key: Key | undefined): never => {
  throw new RangeError(
    key === undefined ? "a packet without a key" : "a key that this engine did not make, or released",
  );
};

/** Throws a RangeError unless `key` has the length that KEYMAT of `suite` has. */
export const checkKeyLength = (suite: Suite, key: Uint8Array): void => {
  if (key.length !== suite.keyLength)
    throw new RangeError(`a key of ${key.length} octets for ${suite.name}: ${suite.keyLength} expected`);
};
