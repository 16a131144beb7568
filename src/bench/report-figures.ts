/** A figure of a report, a chart and the same as a table, and how rows of results become its lines. */
import type { Chart } from "./charts.ts";
import type { BenchResult, BenchResultRow } from "./result.ts";

/** A chart, what it says, and its numbers. */
export interface ReportFigure {
  /** Of its file and its place in the page. */
  readonly id: string;
  readonly title: string;
  /** What to see in it. */
  readonly text: string;
  readonly chart: Chart;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface NamedResult {
  /** Of its file, without folder and ending. */
  readonly name: string;
  readonly result: BenchResult;
}

/** A row with the file that it is from. */
export interface ReportRow extends BenchResultRow {
  readonly file: string;
}

export type Scalar = string | number | boolean | null;

export const rowsOf = (results: readonly NamedResult[], kind: BenchResult["kind"]): ReportRow[] =>
  results
    .filter(({ result }) => result.kind === kind)
    .flatMap(({ name, result }) => result.rows.map((row) => ({ ...row, file: name })));

export const whatOf = (row: ReportRow, key: string): Scalar => (key === "file" ? row.file : (row.what[key] ?? null));

/** The values of a key that the rows have, in the order of their first appearance, numbers by size. */
export const whatsOf = (rows: readonly ReportRow[], key: string): Scalar[] => {
  const found = [...new Set(rows.map((row) => whatOf(row, key)))];
  return found.sort((a, b) =>
    typeof a === "number" && typeof b === "number"
      ? a - b
      : Number(typeof b === "number") - Number(typeof a === "number"),
  );
};

/** The value that most rows have. */
const usual = (rows: readonly ReportRow[], key: string): Scalar => {
  const counts = new Map<Scalar, number>();
  for (const row of rows) counts.set(whatOf(row, key), (counts.get(whatOf(row, key)) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? null;
};

const keep = (rows: readonly ReportRow[], keys: readonly string[]): ReportRow[] =>
  keys.reduce((left, key) => left.filter((row) => whatOf(row, key) === usual(left, key)), [...rows]);

export interface Grouping {
  /** On the axis. */
  readonly x: string;
  /** That tell lines apart, where they differ. */
  readonly by: readonly string[];
  /** Of each of these only the lines with the value that most have. */
  readonly fixed: readonly string[];
}

export interface Grouped {
  readonly x: readonly Scalar[];
  readonly lines: readonly { readonly name: string; readonly rows: readonly (ReportRow | undefined)[] }[];
}

/** Undefined where there are not `least` values on the axis for any line. */
export const group = (all: readonly ReportRow[], { x, by, fixed }: Grouping, least = 2): Grouped | undefined => {
  const lines = new Map<string, ReportRow[]>();
  for (const row of all) {
    const key = JSON.stringify([...fixed, ...by].map((name) => whatOf(row, name)));
    lines.set(key, [...(lines.get(key) ?? []), row]);
  }
  const counts = [...lines.values()].map((rows) => whatsOf(rows, x).length);
  const enough = Math.max(least, Math.max(...counts) / 2);
  const long = [...lines.values()].filter((rows) => whatsOf(rows, x).length >= enough);
  const rows = keep(long.flat(), fixed);
  const kept = long.filter((line) => rows.includes(line[0]!));
  const axis = whatsOf(rows, x);
  const differing = by.filter((name) => whatsOf(rows, name).length > 1);
  return kept.length === 0
    ? undefined
    : {
        x: axis,
        lines: kept.map((of) => ({
          name: wordsOf(of[0]!, differing.length > 0 ? differing : by.filter((name) => name !== "file")),
          rows: axis.map((value) => of.find((row) => whatOf(row, x) === value)),
        })),
      };
};

const NAMES: Readonly<Record<string, (value: Scalar) => string>> = {
  workers: (value) => `${value} ${value === 1 ? "worker" : "workers"}`,
  sas: (value) => `${value} ${value === 1 ? "SA" : "SAs"}`,
  size: (value) => `${value}`,
  udp: (value) => (value === null ? "TCP" : `UDP ${value}`),
  train: (value) => `trains of ${value}`,
  batch: (value) => `batch ${value}`,
  policies: (value) => `${value} policies`,
  tunnels: (value) => `${value} tunnels`,
  esn: (value) => (value === true ? "ESN" : "no ESN"),
};

export const wordFor = (key: string, value: Scalar): string => NAMES[key]?.(value) ?? String(value);

const wordsOf = (row: ReportRow, keys: readonly string[]): string =>
  keys
    .map((key) => wordFor(key, whatOf(row, key)))
    .filter((word) => word !== "null")
    .join(", ");

export const range = (row: ReportRow | undefined, scale: number): readonly [number, number] | null => {
  const samples = row?.samples.runs.flat() ?? [];
  return samples.length < 2 ? null : [Math.min(...samples) * scale, Math.max(...samples) * scale];
};

export const middle = (row: ReportRow | undefined, figure: string): number | null => row?.figures[figure] ?? null;

export const number = (value: number | null | undefined): string =>
  value === null || value === undefined
    ? "-"
    : Math.abs(value) >= 10_000
      ? Math.round(value).toLocaleString("en")
      : Number(value.toPrecision(3)).toString();

export const table = (title: string, { x, lines }: Grouped, figure: string, show = number) => ({
  head: [title, ...lines.map(({ name }) => name)],
  rows: x.map((value, i) => [String(value), ...lines.map(({ rows }) => show(middle(rows[i], figure)))]),
});

export const linesOf = (
  id: string,
  title: string,
  text: string,
  grouped: Grouped,
  xTitle: string,
  figure: string,
  yTitle: string,
): ReportFigure => ({
  id,
  title,
  text,
  chart: {
    kind: "lines",
    categories: grouped.x.map(String),
    xTitle,
    yTitle,
    series: grouped.lines.map(({ name, rows }) => ({ name, values: rows.map((row) => middle(row, figure)) })),
  },
  ...table(xTitle, grouped, figure),
});

/** Rows of a command that has no figures of its own: bars of what it samples. */
export const plainFigures = (rows: readonly ReportRow[], kind: string, title: string): ReportFigure[] => {
  if (rows.length === 0) return [];
  const keys = [...new Set(rows.flatMap(({ what }) => Object.keys(what))), "file"];
  const differing = keys.filter((key) => whatsOf(rows, key).length > 1);
  const name = (row: ReportRow): string => wordsOf(row, differing.length > 0 ? differing : keys.slice(0, 2));
  const { metric, unit } = rows[0]!.samples;
  return [
    {
      id: kind,
      title,
      text: `${kind === "tune" ? "espalier tune" : `espalier bench ${kind === "idle" ? "ike --idle" : kind}`}. Whiskers: least and greatest sample of all runs.`,
      chart: {
        kind: "rows",
        categories: rows.map(name),
        xTitle: differing.join(", "),
        yTitle: unit,
        series: [
          { name: metric, values: rows.map((row) => middle(row, metric)), spread: rows.map((row) => range(row, 1)) },
        ],
      },
      head: [differing.join(", ") || kind, unit],
      rows: rows.map((row) => [name(row), number(middle(row, metric))]),
    },
  ];
};
