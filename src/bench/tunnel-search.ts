/** What a tunnel carries without loss, or with so much, where `espalier bench tunnel` is asked for it. */
import type { Measured } from "./carried.ts";
import { type LossGoal, type LossTrial, NDR, PDR, searchLossRates } from "./loss-search.ts";
import type { TunnelSettings } from "./tunnel-options.ts";

/** Seconds of traffic before that which counts. */
export const WARM_UP = 1;
/** Of what the sender can do, the part at which the search gives up. */
const LEAST_SHARE = 0.005;
/** Seconds of its short trials. */
const SHORT = 1;
/** Seconds of all its trials, at most: so many, and so many times the seconds of a long one. */
const LIMIT = { seconds: 16, times: 7 };
/** Long trials of a rate, of which most must be good. */
const REPEATS = 3;
const PRECISION = 0.03;

export interface SearchedRates {
  /** The rate that the row is about: that of the PDR, or with the loss that was allowed; where none was good the lowest. */
  readonly rate: number;
  /** The last long trial that was good at this rate. */
  readonly run: Measured | undefined;
  /** Null: not searched, or not found in the time there was. */
  readonly ndrPps: number | null;
  readonly pdrPps: number | null;
  /** Figures that are the sender's limit, and not the tunnel's. */
  readonly atLeast: readonly string[];
  readonly trials: readonly LossTrial[];
}

/** Goals; the row is about the first. */
const goalsOf = ({ ndr, maxLoss }: TunnelSettings): readonly LossGoal[] =>
  ndr ? [PDR, NDR] : maxLoss === undefined ? [] : [{ name: `${maxLoss} %`, lossPercent: maxLoss }];

/** Undefined where nothing is to be searched. `run`: so many seconds of datagrams at this rate. */
export const searchRates = async (
  settings: TunnelSettings,
  run: (seconds: number, rate: number | undefined) => Promise<Measured>,
): Promise<SearchedRates | undefined> => {
  const goals = goalsOf(settings);
  if (goals.length === 0) return undefined;
  const long = settings.seconds;
  const warm = await run(WARM_UP, undefined);
  const most = Math.max(1, Math.round((warm.offered ?? 0) / warm.seconds));
  const least = Math.max(1, Math.round(most * LEAST_SHARE));
  const limit = LIMIT.seconds + LIMIT.times * long;
  const { rates, trials } = await searchLossRates(
    { most, least, goals, short: SHORT, long, limit, precision: PRECISION, repeats: REPEATS },
    async (rate, seconds) => {
      const measured = await run(seconds, rate);
      const { offered, lossPercent } = measured;
      return { offered: (offered ?? 0) / measured.seconds, lossPercent: lossPercent ?? 0, measured };
    },
  );
  const named = new Map([
    ["pps", rates[0]],
    ["ndrPps", rates.find(({ goal }) => goal === NDR)],
    ["pdrPps", rates.find(({ goal }) => goal === PDR)],
  ]);
  return {
    rate: Math.max(least, rates[0]?.rate ?? 0),
    run: rates[0]?.run?.measured,
    ndrPps: named.get("ndrPps")?.rate ?? null,
    pdrPps: named.get("pdrPps")?.rate ?? null,
    atLeast: [...named].flatMap(([name, found]) => (found?.isSendersLimit === true ? [name] : [])),
    trials,
  };
};
