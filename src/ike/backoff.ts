/** How long to wait before trying again what failed `failures` times: 1, 2, 4 ... 60 s, up to half of it less by jitter. */
import type { Turn } from "./turn.ts";

const FIRST = 1_000;
const LONGEST = 60_000;

export const backoff = (turn: Turn, failures: number): number =>
  turn.jittered(Math.min(LONGEST, FIRST * 2 ** Math.min(failures, 16)), 0.5);

const FIRST_RETRY = 5_000;
const LAST_RETRY = 600_000;
const SOONEST_RETRY = 200;
const MOST_RETRIES = 8;
const SEVERAL_MINUTES = 300_000;

/** The rekey of one SA that the peer puts off again and again (TEMPORARY_FAILURE, RFC 7296 §2.25). */
export class Postponed {
  #times = 0;
  #since = 0;

  /**
   * It is put off once more: how long to wait. What is in its way is mostly over soon; 5, 10, 20 s ... 10 min, and at most half
   * of the time that is left, up to half of it less by jitter.
   */
  next(turn: Turn, left: number): number {
    if (this.#times === 0) this.#since = turn.now;
    const wait = Math.min(FIRST_RETRY * 2 ** this.#times, LAST_RETRY, Math.max(left / 2, SOONEST_RETRY));
    this.#times = Math.min(this.#times + 1, MOST_RETRIES);
    return turn.jittered(wait, 0.5);
  }

  /** Eight tries in several minutes: what both ends know must differ, and the IKE SA is to be closed. */
  isEnough(now: number): boolean {
    return this.#times === MOST_RETRIES && now - this.#since >= SEVERAL_MINUTES;
  }
}
