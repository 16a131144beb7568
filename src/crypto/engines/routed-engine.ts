// HOT PATH
/**
 * Several engines as one: each suite has its own. A batch of one engine's keys, as nearly every batch is, goes to it as it
 * is; a mixed one is done in parts, each engine's packets together.
 */
import { type Engine, type Key, Ops } from "../engine.ts";
import { checkBatch, checkPacket } from "../esp-inputs.ts";
import type { Suite } from "../suites.ts";
import { ENGINES, engineOf } from "./key-ring.ts";

const NONE = 255;
const MIXED = 254;

/** One engine and the suites that are its. */
export interface Route {
  readonly engine: Engine;
  readonly suites: readonly Suite[];
}

export class RoutedEngine implements Engine {
  readonly name: string;
  readonly #engines: readonly Engine[];
  readonly #slab: Uint8Array;
  readonly #capacity: number;
  /** By id of the suite: place of its engine. */
  readonly #route = new Uint8Array(256).fill(NONE);
  /** By number of an engine, as handles have it: its place. */
  readonly #numbered = new Uint8Array(ENGINES).fill(NONE);
  /** The part of a mixed batch that one engine does, and where its packets are in the whole. */
  #part: Ops | undefined;
  readonly #places: Int32Array;

  constructor(routes: readonly Route[], slab: Uint8Array, capacity: number) {
    this.name = routes.map(({ engine }) => engine.name).join(", ");
    this.#engines = routes.map(({ engine }) => engine);
    this.#slab = slab;
    this.#capacity = capacity;
    this.#places = new Int32Array(capacity);
    routes.forEach(({ suites }, place) => {
      suites.forEach(({ id }) => {
        this.#route[id] = place;
      });
    });
  }

  supports(suite: Suite): boolean {
    return this.#engineOf(suite)?.supports(suite) ?? false;
  }

  expand(suite: Suite, key: Uint8Array, esn: boolean): Key {
    const engine = this.#engineOf(suite);
    if (engine === undefined) throw new RangeError(`${suite.name} is not a suite of the engines ${this.name}`);
    const expanded = engine.expand(suite, key, esn);
    const place = this.#route[suite.id]!;
    const number = engineOf(expanded.handle);
    if (this.#numbered[number] !== place && this.#numbered[number] !== NONE) {
      engine.release(expanded);
      throw new RangeError("two engines of one number: one of them is 63 engines older than the other");
    }
    this.#numbered[number] = place;
    return expanded;
  }

  release(key: Key): void {
    this.#engineOf(key.suite)?.release(key);
  }

  suiteOf(handle: number): Suite {
    return this.#engines[this.#placeOfKey(handle)]!.suiteOf(handle);
  }

  seal(ops: Ops): void {
    const place = this.#placeOf(ops);
    if (place === MIXED) this.#inParts(ops, true);
    else this.#engines[place]!.seal(ops);
  }

  open(ops: Ops): void {
    const place = this.#placeOf(ops);
    if (place === MIXED) this.#inParts(ops, false);
    else this.#engines[place]!.open(ops);
  }

  close(): void {
    for (let i = 0; i < this.#engines.length; i++) this.#engines[i]!.close();
  }

  #engineOf(suite: Suite): Engine | undefined {
    return this.#engines[this.#route[suite.id] ?? NONE];
  }

  /** The engine of all packets, or MIXED. What nobody can do goes to the first, which refuses it. */
  #placeOf({ keys, count }: Ops): number {
    const first = this.#placeOfKey(keys[0]!);
    for (let i = 1; i < count; i++) if (this.#placeOfKey(keys[i]!) !== first) return MIXED;
    return first;
  }

  #placeOfKey(handle: number): number {
    const place = this.#numbered[engineOf(handle)]!;
    return place === NONE ? 0 : place;
  }

  /** Proves the whole batch first: a bug is found before a packet is touched. */
  #inParts(ops: Ops, seal: boolean): void {
    checkBatch(ops, this.#slab, this.#capacity);
    for (let i = 0; i < ops.count; i++) {
      checkPacket(ops, i, this.suiteOf(ops.keys[i]!), this.#slab.length);
      ops.ok[i] = 0;
    }
    for (let place = 0; place < this.#engines.length; place++) {
      const part = this.#partOf(ops, place);
      if (part.count === 0) continue;
      if (seal) this.#engines[place]!.seal(part);
      else this.#engines[place]!.open(part);
      for (let i = 0; i < part.count; i++) ops.ok[this.#places[i]!] = part.ok[i]!;
    }
  }

  #partOf(ops: Ops, place: number): Ops {
    if (this.#part?.scratchAt !== ops.scratchAt) this.#part = new Ops(this.#slab, ops.scratchAt, this.#capacity); // cold
    const part = this.#part;
    part.count = 0;
    for (let i = 0; i < ops.count; i++) {
      if (this.#placeOfKey(ops.keys[i]!) !== place) continue;
      const to = part.count++;
      this.#places[to] = i;
      part.keys[to] = ops.keys[i]!;
      part.headAt[to] = ops.headAt[i]!;
      part.textAt[to] = ops.textAt[i]!;
      part.textLength[to] = ops.textLength[i]!;
      part.seqHigh[to] = ops.seqHigh[i]!;
    }
    return part;
  }
}
