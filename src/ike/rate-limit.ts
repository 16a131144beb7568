/** How often something may happen: `most` times at once, and after that again as time passes, `most` times in each `period` ms. */
export class RateLimit {
  readonly #most: number;
  readonly #period: number;
  #left: number;
  #at = Number.NEGATIVE_INFINITY;

  constructor(most: number, period: number) {
    this.#most = most;
    this.#period = period;
    this.#left = most;
  }

  /** Whether it may happen now; if so, it has. */
  take(now: number): boolean {
    const gained = ((now - this.#at) * this.#most) / this.#period;
    this.#left = Math.min(this.#most, this.#left + Math.max(0, gained));
    this.#at = now;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
