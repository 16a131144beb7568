// HOT PATH
/**
 * A token bucket: how many ICMP errors a node may send or believe (RFC 1812 §4.3.2.8, RFC 4443 §2.4(f)), how many rekeys and
 * answers to strangers a peer may cause. Time is passed in.
 */

export class RateLimit {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #at = Number.NEGATIVE_INFINITY;

  /** `perSecond` in the long run, `burst` at once. */
  constructor(perSecond: number, burst: number) {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#tokens = burst;
  }

  /** Whether one more may be at `now`, ms of a clock that does not go back; then it is counted. */
  take(now: number): boolean {
    this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, now - this.#at) * this.#perMs);
    this.#at = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
