/**
 * Slots of the SAD and the SPIs that name them, for control. Slot mod workers is the worker, so each worker has its own
 * free slots. A slot goes from free to reserved (its SPI is in a proposal), to installed, to retired (withdrawn, but a
 * worker may still be in the middle of a batch), and back. No step costs more when there are more slots.
 */
import { randomInt } from "node:crypto";
import { MIN_SPI } from "../ipsec/esp.ts";

interface Retired {
  readonly slot: number;
  readonly revision: number;
}

export class Slots {
  readonly #capacity: number;
  readonly #workers: number;
  readonly #free: readonly Queue<number>[];
  readonly #retired = new Queue<Retired>();

  constructor(capacity: number, workers: number) {
    this.#capacity = capacity;
    this.#workers = workers;
    this.#free = Array.from({ length: workers }, () => new Queue<number>());
    for (let slot = 0; slot < capacity; slot++) this.release(slot);
  }

  /** An unguessable SPI whose low bits are a free slot of `worker`; 0 when none is free. */
  reserve(worker: number): number {
    const slot = this.#free[worker]!.take();
    if (slot === undefined) return 0;
    let spi = 0;
    while (spi < MIN_SPI) spi = randomInt(0, 2 ** 32 / this.#capacity) * this.#capacity + slot;
    return spi;
  }

  /** Take the slot that the low bits of this SPI name, out of order. False when it is not free. */
  claim(spi: number): boolean {
    const slot = spi & (this.#capacity - 1);
    return this.#free[slot % this.#workers]!.remove(slot);
  }

  /** Back to free at once: no worker has ever seen an SA in it. */
  release(slot: number): void {
    this.#free[slot % this.#workers]!.add(slot);
  }

  /** Withdrawn at `revision` of the worker board, not before those of earlier calls. */
  retire(slot: number, revision: number): void {
    this.#retired.add({ slot, revision });
  }

  /** Slots that `passed` says no worker uses any more: settle their counters, they are free again. */
  reclaim(passed: (revision: number) => boolean): number[] {
    const gone: number[] = [];
    for (let oldest = this.#retired.oldest; oldest !== undefined; oldest = this.#retired.oldest) {
      if (!passed(oldest.revision)) break;
      this.#retired.take();
      this.release(oldest.slot);
      gone.push(oldest.slot);
    }
    return gone;
  }
}

/** First in, first out: a slot rests as long as possible before it is used again. */
class Queue<T> {
  #items: T[] = [];
  #from = 0;

  get oldest(): T | undefined {
    return this.#items[this.#from];
  }

  add(item: T): void {
    this.#items.push(item);
  }

  remove(item: T): boolean {
    const at = this.#items.indexOf(item, this.#from);
    if (at >= 0) this.#items.splice(at, 1);
    return at >= 0;
  }

  take(): T | undefined {
    const item = this.#items[this.#from];
    if (item === undefined) return undefined;
    this.#from++;
    if (this.#from * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#from); // no more than was taken since the last time
      this.#from = 0;
    }
    return item;
  }
}
