import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { compareResults } from "../../src/bench/compare.ts";
import { type BenchResult, type BenchResultRow, beginResult } from "../../src/bench/result.ts";
import { seeded } from "../../src/bench/statistics.ts";

/** Ten runs of `bench esp --seconds 0.5` of one build, one after the other, while others used the machine as well. */
const MEASURED = JSON.parse(readFileSync(new URL("./fixtures/same-build.json", import.meta.url), "utf8")) as {
  readonly size: number;
  readonly direction: string;
  readonly runs: number[][];
}[];

/** Standard deviations of a calm machine, in parts of the figure: of the mean of a run, and of the samples within one. */
const CALM = [
  { between: 0.02, within: 0.012 },
  { between: 0.025, within: 0.01 },
  { between: 0.015, within: 0.015 },
  { between: 0.018, within: 0.02 },
] as const;

const RUNS = 2;
const SAMPLES = 5;

const gaussOf = (random: () => number) => (): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

const NONE = beginResult("esp", {}).end([]);

const resultOf = (rows: readonly BenchResultRow[], settings = {}): BenchResult => ({
  ...NONE,
  settings,
  load: { before: 0, after: 0, others: 0 },
  rows: [...rows],
});

const rowOf = (name: string, runs: number[][], better: "more" | "less" = "more"): BenchResultRow => ({
  what: { suite: name },
  figures: {},
  samples: { metric: "pps", unit: "packets/s", better, runs },
  beside: null,
  floorPercent: null,
});

/** A result as runs of such variance give it; `factor`: how much faster its build is. */
const simulated = (gauss: () => number, factor = 1, noisier = 1): BenchResult =>
  resultOf(
    CALM.map(({ between, within }, i) =>
      rowOf(
        `suite ${i}`,
        Array.from({ length: RUNS }, () => {
          const run = 1e6 * (i + 1) * factor * (1 + noisier * between * gauss());
          return Array.from({ length: SAMPLES }, () => run * (1 + noisier * within * gauss()));
        }),
      ),
    ),
  );

const TIMES = 200;

test("two files of the same build, as measured: every row is noise, 19 times of 20", () => {
  const random = seeded(6);
  let alarms = 0;
  for (let i = 0; i < TIMES; i++) {
    const order = MEASURED[0]!.runs.map((_, run) => run).sort(() => random() - 0.5);
    const side = (first: number): BenchResult =>
      resultOf(
        MEASURED.map(({ size, direction, runs }) =>
          rowOf(
            `${size} ${direction}`,
            order.slice(first, first + RUNS).map((run) => runs[run]!),
          ),
        ),
      );
    const { rows } = compareResults(side(0), side(RUNS));
    if (rows.some(({ verdict }) => verdict !== "noise")) alarms++;
  }
  expect(alarms / TIMES).toBeLessThanOrEqual(0.05);
});

test("two files of the same build: every row is noise, 19 times of 20", () => {
  const gauss = gaussOf(seeded(7));
  let alarms = 0;
  for (let i = 0; i < TIMES; i++) {
    const { rows } = compareResults(simulated(gauss), simulated(gauss));
    if (rows.some(({ verdict }) => verdict !== "noise")) alarms++;
  }
  expect(alarms / TIMES).toBeLessThanOrEqual(0.05);
});

test("so it is when the machine is five times as restless", () => {
  const gauss = gaussOf(seeded(8));
  let alarms = 0;
  for (let i = 0; i < TIMES; i++) {
    const { rows } = compareResults(simulated(gauss, 1, 5), simulated(gauss, 1, 5));
    if (rows.some(({ verdict }) => verdict !== "noise")) alarms++;
  }
  expect(alarms / TIMES).toBeLessThanOrEqual(0.05);
});

test("so it is of files of one row, whose own runs alone tell the noise", () => {
  const gauss = gaussOf(seeded(11));
  const one = (factor: number): BenchResult => ({
    ...simulated(gauss, factor),
    rows: simulated(gauss, factor).rows.slice(0, 1),
  });
  const of = (factor: number) =>
    Array.from({ length: TIMES }, () => compareResults(one(1), one(factor)).rows[0]!.verdict);
  expect(of(1).filter((verdict) => verdict !== "noise").length / TIMES).toBeLessThanOrEqual(0.05);
  expect(of(1.5).filter((verdict) => verdict === "better").length / TIMES).toBeGreaterThan(0.9);
});

test("of 300 rows those that changed are found, however many are asked for", () => {
  const gauss = gaussOf(seeded(12));
  const side = (factor: (row: number) => number): BenchResult =>
    resultOf(
      Array.from({ length: 300 }, (_, row) =>
        rowOf(
          `${row}`,
          Array.from({ length: RUNS }, () => Array.from({ length: SAMPLES }, () => factor(row) * (1 + 0.02 * gauss()))),
        ),
      ),
    );
  const { rows, doubts } = compareResults(
    side(() => 1),
    side((row) => (row < 150 ? 1.5 : 1)),
  );
  expect(rows.filter(({ verdict }) => verdict === "better")).toHaveLength(150);
  expect(rows.slice(150).every(({ verdict }) => verdict === "noise")).toBe(true);
  expect(doubts).toEqual([]);
});

test("a fifth faster is found better, a fifth slower worse, nearly always", () => {
  const gauss = gaussOf(seeded(9));
  let found = 0;
  for (let i = 0; i < 50; i++) {
    const base = simulated(gauss);
    const faster = compareResults(base, simulated(gauss, 1.2)).rows;
    const slower = compareResults(base, simulated(gauss, 0.8)).rows;
    found += faster.filter(({ verdict }) => verdict === "better").length;
    found += slower.filter(({ verdict }) => verdict === "worse").length;
    expect(faster.some(({ verdict }) => verdict === "worse")).toBe(false);
  }
  expect(found / (50 * 2 * CALM.length)).toBeGreaterThan(0.9);
});

test("samples that were taken in turns are compared in pairs: a drift of both sides is no change", () => {
  const gauss = gaussOf(seeded(10));
  const drift = Array.from({ length: 12 }, (_, i) => 1 + 0.3 * Math.sin(i));
  const side = (factor: number): number[] => drift.map((at) => 100 * at * factor * (1 + 0.005 * gauss()));
  const turns = { turns: "an-id" };
  const compared = (factor: number) =>
    compareResults(resultOf([rowOf("x", [side(1)])], turns), resultOf([rowOf("x", [side(factor)])], turns));
  expect(compared(1).rows[0]).toMatchObject({ verdict: "noise" });
  const faster = compared(1.03);
  expect(faster).toMatchObject({ paired: true, doubts: [] });
  expect(faster.rows[0]).toMatchObject({ verdict: "better" });
  expect(faster.rows[0]!.changePercent).toBeCloseTo(3, 0);
});

test("where less is better, more is worse", () => {
  const rows = (factor: number) => [
    rowOf(
      "x",
      [
        [1, 1.01, 0.99, 1, 1.005],
        [1.01, 1, 1, 0.99, 1],
      ].map((run) => run.map((ms) => ms * factor)),
      "less",
    ),
  ];
  const many = (factor: number) =>
    resultOf(["a", "b", "c"].map((name) => ({ ...rows(factor)[0]!, what: { suite: name } })));
  expect(compareResults(many(1), many(2)).rows.map(({ verdict }) => verdict)).toEqual(["worse", "worse", "worse"]);
});

test("of one run the noise is not known: nothing is claimed, and that is said", () => {
  const { rows, doubts } = compareResults(resultOf([rowOf("x", [[1, 1, 1]])]), resultOf([rowOf("x", [[2, 2, 2]])]));
  expect(rows[0]).toMatchObject({ verdict: "noise", rangePercent: null });
  expect(doubts).toContainEqual(expect.stringMatching(/^A has rows of one run/));
});

test("another machine, another version and a busy machine are said", () => {
  const a = resultOf([rowOf("x", [[1], [1]])]);
  const b = {
    ...a,
    machine: { ...a.machine, processors: a.machine.processors + 1 },
    versions: { ...a.versions, node: "99.0.0", espalier: "9.9.9" },
    load: { before: 100, after: 1, others: 0.9 * a.machine.processors },
  };
  expect(compareResults(a, b).doubts).toEqual([
    "the machines are not the same",
    `node: ${process.versions.node} and 99.0.0`,
    `the machine was busy when B was measured: others used ${(0.9 * a.machine.processors).toFixed(2)} processors`,
    "1 of 1 figures have too few samples to tell any change from chance: it takes 4 runs of each side",
  ]);
});

test("rows that only one has are counted; none in common is a mistake", () => {
  const a = resultOf([rowOf("x", [[1], [1]]), rowOf("y", [[1], [1]])]);
  const b = resultOf([rowOf("y", [[1], [1]])]);
  expect(compareResults(a, b)).toMatchObject({ onlyA: 1, onlyB: 0 });
  expect(() => compareResults(resultOf([rowOf("x", [[1]])]), b)).toThrow(/no row in common/);
});

test("with one sample a run it takes more runs to know anything, and that is said", () => {
  const side = (runs: number, value: number) =>
    resultOf([
      rowOf(
        "x",
        Array.from({ length: runs }, (_, run) => [value + run / 100]),
      ),
    ]);
  const two = compareResults(side(2, 1), side(2, 9));
  expect(two.rows[0]).toMatchObject({ verdict: "noise" });
  expect(two.doubts).toEqual([
    "1 of 1 figures have too few samples to tell any change from chance: it takes 4 runs of each side",
  ]);
  expect(compareResults(side(4, 1), side(4, 9))).toMatchObject({ rows: [{ verdict: "better" }], doubts: [] });
});

test("so it is of rounds: of many rows more are needed", () => {
  const side = (factor: number) =>
    resultOf(
      Array.from({ length: 40 }, (_, row) => rowOf(`${row}`, [[1, 2, 1, 2, 1, 2].map((at) => at * factor)])),
      { turns: "an-id" },
    );
  const { rows, doubts } = compareResults(side(1), side(2));
  expect(rows.every(({ verdict }) => verdict === "noise")).toBe(true);
  expect(doubts).toEqual(["40 of 40 figures have too few samples to tell any change from chance: it takes 11 rounds"]);
});

const FINE = [
  [10, 10.1, 9.9],
  [10, 10.2, 10.1],
];
const NOTHING = FINE.map((run) => run.map(() => 0));

test("what carries nothing any more is worse, whatever the noise, and what does so again is better", () => {
  const of = (a: number[][], b: number[][]) => compareResults(resultOf([rowOf("x", a)]), resultOf([rowOf("x", b)]));
  const worse = of(FINE, NOTHING);
  expect(worse.rows).toMatchObject([{ verdict: "worse", a: expect.closeTo(10.05, 9), b: 0 }]);
  expect(worse.rows[0]!.changePercent).toBeCloseTo(-100, 9);
  expect(worse.doubts).toEqual(["1 of 1 rows of B carried nothing at all"]);
  expect(of(NOTHING, FINE).rows).toMatchObject([{ verdict: "better", changePercent: null, rangePercent: null }]);
  expect(of([[1]], [[0]]).rows).toMatchObject([{ verdict: "worse" }]);
  expect(of(NOTHING, NOTHING).rows).toMatchObject([{ verdict: "noise", changePercent: 0, a: 0, b: 0 }]);
});

test("a sample of 0 counts as what it is", () => {
  const half = FINE.map((run) => run.map((value, i) => (i === 0 ? 0 : value)));
  const { rows } = compareResults(resultOf([rowOf("x", FINE)]), resultOf([rowOf("x", half)]));
  expect(rows[0]!.changePercent).toBeLessThan(-30);
  expect(rows[0]!.b).toBeCloseTo((9.9 + 10.1 + 10.2 + 10.1) / 6, 9);
});

test("pairs stay pairs where one of them is 0", () => {
  const drift = Array.from({ length: 12 }, (_, i) => 2 + Math.sin(i));
  const side = (by: (at: number, i: number) => number) => resultOf([rowOf("x", [drift.map(by)])], { turns: "an-id" });
  const lost = (at: number, i: number): number => (i === 3 ? 0 : at * 1.001);
  const { rows } = compareResults(
    side(lost),
    side((at, i) => (i === 3 ? 0 : at * 1.2)),
  );
  expect(rows[0]).toMatchObject({ verdict: "better" });
  expect(rows[0]!.changePercent).toBeGreaterThan(15);
});

test("A and B of a row differ by what its change says", () => {
  const { rows } = compareResults(
    resultOf([rowOf("x", [[1, 2, 9, 4, 5, 6]])], { turns: "an-id" }),
    resultOf([rowOf("x", [[2, 2, 3, 7, 5, 6]])], { turns: "an-id" }),
  );
  const [{ a, b, changePercent }] = rows as [(typeof rows)[number]];
  expect((b / a - 1) * 100).toBeCloseTo(changePercent!, 9);
});

test("a row is judged in every figure that both sides have samples of", () => {
  const side = (cost: number, also: boolean) => {
    const runs = (by: number) => FINE.map((run) => run.concat(run).map((value) => value * by));
    const of = { metric: "cpuNsPerPacket", unit: "ns/packet", better: "less" as const, runs: runs(cost) };
    return resultOf(["x", "y"].map((name) => ({ ...rowOf(name, runs(1)), ...(also ? { also: [of] } : {}) })));
  };
  const { rows } = compareResults(side(1, true), side(1.5, true));
  expect(rows.map(({ what, metric, verdict }) => [what["suite"], metric, verdict])).toEqual([
    ["x", "pps", "noise"],
    ["x", "cpuNsPerPacket", "worse"],
    ["y", "pps", "noise"],
    ["y", "cpuNsPerPacket", "worse"],
  ]);
  expect(compareResults(side(1, true), side(1.5, false)).rows.map(({ metric }) => metric)).toEqual(["pps", "pps"]);
});

test("rows that dropped packets, and rows without samples, are said", () => {
  const side = (drops: number) => resultOf([{ ...rowOf("x", FINE), figures: { drops } }, rowOf("y", [[]])]);
  const { rows, doubts } = compareResults(side(0), side(7));
  expect(rows).toHaveLength(1);
  expect(doubts).toContain("1 of 2 rows of B dropped packets, which makes them worthless");
  expect(doubts).toContain("1 of 2 rows of A have no sample, and are left out");
});
