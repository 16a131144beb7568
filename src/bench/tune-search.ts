/**
 * The best of many settings, within a budget of time: screens, then finalists.
 *
 * Screening measures each settings once, and looks first where the most is to be had: it begins with what is configured,
 * takes one setting after the other, of each the best value so far, and then goes from the best ones to those that differ
 * from them in one thing, until none of them is new. The finalists,
 * the best few, are then measured in turns for the rest of the time, so that a drift of the machine hits all of them. Of
 * those that are within the noise of the best the cheapest is chosen: fewer workers, less waiting with open eyes.
 */
import { mean, median, quantile } from "./statistics.ts";

/** Names of settings and their values. */
export type Candidate = Readonly<Record<string, string | number>>;

export interface TuneSample {
  /** 10^9 bits of payload a second. */
  readonly gbps: number;
  /** Share of packets that were lost, or sent again; and that came late. */
  readonly lostShare: number;
  readonly lateShare: number;
  /** Processors that the gateways kept busy. */
  readonly cores: number;
}

export interface TuneMeasured {
  readonly candidate: Candidate;
  readonly samples: readonly TuneSample[];
  /** Of each sample: Gbit/s, less what loss and disorder take. */
  readonly scores: readonly number[];
  /** Their median. */
  readonly score: number;
  readonly isFinalist: boolean;
}

export interface TuneOutcome {
  readonly best: TuneMeasured;
  /** Best first. */
  readonly measured: readonly TuneMeasured[];
  /** Share by which samples of the same settings differ: less is no difference. */
  readonly noise: number;
  /** All settings were measured, or it ended because the time was over, or because it was told to. */
  readonly ended: "all" | "budget" | "stopped";
}

export interface TuneSpace {
  /** Of each setting its values, the cheapest first; the settings that decide the most first. */
  readonly values: Readonly<Record<string, readonly (string | number)[]>>;
  /** Where to begin. */
  readonly start: Candidate;
  /** Settings in the order in which they make a gateway dear; default: that of `values`. */
  readonly dearest?: readonly string[];
  /** Combinations that make no sense are false. */
  readonly isPossible?: (candidate: Candidate) => boolean;
}

export interface TuneBudget {
  /** ms on any clock. */
  readonly now: () => number;
  readonly ms: number;
  /** Aborted: end with what there is. */
  readonly signal?: AbortSignal;
  /** Measure all settings, not those alone that the search leads to. */
  readonly isExhaustive?: boolean;
  readonly onProgress?: (share: number, what: string) => void;
}

/** What a lost or late packet costs beside itself: a sender of TCP slows down for it. */
const LOSS_WEIGHT = 10;
const LATE_WEIGHT = 5;
const FINALISTS = 3;
const ROUNDS = 5;
/** Of the time, for screening. */
const SCREENING = 0.6;
/** Noise is thought to be no less. */
const LEAST_NOISE = 0.01;

export const scoreOf = ({ gbps, lostShare, lateShare }: TuneSample): number =>
  gbps * Math.max(0, 1 - LOSS_WEIGHT * lostShare) * Math.max(0, 1 - LATE_WEIGHT * lateShare);

const keyOf = (candidate: Candidate): string => JSON.stringify(Object.entries(candidate).sort());

/** All combinations. */
export const allCandidates = ({ values, isPossible = () => true }: TuneSpace): Candidate[] =>
  Object.entries(values)
    .reduce<Candidate[]>(
      (candidates, [name, of]) =>
        candidates.flatMap((candidate) => of.map((value) => ({ ...candidate, [name]: value }))),
      [{}],
    )
    .filter(isPossible);

/** With each value of one setting. */
const variantsOf = (candidate: Candidate, name: string, { values, isPossible = () => true }: TuneSpace): Candidate[] =>
  (values[name] ?? []).map((value) => ({ ...candidate, [name]: value })).filter(isPossible);

/** That differ from it in one setting: those of the setting that is named first, first. */
const neighboursOf = (candidate: Candidate, space: TuneSpace): Candidate[] =>
  Object.keys(space.values).flatMap((name) => variantsOf(candidate, name, space));

/** Throws what `measure` throws when it is the first; later, and when it was told to stop, what there is is the outcome. */
export const searchSettings = async (
  space: TuneSpace,
  budget: TuneBudget,
  measure: (candidate: Candidate) => Promise<TuneSample>,
): Promise<TuneOutcome> => {
  const begin = budget.now();
  const spent = (): number => budget.now() - begin;
  const known = new Map<string, { readonly candidate: Candidate; readonly samples: TuneSample[] }>();
  let longest = 0;
  let stopped = false;

  const isAborted = (): boolean => budget.signal?.aborted ?? false;
  /** False when there is no time for one more. */
  const sample = async (candidate: Candidate, until: number, what: string): Promise<boolean> => {
    if (stopped || isAborted() || (known.size > 0 && spent() + longest > until)) return false;
    budget.onProgress?.(spent() / budget.ms, what);
    const from = budget.now();
    try {
      const found = await measure(candidate);
      const entry = known.get(keyOf(candidate)) ?? { candidate, samples: [] };
      entry.samples.push(found);
      known.set(keyOf(candidate), entry);
    } catch (error) {
      if (!isAborted() || known.size === 0) throw error;
      stopped = true;
      return false;
    }
    longest = Math.max(longest, budget.now() - from);
    return true;
  };
  const ranked = () =>
    [...known.values()]
      .map(({ candidate, samples }) => {
        const scores = samples.map(scoreOf);
        return { candidate, samples, scores, score: median(scores) };
      })
      .sort((a, b) => b.score - a.score);

  // Screening.
  const screenUntil = budget.isExhaustive === true ? budget.ms : budget.ms * SCREENING;
  let isComplete = await sample(space.start, screenUntil, wordsOf(space.start));
  if (budget.isExhaustive === true) {
    for (const candidate of allCandidates(space))
      if (!known.has(keyOf(candidate)) && !(await sample(candidate, screenUntil, wordsOf(candidate))))
        isComplete = false;
  } else {
    for (const name of Object.keys(space.values))
      for (const candidate of variantsOf(ranked()[0]?.candidate ?? space.start, name, space))
        if (!known.has(keyOf(candidate)) && !(await sample(candidate, screenUntil, wordsOf(candidate))))
          isComplete = false;
    for (let visited = new Set<string>(); isComplete; ) {
      const from = ranked()
        .slice(0, FINALISTS)
        .find(({ candidate }) => !visited.has(keyOf(candidate)));
      if (from === undefined) break;
      visited = visited.add(keyOf(from.candidate));
      for (const candidate of neighboursOf(from.candidate, space)) {
        if (known.has(keyOf(candidate))) continue;
        if (!(await sample(candidate, screenUntil, wordsOf(candidate)))) isComplete = false;
      }
    }
  }

  // Finalists, in turns: the first round again and again.
  const finalists = ranked()
    .slice(0, FINALISTS)
    .map(({ candidate }) => candidate);
  let rounds = 0;
  for (let going = true; going && rounds < ROUNDS; rounds++)
    for (const candidate of rounds % 2 === 0 ? finalists : finalists.toReversed())
      going &&= await sample(candidate, budget.ms, `finals, round ${rounds + 1}: ${wordsOf(candidate)}`);

  const names = new Set(finalists.map(keyOf));
  const measured = ranked().map((each) => ({ ...each, isFinalist: names.has(keyOf(each.candidate)) }));
  const noise = noiseOf(measured.filter(({ isFinalist }) => isFinalist).map(({ scores }) => scores));
  stopped ||= isAborted();
  return {
    best: cheapest(measured, noise, space),
    measured,
    noise,
    ended: stopped ? "stopped" : isComplete && rounds === ROUNDS ? "all" : "budget",
  };
};

/** The standard error of a median of theirs, in parts of it. */
const noiseOf = (scores: readonly (readonly number[])[]): number => {
  const spreads = scores
    .filter(({ length }) => length > 1)
    .map((of) => (quantile(of, 0.75) - quantile(of, 0.25)) / median(of) / Math.sqrt(of.length));
  return spreads.length === 0 ? LEAST_NOISE : Math.max(LEAST_NOISE, mean(spreads));
};

/** Of the finalists that are within the noise of the best one, the one whose settings come first in the space. */
const cheapest = (measured: readonly TuneMeasured[], noise: number, { values, dearest }: TuneSpace): TuneMeasured => {
  const finalists = measured.filter(({ isFinalist }) => isFinalist);
  const near = finalists.filter(({ score }) => score >= finalists[0]!.score * (1 - noise));
  const price = ({ candidate }: TuneMeasured): number =>
    (dearest ?? Object.keys(values)).reduce((sum, name) => {
      const of = values[name] ?? [];
      return sum * of.length + of.indexOf(candidate[name]!);
    }, 0);
  return near.reduce((least, each) => (price(each) < price(least) ? each : least));
};

const wordsOf = (candidate: Candidate): string =>
  Object.entries(candidate)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");
