/**
 * By how much a row of B is above that of A, and how likely chance alone does as much.
 *
 * Samples of one run resemble one another more than those of two runs: so two things must say that a row changed. The
 * raw samples, dealt out anew by chance, are hardly ever as far apart (`dealing.ts`; by signs where the sides were measured
 * in turns, so that samples come in pairs). And the runs are farther apart than runs of the same side are: Student's t, the
 * variance from the noise floor of the rows of both files.
 *
 * Figures are compared by their ratio, that is by their logarithms; a row with a sample of 0 by parts of A's mean.
 */
import { leastPermutationP, leastSignFlipP, permutationP, signFlipP } from "./dealing.ts";
import type { BenchResultRow } from "./result.ts";
import { mean, studentP, studentQuantile, variance } from "./statistics.ts";

export type Samples = BenchResultRow["samples"];

export interface Change {
  /** The means that are compared: geometric ones, but where a sample is 0. */
  readonly a: number;
  readonly b: number;
  /** Percent by which B is above A, and the range that it is in with 95 % confidence; null: not known. */
  readonly changePercent: number | null;
  readonly rangePercent: readonly [number, number] | null;
  /** Probability of such a change by chance. */
  readonly p: number;
  /** The least that it can be with so many samples. */
  readonly least: number;
}

/** Chance that is allowed of saying better or worse of any row when nothing changed. */
export const ALPHA = 0.05;

/** Squared distance of runs of one side and its degrees of freedom: what the noise floor tells. */
export interface Floor {
  readonly sum: number;
  readonly freedom: number;
}

export interface Surroundings {
  /** The floor of all rows of both files in this figure. */
  readonly whole: Floor;
  /** Samples were taken in turns. */
  readonly paired: boolean;
  /** That are judged together. */
  readonly figures: number;
}

/** Samples of runs on the scale that they are compared on, and back. */
interface Scaled {
  readonly runs: readonly (readonly (readonly number[])[])[];
  readonly figure: (value: number) => number;
  readonly percent: (difference: number) => number | null;
}

const isPositive = ({ runs }: Samples): boolean => runs.flat().every((value) => value > 0);

const isNothing = ({ runs }: Samples): boolean => runs.flat().every((value) => value === 0);

const withSamples = ({ runs }: Samples, by: (value: number) => number): number[][] =>
  runs.filter(({ length }) => length > 0).map((run) => run.map(by));

const scaled = (a: Samples, b: Samples): Scaled => {
  if (isPositive(a) && isPositive(b))
    return {
      runs: [a, b].map((side) => withSamples(side, Math.log)),
      figure: Math.exp,
      percent: (difference) => (Math.exp(difference) - 1) * 100,
    };
  const of = isNothing(a) ? b : a;
  const lowest = [a, b].every(({ runs }) => runs.flat().every((value) => value >= 0)) ? -100 : Number.NEGATIVE_INFINITY;
  const unit = Math.abs(mean(of.runs.flat())) || 1;
  return {
    runs: [a, b].map((side) => withSamples(side, (value) => value / unit)),
    figure: (value) => value * unit,
    percent: (difference) => (isNothing(a) && difference !== 0 ? null : Math.max(lowest, difference * 100)),
  };
};

const floorOfRuns = (runs: readonly (readonly number[])[]): Floor => {
  const means = runs.map((run) => mean(run));
  return means.length < 2
    ? { sum: 0, freedom: 0 }
    : { sum: variance(means) * (means.length - 1), freedom: means.length - 1 };
};

/** Of one side's runs; a row with a sample of 0 tells nothing of the others. */
export const floorOf = (samples: Samples): Floor =>
  isPositive(samples) ? floorOfRuns(withSamples(samples, Math.log)) : { sum: 0, freedom: 0 };

export const addFloors = (floors: readonly Floor[]): Floor =>
  floors.reduce((all, { sum, freedom }) => ({ sum: all.sum + sum, freedom: all.freedom + freedom }), {
    sum: 0,
    freedom: 0,
  });

/** How far from 0 the change may be by chance: its standard error, with the degrees of freedom that it is known with. */
interface Spread {
  readonly error: number;
  readonly freedom: number;
}

const UNKNOWN: Spread = { error: Number.POSITIVE_INFINITY, freedom: 1 };

/** Of the rows of one run many are slow when one is: as independent witnesses they count half. */
const INDEPENDENT = 0.5;

/** More degrees of freedom than these change nothing. */
const MOST_FREEDOM = 500;

const varianceOrNone = (values: readonly number[]): number => (values.length < 2 ? 0 : variance(values));

/** Sides that were not measured in turns: runs differ by the floor, a row that is noisier than the others by its own. */
const spreadOfRuns = (a: readonly (readonly number[])[], b: readonly (readonly number[])[], all: Floor): Spread => {
  const own = addFloors([floorOfRuns(a), floorOfRuns(b)]);
  const whole = all.freedom === 0 ? own : all;
  if (whole.freedom === 0) return UNKNOWN;
  const perRun = Math.max(whole.sum / whole.freedom, own.freedom === 0 ? 0 : own.sum / own.freedom);
  const within = [a, b].reduce((sum, runs) => sum + varianceOrNone(runs.flat()) / runs.flat().length, 0);
  const freedom = Math.max(1, own.freedom, Math.floor(whole.freedom * INDEPENDENT));
  return {
    error: Math.sqrt(Math.max(perRun * (1 / a.length + 1 / b.length), within)),
    freedom: Math.min(MOST_FREEDOM, freedom),
  };
};

const spreadOfPairs = (differences: readonly number[]): Spread =>
  differences.length < 2
    ? UNKNOWN
    : { error: Math.sqrt(variance(differences) / differences.length), freedom: differences.length - 1 };

/** A probability counts as often as there are figures: of so many dealings for each the least one is still half of ALPHA. */
const ROUNDS_OF_A_FIGURE = 2 / ALPHA;
const LEAST_FIGURES = 100;

/** Both sides must have samples. */
export const changeOf = (a: Samples, b: Samples, { whole, paired, figures }: Surroundings): Change => {
  const { runs, figure, percent } = scaled(a, b);
  const [runsA = [], runsB = []] = runs;
  const flatA = runsA.flat();
  const flatB = runsB.flat();
  const isPaired = paired && flatA.length === flatB.length;
  const differences = isPaired ? flatB.map((value, i) => value - flatA[i]!) : [];
  const middleOf = (side: readonly (readonly number[])[]): number =>
    isPaired ? mean(side.flat()) : mean(side.map((run) => mean(run)));
  const change = middleOf(runsB) - middleOf(runsA);
  const { error, freedom } = isPaired ? spreadOfPairs(differences) : spreadOfRuns(runsA, runsB, whole);
  const half = studentQuantile(ALPHA, freedom) * error;
  const [low, high] = [percent(change - half), percent(change + half)];
  const least = isPaired ? leastSignFlipP(differences.length) : leastPermutationP(flatA.length, flatB.length);
  const byFloor = error === 0 ? (change === 0 ? 1 : 0) : studentP(change / error, freedom);
  const dealing = { rounds: ROUNDS_OF_A_FIGURE * Math.max(LEAST_FIGURES, figures) };
  const byDealing = (): number => (isPaired ? signFlipP(differences, dealing) : permutationP(flatA, flatB, dealing));
  return {
    a: figure(middleOf(runsA)),
    b: figure(middleOf(runsB)),
    changePercent: percent(change),
    rangePercent: Number.isFinite(half) && low !== null && high !== null ? [low, high] : null,
    ...(isCollapse(a, b)
      ? { p: 0, least: 0 }
      : { p: byFloor > ALPHA ? byFloor : Math.max(byFloor, byDealing()), least }),
  };
};

/** Where more is better, nothing at all beside something every time is no work of chance, however few the samples. */
const isCollapse = (a: Samples, b: Samples): boolean =>
  a.better === "more" && ((isNothing(a) && isPositive(b)) || (isPositive(a) && isNothing(b)));
