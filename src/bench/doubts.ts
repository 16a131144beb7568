/** What makes a comparison doubtful: other machines and versions, others' work, and too few samples to know anything. */
import { ALPHA, type Change, type Samples } from "./change.ts";
import { leastPermutationP, leastSignFlipP } from "./dealing.ts";
import { busyBy } from "./machine.ts";
import type { BenchResultRow, Comparable } from "./result.ts";

export interface Doubtful {
  readonly a: Comparable;
  readonly b: Comparable;
  readonly pairs: readonly (readonly [BenchResultRow, BenchResultRow])[];
  readonly figures: readonly { readonly a: Samples; readonly b: Samples; readonly change: Change }[];
  readonly paired: boolean;
}

export const doubtsOf = (doubtful: Doubtful): string[] => [
  ...ofPlaces(doubtful),
  ...ofRuns(doubtful),
  ...ofReach(doubtful),
  ...ofRows(doubtful),
];

/** What others' work makes doubtful of one result: `what` is what it is called. */
export const busyDoubts = ({ load, machine }: Pick<Comparable, "load" | "machine">, what: string): string[] => {
  const busy = load === undefined || machine === undefined ? undefined : busyBy(load, machine.processors);
  return busy === undefined ? [] : [`the machine was busy when ${what} was measured: ${busy}`];
};

/** What the sides are expected to differ in. */
const OWN_VERSIONS = ["espalier", "build"];

const ofPlaces = ({ a, b }: Doubtful): string[] => {
  const doubts: string[] = [];
  const sides = [["A", a] as const, ["B", b] as const];
  for (const [side, { machine }] of sides)
    if (machine === undefined) doubts.push(`${side} is rows alone: its machine, versions and load are not known`);
  if (a.machine !== undefined && b.machine !== undefined && JSON.stringify(a.machine) !== JSON.stringify(b.machine))
    doubts.push("the machines are not the same");
  if (a.versions !== undefined && b.versions !== undefined)
    for (const name of new Set([...Object.keys(a.versions), ...Object.keys(b.versions)]))
      if (!OWN_VERSIONS.includes(name) && a.versions[name] !== b.versions[name])
        doubts.push(`${name}: ${a.versions[name] ?? "not known"} and ${b.versions[name] ?? "not known"}`);
  for (const [side, of] of sides) doubts.push(...busyDoubts(of, side));
  return doubts;
};

const ofRuns = ({ a, b, paired }: Doubtful): string[] =>
  [["A", a] as const, ["B", b] as const].flatMap(([side, { rows }]) =>
    !paired && rows.some(({ samples }) => samples.runs.length < 2)
      ? [`${side} has rows of one run: how much runs differ by chance it does not tell`]
      : [],
  );

/** Figures with so few samples that no change, however great, would be told from chance among so many. */
const ofReach = ({ figures, paired }: Doubtful): string[] => {
  const all = figures.length;
  const short = figures.filter(({ change }) => change.least * all > ALPHA);
  if (short.length === 0) return [];
  const least = Math.min(...short.flatMap(({ a, b }) => [samplesOf(a), samplesOf(b)]));
  const takes = paired ? `${roundsFor(all)} rounds` : `${runsFor(all, least)} runs of each side`;
  return [`${short.length} of ${all} figures have too few samples to tell any change from chance: it takes ${takes}`];
};

/** Of a run. */
const samplesOf = ({ runs }: Samples): number => Math.max(1, Math.min(...runs.map(({ length }) => length)));

const roundsFor = (figures: number): number => {
  let rounds = 1;
  while (leastSignFlipP(rounds) * figures > ALPHA) rounds++;
  return rounds;
};

const runsFor = (figures: number, samples: number): number => {
  let runs = 2;
  while (leastPermutationP(runs * samples, runs * samples) * figures > ALPHA) runs++;
  return runs;
};

/** Rows that are worth nothing by themselves. */
const ofRows = ({ pairs }: Doubtful): string[] =>
  (["A", "B"] as const).flatMap((side, i) => {
    const rows = pairs.map((pair) => pair[i]!);
    const counted = (is: (row: BenchResultRow) => boolean, words: string): string[] => {
      const count = rows.filter(is).length;
      return count === 0 ? [] : [`${count} of ${rows.length} rows of ${side} ${words}`];
    };
    return [
      ...counted(({ samples }) => samples.runs.flat().length === 0, "have no sample, and are left out"),
      ...counted(isNothing, "carried nothing at all"),
      ...counted(({ figures }) => (figures["drops"] ?? 0) > 0, "dropped packets, which makes them worthless"),
    ];
  });

const isNothing = ({ samples: { better, runs } }: BenchResultRow): boolean =>
  better === "more" && runs.flat().length > 0 && runs.flat().every((value) => value === 0);
