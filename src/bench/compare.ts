/**
 * Did it get better or worse, or is it noise? Rows of two results that measured the same are held against each other.
 *
 * Samples of one run resemble one another more than those of two runs: so two things must say that a row changed. The
 * raw samples, dealt out anew by chance, are hardly ever as far apart (permutation; by signs where the sides were measured
 * in turns, so that samples come in pairs). And the runs are farther apart than runs of the same side are (Student's t,
 * the variance from the noise floor of the rows of both files). Of many rows some would look changed by chance: their
 * probabilities are corrected for that (Holm), so that all rows together raise a false alarm once in twenty times.
 */
import { EspalierError } from "../errors.ts";
import type { BenchResult, BenchResultRow } from "./result.ts";
import { mean, median, permutationP, signFlipP, studentP, studentQuantile, variance } from "./statistics.ts";

export const VERDICTS = ["better", "worse", "noise"] as const;
export type CompareVerdict = (typeof VERDICTS)[number];

export interface ComparedRow {
  readonly what: BenchResultRow["what"];
  readonly metric: string;
  readonly unit: string;
  /** Medians of all runs of each side. */
  readonly a: number;
  readonly b: number;
  /** Percent by which B is above A, and the range that it is in with 95 % confidence; null: not known. */
  readonly changePercent: number;
  readonly rangePercent: readonly [number, number] | null;
  readonly verdict: CompareVerdict;
  /** Probability of such a change by chance, corrected for the number of rows. */
  readonly p: number;
}

export interface Comparison {
  readonly kind: BenchResult["kind"];
  readonly rows: readonly ComparedRow[];
  /** Rows of A or B that the other has not. */
  readonly onlyA: number;
  readonly onlyB: number;
  /** Samples were taken in turns. */
  readonly paired: boolean;
  /** What makes the comparison doubtful. */
  readonly doubts: readonly string[];
}

/** Chance that is allowed of saying better or worse of any row when nothing changed. */
export const ALPHA = 0.05;

const keyOf = ({ what, samples }: BenchResultRow): string =>
  JSON.stringify([Object.entries(what).sort(([a], [b]) => (a < b ? -1 : 1)), samples.metric]);

/** Rows of A with their rows of B: of equal ones the first with the first. */
const pairsOf = (a: BenchResult, b: BenchResult): (readonly [BenchResultRow, BenchResultRow])[] => {
  const others = new Map<string, BenchResultRow[]>();
  for (const row of b.rows) {
    const key = keyOf(row);
    others.set(key, [...(others.get(key) ?? []), row]);
  }
  return a.rows.flatMap((row) => {
    const other = others.get(keyOf(row))?.shift();
    return other === undefined ? [] : [[row, other] as const];
  });
};

const logs = (row: BenchResultRow): number[][] =>
  row.samples.runs
    .map((run) => run.filter((value) => value > 0).map((value) => Math.log(value)))
    .filter(({ length }) => length > 0);

/** Squared distance of runs of one side and its degrees of freedom: what the noise floor tells. */
interface Floor {
  readonly sum: number;
  readonly freedom: number;
}

const floorOf = (runs: readonly (readonly number[])[]): Floor => {
  const means = runs.map((run) => mean(run));
  return means.length < 2
    ? { sum: 0, freedom: 0 }
    : { sum: variance(means) * (means.length - 1), freedom: means.length - 1 };
};

const addFloors = (floors: readonly Floor[]): Floor =>
  floors.reduce((all, { sum, freedom }) => ({ sum: all.sum + sum, freedom: all.freedom + freedom }), {
    sum: 0,
    freedom: 0,
  });

interface Found {
  readonly row: Omit<ComparedRow, "verdict" | "p">;
  readonly isMoreBetter: boolean;
  readonly p: number;
}

const percent = (log: number): number => (Math.exp(log) - 1) * 100;

/** How far from 0 the change may be by chance: its standard error, with the degrees of freedom that it is known with. */
interface Spread {
  readonly error: number;
  readonly freedom: number;
}

/** Of the rows of one run many are slow when one is: as independent witnesses they count half. */
const INDEPENDENT = 0.5;

/** Sides that were not measured in turns: runs differ by the floor, a row that is noisier than the others by its own. */
const spreadOfRuns = (a: readonly (readonly number[])[], b: readonly (readonly number[])[], whole: Floor): Spread => {
  const own = addFloors([floorOf(a), floorOf(b)]);
  if (whole.freedom === 0) return { error: Number.POSITIVE_INFINITY, freedom: 1 };
  const perRun = Math.max(whole.sum / whole.freedom, own.freedom === 0 ? 0 : own.sum / own.freedom);
  const within = [a, b].reduce((sum, runs) => sum + varianceOrNone(runs.flat()) / runs.flat().length, 0);
  return {
    error: Math.sqrt(Math.max(perRun * (1 / a.length + 1 / b.length), within)),
    freedom: Math.max(1, Math.floor(whole.freedom * INDEPENDENT)),
  };
};

const varianceOrNone = (values: readonly number[]): number => (values.length < 2 ? 0 : variance(values));

const spreadOfPairs = (differences: readonly number[]): Spread =>
  differences.length < 2
    ? { error: Number.POSITIVE_INFINITY, freedom: 1 }
    : { error: Math.sqrt(variance(differences) / differences.length), freedom: differences.length - 1 };

/** `whole`: the floor of all rows of both files. */
const judge = (a: BenchResultRow, b: BenchResultRow, whole: Floor, paired: boolean): Found | undefined => {
  const runsA = logs(a);
  const runsB = logs(b);
  if (runsA.length === 0 || runsB.length === 0) return undefined;
  const flatA = runsA.flat();
  const flatB = runsB.flat();
  const isPaired = paired && flatA.length === flatB.length;
  const differences = flatB.map((value, i) => value - (flatA[i] ?? value));
  const change = isPaired
    ? mean(differences)
    : mean(runsB.map((run) => mean(run))) - mean(runsA.map((run) => mean(run)));
  const { error, freedom } = isPaired ? spreadOfPairs(differences) : spreadOfRuns(runsA, runsB, whole);
  const byFloor = error === 0 ? (change === 0 ? 1 : 0) : studentP(change / error, freedom);
  const byDealing = (): number => (isPaired ? signFlipP(differences) : permutationP(flatA, flatB));
  const half = studentQuantile(ALPHA, freedom) * error;
  return {
    row: {
      what: a.what,
      metric: a.samples.metric,
      unit: a.samples.unit,
      a: median(a.samples.runs.flat()),
      b: median(b.samples.runs.flat()),
      changePercent: percent(change),
      rangePercent: Number.isFinite(half) ? [percent(change - half), percent(change + half)] : null,
    },
    isMoreBetter: a.samples.better === "more",
    p: byFloor > ALPHA ? byFloor : Math.max(byFloor, byDealing()),
  };
};

/** Holm: the smallest probability counts as often as there are rows, the next once less; none less than one before it. */
const corrected = (found: readonly Found[]): number[] => {
  const result = new Array<number>(found.length).fill(1);
  let least = 0;
  [...found.keys()]
    .sort((i, j) => found[i]!.p - found[j]!.p)
    .forEach((index, rank) => {
      least = Math.max(least, Math.min(1, found[index]!.p * (found.length - rank)));
      result[index] = least;
    });
  return result;
};

const BUSY = 0.5; // of the processors, by others before we began

const doubtsOf = (a: BenchResult, b: BenchResult, paired: boolean): string[] => {
  const doubts: string[] = [];
  if (JSON.stringify(a.machine) !== JSON.stringify(b.machine)) doubts.push("the machines are not the same");
  for (const name of Object.keys(a.versions))
    if (name !== "espalier" && a.versions[name] !== b.versions[name])
      doubts.push(`${name}: ${a.versions[name]} and ${b.versions[name]}`);
  for (const [side, { load, machine }] of [["A", a] as const, ["B", b] as const])
    if (load.before > BUSY * machine.processors)
      doubts.push(`the machine was busy before ${side} began: load ${load.before.toFixed(2)}`);
  for (const [side, { rows }] of [["A", a] as const, ["B", b] as const])
    if (!paired && rows.some(({ samples }) => samples.runs.length < 2))
      doubts.push(`${side} has rows of one run: how much runs differ by chance it does not tell`);
  return doubts;
};

/** The word of who measured both sides in turns: both files have the same. */
const turnsOf = ({ settings }: BenchResult): unknown => settings["turns"];

/** Throws ESPALIER_USAGE when the two have no row in common. */
export const compareResults = (a: BenchResult, b: BenchResult): Comparison => {
  const pairs = pairsOf(a, b);
  if (a.kind !== b.kind || pairs.length === 0)
    throw new EspalierError("ESPALIER_USAGE", `the files have no row in common: bench ${a.kind} and bench ${b.kind}`, {
      remedy: "Compare results of the same command with the same options.",
    });
  const paired = typeof turnsOf(a) === "string" && turnsOf(a) === turnsOf(b);
  const whole = addFloors(pairs.flat().map((row) => floorOf(logs(row))));
  const found = pairs.flatMap(([of, with_]) => judge(of, with_, whole, paired) ?? []);
  const p = corrected(found);
  const rows = found.map(({ row, isMoreBetter }, i): ComparedRow => {
    const verdict = p[i]! > ALPHA ? "noise" : row.changePercent > 0 === isMoreBetter ? "better" : "worse";
    return { ...row, verdict, p: p[i]! };
  });
  return {
    kind: a.kind,
    rows,
    onlyA: a.rows.length - pairs.length,
    onlyB: b.rows.length - pairs.length,
    paired,
    doubts: doubtsOf(a, b, paired),
  };
};
