/** How often workers died, and whether one that did is worth replacing. */

/** A worker that dies this often within this time, in ms, dies of something that a new thread does not cure. */
const MOST = 5;
const WITHIN = 10_000;

export class Deaths {
  readonly #times: number[][];
  readonly #replaced: number[];

  constructor(workers: number) {
    this.#times = Array.from({ length: workers }, () => []);
    this.#replaced = new Array<number>(workers).fill(0);
  }

  /** A worker died at `now`, in ms: true when it is to be replaced. */
  note(worker: number, now: number): boolean {
    const recent = this.#times[worker]!.filter((time) => now - time < WITHIN);
    recent.push(now);
    this.#times[worker] = recent;
    if (recent.length >= MOST) return false;
    this.#replaced[worker]!++;
    return true;
  }

  /** How often it was replaced. */
  replaced(worker: number): number {
    return this.#replaced[worker]!;
  }
}
