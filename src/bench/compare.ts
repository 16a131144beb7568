/**
 * Did it get better or worse, or is it noise? Rows of two results that measured the same are held against each other
 * (`change.ts`), in every figure that both have samples of. Of many some would look changed by chance: their probabilities
 * are corrected for that (Holm), so that all together raise a false alarm once in twenty times.
 */
import { EspalierError } from "../errors.ts";
import { ALPHA, addFloors, type Change, changeOf, type Floor, floorOf, type Samples } from "./change.ts";
import { doubtsOf } from "./doubts.ts";
import type { BenchResult, BenchResultRow, Comparable } from "./result.ts";

export const VERDICTS = ["better", "worse", "noise"] as const;
export type CompareVerdict = (typeof VERDICTS)[number];

/** A figure of a row; most rows have one. */
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
  /** Probability of such a change by chance, corrected for the number of figures. */
  readonly p: number;
}

export interface Comparison {
  readonly kind: BenchResult["kind"];
  readonly rows: readonly ComparedRow[];
  /** Rows of A or B that the other has not. */
  readonly onlyA: number;
  readonly onlyB: number;
  /** What each side was measured with; null: not known. */
  readonly builds: readonly [string | null, string | null];
  /** Samples were taken in turns. */
  readonly paired: boolean;
  /** What makes the comparison doubtful. */
  readonly doubts: readonly string[];
}

/** A figure that both sides of a row have samples of. */
interface Found {
  readonly what: BenchResultRow["what"];
  readonly a: Samples;
  readonly b: Samples;
}

const sampledOf = ({ samples, also = [] }: BenchResultRow): readonly Samples[] => [samples, ...also];

const foundIn = ([row, other]: readonly [BenchResultRow, BenchResultRow]): Found[] =>
  sampledOf(row).flatMap((a) => {
    const b = sampledOf(other).find(({ metric }) => metric === a.metric);
    return b === undefined || !hasSamples(a) || !hasSamples(b) ? [] : [{ what: row.what, a, b }];
  });

/** By metric: what rows differ by in the one is no witness of the other. */
const floorsOf = (found: readonly Found[]): ReadonlyMap<string, Floor> => {
  const floors = new Map<string, Floor>();
  for (const { a, b } of found)
    floors.set(a.metric, addFloors([floors.get(a.metric) ?? addFloors([]), floorOf(a), floorOf(b)]));
  return floors;
};

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

/** Holm: the smallest probability counts as often as there are figures, the next once less; none less than one before it. */
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

const buildOf = ({ versions }: Comparable): string | null =>
  versions === undefined ? null : `espalier ${versions["espalier"] ?? "?"}, build ${versions["build"] ?? "not known"}`;

/** Throws ESPALIER_USAGE when the two have no row in common. */
export const compareResults = (a: Comparable, b: Comparable): Comparison => {
  const pairs = pairsOf(a, b);
  if (a.kind !== b.kind || pairs.length === 0)
    throw new EspalierError("ESPALIER_USAGE", `the files have no row in common: bench ${a.kind} and bench ${b.kind}`, {
      remedy: "Compare results of the same command with the same options.",
    });
  const paired = typeof turnsOf(a) === "string" && turnsOf(a) === turnsOf(b);
  const found = pairs.flatMap(foundIn);
  const floors = floorsOf(found);
  const changes = found.map((each) =>
    changeOf(each.a, each.b, { whole: floors.get(each.a.metric)!, paired, figures: found.length }),
  );
  const p = corrected(changes);
  const rows = found.map(({ what, a: { metric, unit, better } }, i): ComparedRow => {
    const { p: _, least: __, ...change } = changes[i]!;
    const isMore = change.b > change.a;
    const verdict = p[i]! > ALPHA ? "noise" : isMore === (better === "more") ? "better" : "worse";
    return { what, metric, unit, ...change, verdict, p: p[i]! };
  });
  return {
    kind: a.kind,
    rows,
    onlyA: a.rows.length - pairs.length,
    onlyB: b.rows.length - pairs.length,
    builds: [buildOf(a), buildOf(b)],
    paired,
    doubts: doubtsOf({ a, b, pairs, figures: found.map((each, i) => ({ ...each, change: changes[i]! })), paired }),
  };
};
