/** How long to wait before trying again what failed `failures` times: 1, 2, 4 ... 60 s, up to half of it less by jitter. */
import type { Turn } from "./turn.ts";

const FIRST = 1_000;
const LONGEST = 60_000;

export const backoff = (turn: Turn, failures: number): number =>
  turn.jittered(Math.min(LONGEST, FIRST * 2 ** Math.min(failures, 16)), 0.5);

/** Waits before the first tries of a rekey that was put off, ms. */
const QUICK = [5_000, 10_000, 20_000];
const SOONEST = 200;
const MOST_TRIES = 8;
/** Later tries wait for half of the time that is left, where that is as much as this, ms. */
const LEAST_HALF = 120_000;

/** The rekey of one SA that the peer puts off again and again (TEMPORARY_FAILURE, RFC 7296 §2.25). */
export class Postponed {
  #tries = 0;

  /**
   * It is put off once more, with so much time to the hard end of the SA: how long to wait. What is in its way is mostly over
   * soon: 5, 10, 20 s, up to half of it less by jitter. From then on half of the time that is left, up to a tenth of it less,
   * while that half is two minutes or more; at most eight tries in all. Undefined: the SA serves to its hard end.
   */
  next(turn: Turn, left: number): number | undefined {
    const quick = QUICK[this.#tries];
    this.#tries++;
    if (quick !== undefined) return soon(turn, quick, left);
    return this.#tries > MOST_TRIES || left / 2 < LEAST_HALF ? undefined : turn.jittered(left / 2, 0.1);
  }
}

/** A rekey that we put off ourselves: how long to wait. */
export const shortly = (turn: Turn, left: number): number => soon(turn, QUICK[0] ?? SOONEST, left);

const soon = (turn: Turn, wait: number, left: number): number =>
  turn.jittered(Math.min(wait, Math.max(left / 2, SOONEST)), 0.5);
