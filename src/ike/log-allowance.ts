/** How many log lines strangers, or one peer, may cause: `most` in each `period` ms, so that a flood of packets does not flood the log. */
export class LogAllowance {
  readonly #most: number;
  readonly #period: number;
  #since = Number.NEGATIVE_INFINITY;
  #used = 0;

  constructor(most = 10, period = 10_000) {
    this.#most = most;
    this.#period = period;
  }

  allow(now: number): boolean {
    if (now - this.#since >= this.#period) {
      this.#since = now;
      this.#used = 0;
    }
    return this.#used++ < this.#most;
  }
}
