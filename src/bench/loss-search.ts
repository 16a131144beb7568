/**
 * The highest rates at which no more than given shares of packets are lost: NDR (none) and PDR (0.5 %), by search.
 *
 * RFC 2544 §26.1 bisects, with trials of one length, for one share. Here, after the idea of MLRsearch
 * (draft-ietf-bmwg-mlrsearch), all goals use each other's trials: first short ones, which bracket each goal, then long ones,
 * the word of which counts. A trial that fails may be a moment of somebody else on the machine: the upper end of a bracket
 * is tried twice, and a rate is given up when most of its long trials failed. RFC 8219 §5.2 asks for the same of tunnels.
 */

export interface LossGoal {
  readonly name: string;
  /** Greatest loss, in percent. */
  readonly lossPercent: number;
}

export const NDR: LossGoal = { name: "NDR", lossPercent: 0 };
export const PDR: LossGoal = { name: "PDR", lossPercent: 0.5 };

/** What one run at a rate came to. */
export interface Tried {
  /** Packets a second that were sent: fewer than asked for where the sender is at its end. */
  readonly offered: number;
  readonly lossPercent: number;
}

export interface LossTrial extends Tried {
  /** Packets a second that were asked for. */
  readonly rate: number;
  readonly seconds: number;
  /** Name of the goal that it was made for. */
  readonly goal: string;
}

export interface LossRate<T extends Tried> {
  readonly goal: LossGoal;
  /** Packets a second; 0: not even the lowest rate was good; null: not found within the limit of the search. */
  readonly rate: number | null;
  /** The sender could not do more: the tunnel may. */
  readonly isSendersLimit: boolean;
  /** The last long run that was good at this rate; undefined where there is none. */
  readonly run: T | undefined;
}

export interface LossSearch {
  /** The most that the sender can do, packets a second. */
  readonly most: number;
  /** Where the search gives up. */
  readonly least: number;
  readonly goals: readonly LossGoal[];
  /** Seconds of short and long trials. */
  readonly short: number;
  readonly long: number;
  /** Seconds of all trials, at most. */
  readonly limit: number;
  /** Stop when the bracket is narrower than this share of its upper end. */
  readonly precision: number;
  /** Long trials of a rate: more than half must be good. */
  readonly repeats: number;
}

export type Measure<T extends Tried> = (rate: number, seconds: number) => Promise<T>;

/** A sender that reaches less of what was asked of it is at its end. */
const AT_END = 0.97;
/** After a long trial failed: by which part the next rate is lower; twice that after each further one. */
const STEP_BACK = 0.04;
const LONGEST_STEP = 0.5;
/** Long trials that are so far below the rate that failed last, as a part of it, go up again. */
const COARSE = 0.05;

export const searchLossRates = async <T extends Tried>(
  search: LossSearch,
  measure: Measure<T>,
): Promise<{ readonly rates: readonly LossRate<T>[]; readonly trials: readonly LossTrial[] }> => {
  const trials = new Trials(search, measure);
  const rates: LossRate<T>[] = [];
  // The goal that allows most first: its rates bracket those that allow less.
  const order = search.goals.toSorted((a, b) => b.lossPercent - a.lossPercent);
  for (const [i, goal] of order.entries()) {
    trials.limit = (search.limit * (i + 1)) / order.length; // what one goal leaves is the next one's
    rates.push(await searchGoal(search, goal, trials));
  }
  // What loses no more than a stricter goal allows is good for this one too, whatever its own trials met with.
  const best = (goal: LossGoal): LossRate<T> => {
    const [first] = rates
      .filter((rate) => rate.goal.lossPercent <= goal.lossPercent)
      .sort((a, b) => (b.rate ?? -1) - (a.rate ?? -1));
    return { ...first!, goal };
  };
  return { rates: search.goals.map(best), trials: trials.all.map(({ trial }) => trial) };
};

const isGoodFor = (goal: LossGoal, { lossPercent }: Tried): boolean => lossPercent <= goal.lossPercent;
const isAtEnd = ({ offered, rate }: LossTrial): boolean => offered < rate * AT_END;

class Trials<T extends Tried> {
  readonly all: { readonly trial: LossTrial; readonly run: T }[] = [];
  /** Seconds that all of them may have taken by now. */
  limit = 0;
  readonly #search: LossSearch;
  readonly #measure: Measure<T>;
  #spent = 0;

  constructor(search: LossSearch, measure: Measure<T>) {
    this.#search = search;
    this.#measure = measure;
  }

  /** Undefined when there is no time left, `reserve` seconds aside. */
  async next(goal: LossGoal, rate: number, seconds: number, reserve = 0): Promise<LossTrial | undefined> {
    if (this.#spent + seconds + reserve > this.limit) return undefined;
    this.#spent += seconds;
    const run = await this.#measure(rate, seconds);
    const trial = { rate, offered: run.offered, seconds, lossPercent: run.lossPercent, goal: goal.name };
    this.all.push({ trial, run });
    return trial;
  }

  /**
   * The lowest rate at which more trials failed than not, by how many, and the highest below it at which not; without any
   * the most that the sender can do, and 0.
   */
  bracket(goal: LossGoal): { readonly good: number; readonly bad: number; readonly against: number } {
    const votes = new Map<number, number>();
    for (const { trial } of this.all)
      votes.set(trial.rate, (votes.get(trial.rate) ?? 0) + (isGoodFor(goal, trial) ? 1 : -1));
    const rates = [...votes];
    const bad = Math.min(this.#search.most, ...rates.flatMap(([rate, vote]) => (vote < 0 ? [rate] : [])));
    const good = Math.max(0, ...rates.flatMap(([rate, vote]) => (vote >= 0 && rate < bad ? [rate] : [])));
    return { good, bad, against: Math.max(0, -(votes.get(bad) ?? 0)) };
  }

  /** Long trials until most are good, and the last of them is the answer, or most are not; undefined: no time left. */
  async confirm(goal: LossGoal, rate: number): Promise<T | "failed" | undefined> {
    const { long, repeats } = this.#search;
    for (;;) {
      const made = this.all.filter(({ trial }) => trial.rate === rate && trial.seconds === long);
      const passed = made.filter(({ trial }) => isGoodFor(goal, trial));
      if (passed.length * 2 > repeats) return passed.at(-1)!.run;
      if ((made.length - passed.length) * 2 >= repeats) return "failed";
      if ((await this.next(goal, rate, long)) === undefined) return undefined;
    }
  }
}

interface Bracket {
  readonly good: number;
  readonly bad: number;
  readonly isSendersLimit: boolean;
  /** There was no time to make it narrow. */
  readonly isCut: boolean;
}

/** Where the long trials begin and what is above it, by short ones. */
const narrow = async <T extends Tried>(
  { most, least, short, long, repeats, precision }: LossSearch,
  goal: LossGoal,
  trials: Trials<T>,
): Promise<Bracket> => {
  for (;;) {
    const { good, bad, against } = trials.bracket(goal);
    const isNarrow = bad - good <= Math.max(1, bad * precision) || bad <= least;
    // One that failed once may have met with somebody else.
    if (isNarrow && against !== 1) return { good, bad, isSendersLimit: bad === most && against === 0, isCut: false };
    const trial = await trials.next(goal, isNarrow ? bad : Math.round((good + bad) / 2), short, repeats * long);
    if (trial === undefined) return { good, bad, isSendersLimit: false, isCut: true };
    if (isGoodFor(goal, trial) && isAtEnd(trial))
      return { good: Math.round(trial.offered), bad, isSendersLimit: true, isCut: false };
  }
};

const searchGoal = async <T extends Tried>(
  search: LossSearch,
  goal: LossGoal,
  trials: Trials<T>,
): Promise<LossRate<T>> => {
  const { good, bad, isSendersLimit, isCut } = await narrow(search, goal, trials);
  let failed = bad;
  let found: LossRate<T> = { goal, rate: isCut ? null : 0, isSendersLimit: false, run: undefined };
  let step = STEP_BACK;
  for (let rate = good; rate >= search.least && found.run === undefined; step = Math.min(LONGEST_STEP, 2 * step)) {
    const run = await trials.confirm(goal, rate);
    if (run === undefined) return { ...found, rate: null };
    if (run !== "failed") found = { goal, rate, isSendersLimit: isSendersLimit && rate === good, run };
    else {
      failed = rate;
      rate = Math.floor(rate * (1 - step));
    }
  }
  while (found.run !== undefined && (isCut || failed < good) && failed - found.rate! > Math.max(1, failed * COARSE)) {
    const rate = Math.round((found.rate! + failed) / 2);
    const run = await trials.confirm(goal, rate);
    if (run === undefined) break;
    if (run === "failed") failed = rate;
    else found = { goal, rate, isSendersLimit: false, run };
  }
  return found;
};
