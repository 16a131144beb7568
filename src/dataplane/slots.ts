/**
 * Slots of the SAD and the SPIs that name them, for control. Slot mod workers is the worker, so each worker has its own
 * free slots. A slot goes from free to reserved (its SPI is in a proposal), to installed, to retired (withdrawn, but a
 * worker may still be in the middle of a batch), and back.
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
  /** Oldest first: a slot rests as long as possible before it is used again. */
  readonly #free: number[][];
  #retired: Retired[] = [];

  constructor(capacity: number, workers: number) {
    this.#capacity = capacity;
    this.#workers = workers;
    this.#free = Array.from({ length: workers }, () => []);
    for (let slot = 0; slot < capacity; slot++) this.#free[slot % workers]!.push(slot);
  }

  /** An unguessable SPI whose low bits are a free slot of `worker`; 0 when none is free. */
  reserve(worker: number): number {
    const slot = this.#free[worker]!.shift();
    if (slot === undefined) return 0;
    let spi = 0;
    while (spi < MIN_SPI) spi = randomInt(0, 2 ** 32 / this.#capacity) * this.#capacity + slot;
    return spi;
  }

  /** Back to free at once: no worker has ever seen an SA in it. */
  release(slot: number): void {
    this.#free[slot % this.#workers]!.push(slot);
  }

  /** Withdrawn at `revision` of the worker board. */
  retire(slot: number, revision: number): void {
    this.#retired.push({ slot, revision });
  }

  /** Slots that `passed` says no worker uses any more: settle their counters, they are free again. */
  reclaim(passed: (revision: number) => boolean): number[] {
    if (this.#retired.length === 0) return [];
    const gone = this.#retired.filter(({ revision }) => passed(revision)).map(({ slot }) => slot);
    this.#retired = this.#retired.filter(({ slot }) => !gone.includes(slot));
    for (const slot of gone) this.release(slot);
    return gone;
  }
}
