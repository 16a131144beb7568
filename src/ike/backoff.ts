/** How long to wait before trying again what failed `failures` times: 1, 2, 4 ... 60 s, up to half of it less by jitter. */
import type { Turn } from "./turn.ts";

const FIRST = 1_000;
const LONGEST = 60_000;

export const backoff = (turn: Turn, failures: number): number =>
  turn.jittered(Math.min(LONGEST, FIRST * 2 ** Math.min(failures, 16)), 0.5);

const FIRST_RETRY = 5_000;
const LAST_RETRY = 600_000;

/**
 * How long to wait with a rekey that the peer has put off `times` times before (TEMPORARY_FAILURE, RFC 7296 §2.25): what is in
 * its way is mostly over soon; 5, 10, 20 s ... 10 min, and at most half of the time that is left, up to half of it less by jitter.
 */
export const postponement = (turn: Turn, times: number, left: number): number => {
  const wait = Math.min(FIRST_RETRY * 2 ** Math.min(times, 16), LAST_RETRY, Math.max(left / 2, FIRST_RETRY));
  return turn.jittered(wait, 0.5);
};
