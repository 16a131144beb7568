/**
 * The highest rates at which no more than given shares of packets are lost: NDR (none) and PDR (0.5 %), by search.
 *
 * RFC 2544 §26.1 bisects, with trials of one length, for one share. Here, after the idea of MLRsearch
 * (draft-ietf-bmwg-mlrsearch), all goals use each other's trials: first short ones, which bracket each goal, then long ones,
 * the word of which counts. A long trial that fails may be a moment of somebody else on the machine: a rate is given up
 * when most of its long trials failed. RFC 8219 §5.2 asks for the same of tunnels.
 */

export interface LossGoal {
  readonly name: string;
  /** Greatest loss, in percent. */
  readonly lossPercent: number;
}

export const NDR: LossGoal = { name: "NDR", lossPercent: 0 };
export const PDR: LossGoal = { name: "PDR", lossPercent: 0.5 };

/** One run at a rate. */
export interface LossTrial {
  /** Packets a second that were asked for. */
  readonly rate: number;
  /** That were sent: fewer where the sender is at its end. */
  readonly offered: number;
  readonly seconds: number;
  readonly lossPercent: number;
  /** Name of the goal that it was made for. */
  readonly goal: string;
}

export interface LossRate {
  readonly goal: LossGoal;
  /** Packets a second; 0 when not even the lowest rate was good. */
  readonly rate: number;
  /** The sender could not do more: the tunnel may. */
  readonly isSendersLimit: boolean;
}

export interface LossSearch {
  /** A rate that is surely too high, packets a second. */
  readonly most: number;
  /** Where the search gives up. */
  readonly least: number;
  readonly goals: readonly LossGoal[];
  /** Seconds of short and long trials. */
  readonly short: number;
  readonly long: number;
  /** Stop when the bracket is narrower than this share of its upper end. */
  readonly precision: number;
  /** Long trials of a rate: more than half must be good. */
  readonly repeats: number;
}

type Measure = (rate: number, seconds: number) => Promise<{ readonly offered: number; readonly lossPercent: number }>;

/** A sender that reaches less of what was asked of it is at its end. */
const AT_END = 0.97;
/** After a long trial failed: how far down the next one is. */
const STEP_BACK = 0.96;

export const searchLossRates = async (
  search: LossSearch,
  measure: Measure,
): Promise<{ readonly rates: readonly LossRate[]; readonly trials: readonly LossTrial[] }> => {
  const trials: LossTrial[] = [];
  const rates: LossRate[] = [];
  // The goal that allows most first: its rates bracket those that allow less.
  for (const goal of search.goals.toSorted((a, b) => b.lossPercent - a.lossPercent))
    rates.push(await searchGoal(search, goal, trials, measure));
  // What loses no more than a stricter goal allows is good for this one too, whatever its own trials met with.
  const best = (goal: LossGoal): LossRate => {
    const [first] = rates.filter((rate) => rate.goal.lossPercent <= goal.lossPercent).sort((a, b) => b.rate - a.rate);
    return { ...first!, goal };
  };
  return { rates: search.goals.map(best), trials };
};

const searchGoal = async (
  { most, least, short, long, precision, repeats }: LossSearch,
  goal: LossGoal,
  trials: LossTrial[],
  measure: Measure,
): Promise<LossRate> => {
  const isGood = ({ lossPercent }: LossTrial): boolean => lossPercent <= goal.lossPercent;
  const run = async (rate: number, seconds: number): Promise<LossTrial> => {
    const trial = { rate, seconds, goal: goal.name, ...(await measure(rate, seconds)) };
    trials.push(trial);
    return trial;
  };
  const isAtEnd = ({ offered, rate }: LossTrial): boolean => offered < rate * AT_END;

  // What is known already brackets it: the highest good rate that has no worse one below it.
  const worst = Math.min(most, ...trials.filter((trial) => !isGood(trial)).map(({ rate }) => rate));
  let bad = worst;
  let good = Math.max(0, ...trials.filter((trial) => isGood(trial) && trial.rate < bad).map(({ rate }) => rate));
  let sendersLimit = false;
  while (bad - good > bad * precision && bad > least) {
    const trial = await run(Math.round((good + bad) / 2), short);
    if (!isGood(trial)) bad = trial.rate;
    else {
      good = isAtEnd(trial) ? Math.round(trial.offered) : trial.rate;
      sendersLimit = isAtEnd(trial);
      if (sendersLimit) break;
    }
  }
  for (let rate = Math.round(good); rate >= least; rate = Math.round(rate * STEP_BACK)) {
    let passed = 0;
    let failed = 0;
    while (passed * 2 <= repeats && failed * 2 < repeats) {
      if (isGood(await run(rate, long))) passed++;
      else failed++;
    }
    if (passed * 2 > repeats) return { goal, rate, isSendersLimit: sendersLimit };
    sendersLimit = false;
  }
  return { goal, rate: 0, isSendersLimit: false };
};
