/**
 * Did it get better or worse, or is it noise? Rows of two results that measured the same are held against each other
 * (`change.ts`). Of many rows some would look changed by chance: their probabilities are corrected for that (Holm), so that
 * all rows together raise a false alarm once in twenty times.
 */
import { EspalierError } from "../errors.ts";
import { ALPHA, addFloors, type Change, changeOf, floorOf, type Samples } from "./change.ts";
import { doubtsOf } from "./doubts.ts";
import type { BenchResult, BenchResultRow } from "./result.ts";

export const VERDICTS = ["better", "worse", "noise"] as const;
export type CompareVerdict = (typeof VERDICTS)[number];

/** A result, or what of one is known: its rows. */
export type Comparable = Pick<BenchResult, "kind" | "rows"> &
  Partial<Pick<BenchResult, "machine" | "versions" | "load" | "settings">>;

export interface ComparedRow {
  readonly what: BenchResultRow["what"];
  readonly metric: string;
  readonly unit: string;
  /** Means of all runs of each side, whose ratio is the change: geometric ones, but where a sample is 0. */
  readonly a: number;
  readonly b: number;
  /** Percent by which B is above A, null: A is 0; and the range that it is in with 95 % confidence, null: not known. */
  readonly changePercent: number | null;
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

/** What a row has samples of, by both sides. */
interface Found {
  readonly row: BenchResultRow;
  readonly a: Samples;
  readonly b: Samples;
}

const keyOf = ({ what, samples }: BenchResultRow): string =>
  JSON.stringify([Object.entries(what).sort(([a], [b]) => (a < b ? -1 : 1)), samples.metric]);

/** Rows of A with their rows of B: of equal ones the first with the first. */
const pairsOf = (a: Comparable, b: Comparable): (readonly [BenchResultRow, BenchResultRow])[] => {
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

const hasSamples = ({ runs }: Samples): boolean => runs.some(({ length }) => length > 0);

/** Holm: the smallest probability counts as often as there are rows, the next once less; none less than one before it. */
const corrected = (found: readonly Change[]): number[] => {
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

/** The word of who measured both sides in turns: both files have the same. */
const turnsOf = ({ settings }: Comparable): unknown => settings?.["turns"];

/** Throws ESPALIER_USAGE when the two have no row in common. */
export const compareResults = (a: Comparable, b: Comparable): Comparison => {
  const pairs = pairsOf(a, b);
  if (a.kind !== b.kind || pairs.length === 0)
    throw new EspalierError("ESPALIER_USAGE", `the files have no row in common: bench ${a.kind} and bench ${b.kind}`, {
      remedy: "Compare results of the same command with the same options.",
    });
  const paired = typeof turnsOf(a) === "string" && turnsOf(a) === turnsOf(b);
  const found = pairs
    .map(([row, other]): Found => ({ row, a: row.samples, b: other.samples }))
    .filter((each) => hasSamples(each.a) && hasSamples(each.b));
  const whole = addFloors(found.flatMap((each) => [floorOf(each.a), floorOf(each.b)]));
  const changes = found.map((each) => changeOf(each.a, each.b, { whole, paired, rows: found.length }));
  const p = corrected(changes);
  const rows = found.map(({ row, a: { metric, unit, better } }, i): ComparedRow => {
    const { p: _, least: __, ...change } = changes[i]!;
    const isMore = change.b > change.a;
    const verdict = p[i]! > ALPHA ? "noise" : isMore === (better === "more") ? "better" : "worse";
    return { what: row.what, metric, unit, ...change, verdict, p: p[i]! };
  });
  return {
    kind: a.kind,
    rows,
    onlyA: a.rows.length - pairs.length,
    onlyB: b.rows.length - pairs.length,
    paired,
    doubts: doubtsOf({ a, b, pairs, changes, paired }),
  };
};
