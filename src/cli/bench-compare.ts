/** `espalier bench compare`: better, worse or noise. */
import type { Command } from "commander";
import pc from "picocolors";
import { type ComparedRow, type Comparison, compareResults } from "../bench/compare.ts";
import { readComparable } from "./bench-output.ts";
import { type Column, plainTable } from "./plain-table.ts";
import type { Terminal } from "./terminal.ts";

export const addCompare = (bench: Command, terminal: Terminal): void => {
  bench
    .command("compare")
    .description(
      "two results of the same command (--out; rows of --json do as well): is B better, worse, or is it noise",
    )
    .argument("<a>", "result of the one side; -: from the standard input")
    .argument("<b>", "result of the other side")
    .option("--json", "one object as JSON")
    .action((a: string, b: string, { json }: { readonly json?: boolean }) => {
      const comparison = compareResults(readComparable(a), readComparable(b));
      terminal.out(
        json === true ? `${JSON.stringify(comparison, null, 2)}\n` : `${comparisonText(comparison, terminal)}\n`,
      );
    });
};

const signed = (value: number): string => `${value < 0 ? "" : "+"}${value.toFixed(1)}`;

const changeText = (percent: number | null): string => (percent === null ? "from nothing" : `${signed(percent)} %`);

const figure = (value: number): string =>
  value >= 1e4 ? Math.round(value).toLocaleString("en") : value.toPrecision(4);

/** Only the names whose values differ between the rows tell rows apart. */
const telling = (rows: readonly ComparedRow[]): string[] => {
  const names = [...new Set(rows.flatMap(({ what }) => Object.keys(what)))];
  const differing = names.filter((name) => new Set(rows.map(({ what }) => String(what[name]))).size > 1);
  return differing.length > 0 ? differing : names.slice(0, 2);
};

const isNamed = ({ builds }: Comparison): boolean => builds.some((build) => build !== null);

const buildsText = ({ builds: [a, b] }: Comparison): string =>
  a === b ? `A and B: ${a}` : `A: ${a ?? "not known"}; B: ${b ?? "not known"}`;

/** Text without a final newline. */
export const comparisonText = (comparison: Comparison, { colour }: { readonly colour: boolean }): string => {
  const paint = pc.createColors(colour);
  const { rows } = comparison;
  const names = telling(rows);
  const units = [...new Set(rows.map(({ metric, unit }) => `${metric}, ${unit}`))];
  const isOne = units.length === 1;
  const columns: Column[] = [
    ...names.map((title) => ({ title })),
    ...(isOne ? [] : [{ title: "figure" }]),
    { title: isOne ? `A, ${rows[0]?.unit ?? ""}` : "A", right: true },
    { title: "B", right: true },
    { title: "change", right: true },
    { title: "95 % range", right: true },
    { title: "p", right: true },
    { title: "verdict" },
  ];
  const words = { better: paint.green("better"), worse: paint.red("worse"), noise: "noise" };
  const cells = rows.map((row) => [
    ...names.map((name) => String(row.what[name] ?? "-")),
    ...(isOne ? [] : [`${row.metric}, ${row.unit}`]),
    figure(row.a),
    figure(row.b),
    changeText(row.changePercent),
    row.rangePercent === null ? "not known" : `${signed(row.rangePercent[0])} to ${signed(row.rangePercent[1])} %`,
    row.p < 0.001 ? "<0.001" : row.p.toFixed(3),
    words[row.verdict],
  ]);
  const count = (verdict: ComparedRow["verdict"]): number => rows.filter((row) => row.verdict === verdict).length;
  const lines = [
    plainTable(columns, cells, { colour }),
    "",
    `${count("better")} better, ${count("worse")} worse, ${count("noise")} noise${comparison.paired ? "; measured in turns" : ""}`,
    ...(comparison.onlyA + comparison.onlyB === 0
      ? []
      : [`rows that only one has: ${comparison.onlyA} of A, ${comparison.onlyB} of B`]),
    ...(isNamed(comparison) ? [buildsText(comparison)] : []),
    ...comparison.doubts.map((doubt) => paint.yellow(`beware: ${doubt}`)),
  ];
  return lines.join("\n");
};
