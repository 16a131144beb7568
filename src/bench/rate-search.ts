/** The highest rate at which little enough is lost: bisection, as RFC 2544 §26.1 has it, with the last word to a long run. */

/** What one run came to. */
export interface Attempt {
  /** What the sender did; less than what was asked of it when it could not. */
  readonly offered: number;
  readonly isGood: boolean;
}

const STEPS = 7;
const STEP_BACK = 0.95;
const LEAST = 0.01; // of the sender's most, where the search gives up

/**
 * Bisects below `most`, which is what the sender can do at all. `attempt` makes a short run, `confirm` a long one: it begins
 * at the highest good rate and goes down until it is good, or until the rate is so low that its badness is the answer.
 */
export const searchRate = async <T extends Pick<Attempt, "isGood">>(
  most: number,
  attempt: (rate: number) => Promise<Attempt>,
  confirm: (rate: number) => Promise<T>,
): Promise<T> => {
  let good = 0;
  let bad = most;
  for (let step = 0; step < STEPS && bad - good > 1; step++) {
    const rate = Math.round((good + bad) / 2);
    const { offered, isGood } = await attempt(rate);
    if (isGood) good = rate;
    else bad = rate;
    if (isGood && offered < rate * STEP_BACK) break; // the sender is at its end before the tunnel is
  }
  for (let rate = Math.max(good, most * LEAST); ; rate *= STEP_BACK) {
    const result = await confirm(Math.max(1, Math.round(rate)));
    if (result.isGood || rate * STEP_BACK < most * LEAST) return result;
  }
};
