/**
 * Which of the measured settings to take. A finalist's score comes of the finals alone, since its first sample chose it and
 * so flatters it, and of whole rounds, since what a round met all finalists of it met. Of those that are not told apart from
 * the best one by that, and not much below it, the cheapest is chosen: fewer workers, less waiting with open eyes.
 */
import { mean, median, studentQuantile } from "./statistics.ts";
import { type Candidate, priceOf, type TuneSpace } from "./tune-space.ts";

export interface TuneSample {
  /** 10^9 bits of payload a second. */
  readonly gbps: number;
  /** Share of packets that were lost, or sent again; and that came late. */
  readonly lostShare: number;
  readonly lateShare: number;
  /** Processors that the gateways kept busy; null: not known. */
  readonly cores: number | null;
}

/** What was found of some settings. */
export interface TuneFound {
  readonly candidate: Candidate;
  /** The first one of the screening, then one of each round of the finals. */
  readonly samples: readonly TuneSample[];
  /** Why they could not be measured, or not any more; null: they could. */
  readonly failed: string | null;
}

export interface TuneMeasured extends TuneFound {
  /** Of each sample: Gbit/s, less what loss and disorder take. */
  readonly scores: readonly number[];
  /** Those that count: of a finalist whole rounds of the finals, if there are any; else all. None of what failed. */
  readonly counted: readonly number[];
  /** Their median; 0 of what failed. */
  readonly score: number;
  /** Medians of the samples that count; null of what failed. */
  readonly typical: TuneSample | null;
  readonly isFinalist: boolean;
}

export interface TuneChoice {
  readonly best: TuneMeasured;
  /** Finalists, then what was measured once, then what failed; the best of each first. */
  readonly measured: readonly TuneMeasured[];
  /**
   * Share by which two finalists must differ to be told apart, 19 times of 20, by how much they differ from round to round;
   * null: not known, with fewer than two finalists or two whole rounds.
   */
  readonly noise: number | null;
}

/** What a lost or late packet costs beside itself: a sender of TCP slows down for it. */
const LOSS_WEIGHT = 10;
const LATE_WEIGHT = 5;

/** A share that is not worth a dearer setting. */
export const WORTHLESS = 0.01;
/** A share that is not given up for a cheaper one, whatever the noise. */
const WORTHY = 0.02;
/** Chance that two are told apart that do not differ. */
const MISTAKEN = 0.05;
/** Of three values and more the median errs by a quarter more than the mean, as normal ones go. */
const OF_MEDIAN = 1.25;

export const scoreOf = ({ gbps, lostShare, lateShare }: TuneSample): number =>
  gbps * Math.max(0, 1 - LOSS_WEIGHT * lostShare) * Math.max(0, 1 - LATE_WEIGHT * lateShare);

/** By the first sample of each, the best first, without what failed. */
export const screened = <T extends TuneFound>(found: Iterable<T>): T[] =>
  [...found]
    .filter(({ failed }) => failed === null)
    .sort((a, b) => scoreOf(b.samples[0]!) - scoreOf(a.samples[0]!) || b.samples[0]!.gbps - a.samples[0]!.gbps);

/** At least one must not have failed. `names`: the finalists. */
export const chosenOf = (
  found: Iterable<TuneFound>,
  finalists: ReadonlySet<Candidate>,
  space: TuneSpace,
): TuneChoice => {
  const all = [...found].map((each) => ({
    ...each,
    scores: each.samples.map(scoreOf),
    isFinalist: finalists.has(each.candidate),
  }));
  const able = all.filter(({ isFinalist, failed }) => isFinalist && failed === null);
  const rounds = Math.min(...able.map(({ samples }) => samples.length - 1));
  const measured = all
    .map((each) => {
      const inRounds = each.isFinalist && rounds > 0;
      const count = <T>(of: readonly T[]): readonly T[] =>
        each.failed !== null ? [] : inRounds ? of.slice(1, 1 + rounds) : of;
      const counted = count(each.scores);
      return {
        ...each,
        counted,
        score: counted.length === 0 ? 0 : median(counted),
        typical: typicalOf(count(each.samples)),
      };
    })
    .sort((a, b) => rankOf(a) - rankOf(b) || b.score - a.score || gbpsOf(b) - gbpsOf(a));
  const top = measured[0]!;
  const noise = noiseOf(able.map(({ scores }) => scores.slice(1, 1 + rounds)));
  const tolerance = Math.min(WORTHY, Math.max(WORTHLESS, noise ?? 0));
  const best = measured
    .filter((each) => rankOf(each) === rankOf(top) && each.score > 0 && each.score >= top.score * (1 - tolerance))
    .reduce((least, each) => (priceOf(each.candidate, space) < priceOf(least.candidate, space) ? each : least), top);
  return { best, measured, noise };
};

const typicalOf = (samples: readonly TuneSample[]): TuneSample | null => {
  if (samples.length === 0) return null;
  const cores = samples.flatMap((sample) => sample.cores ?? []);
  return {
    gbps: median(samples.map(({ gbps }) => gbps)),
    lostShare: median(samples.map(({ lostShare }) => lostShare)),
    lateShare: median(samples.map(({ lateShare }) => lateShare)),
    cores: cores.length < samples.length ? null : median(cores),
  };
};

const rankOf = ({ failed, isFinalist }: TuneMeasured): number => (failed !== null ? 2 : isFinalist ? 0 : 1);

const gbpsOf = ({ samples }: TuneMeasured): number => samples[0]?.gbps ?? 0;

/**
 * Of finalists their scores of whole rounds, to the share that a difference of two must have. What differs from the mean of
 * its finalist and from that of its round is chance.
 */
const noiseOf = (scores: readonly (readonly number[])[]): number | null => {
  const rounds = scores[0]?.length ?? 0;
  const all = mean(scores.flat());
  if (scores.length < 2 || rounds < 2 || !(all > 0)) return null;
  const ofRound = Array.from({ length: rounds }, (_, round) => mean(scores.map((of) => of[round]!)));
  const squares = scores.flatMap((of) => of.map((score, round) => (score - mean(of) - ofRound[round]! + all) ** 2));
  const freedom = (scores.length - 1) * (rounds - 1);
  const deviation = Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / freedom) / all;
  return studentQuantile(MISTAKEN, freedom) * deviation * Math.sqrt(2 / rounds) * (rounds > 2 ? OF_MEDIAN : 1);
};
