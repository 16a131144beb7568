/** Which figures a report shows of which results: each a chart, and the same as a table. */
import type { Chart, ChartSeries } from "./charts.ts";
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

type Scalar = string | number | boolean | null;

export const rowsOf = (results: readonly NamedResult[], kind: BenchResult["kind"]): ReportRow[] =>
  results
    .filter(({ result }) => result.kind === kind)
    .flatMap(({ name, result }) => result.rows.map((row) => ({ ...row, file: name })));

const whatOf = (row: ReportRow, key: string): Scalar => (key === "file" ? row.file : (row.what[key] ?? null));

/** The values of a key that the rows have, in the order of their first appearance, numbers by size. */
const whatsOf = (rows: readonly ReportRow[], key: string): Scalar[] => {
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

interface Grouping {
  /** On the axis. */
  readonly x: string;
  /** That tell lines apart, where they differ. */
  readonly by: readonly string[];
  /** Of each of these only the lines with the value that most have. */
  readonly fixed: readonly string[];
}

interface Grouped {
  readonly x: readonly Scalar[];
  readonly lines: readonly { readonly name: string; readonly rows: readonly (ReportRow | undefined)[] }[];
}

/** Undefined where there are not `least` values on the axis for any line. */
const group = (all: readonly ReportRow[], { x, by, fixed }: Grouping, least = 2): Grouped | undefined => {
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

const wordFor = (key: string, value: Scalar): string => NAMES[key]?.(value) ?? String(value);

const wordsOf = (row: ReportRow, keys: readonly string[]): string =>
  keys
    .map((key) => wordFor(key, whatOf(row, key)))
    .filter((word) => word !== "null")
    .join(", ");

const range = (row: ReportRow | undefined, scale: number): readonly [number, number] | null => {
  const samples = row?.samples.runs.flat() ?? [];
  return samples.length < 2 ? null : [Math.min(...samples) * scale, Math.max(...samples) * scale];
};

const middle = (row: ReportRow | undefined, figure: string): number | null => row?.figures[figure] ?? null;

export const number = (value: number | null | undefined): string =>
  value === null || value === undefined
    ? "-"
    : Math.abs(value) >= 10_000
      ? Math.round(value).toLocaleString("en")
      : Number(value.toPrecision(3)).toString();

const table = (title: string, { x, lines }: Grouped, figure: string, show = number) => ({
  head: [title, ...lines.map(({ name }) => name)],
  rows: x.map((value, i) => [String(value), ...lines.map(({ rows }) => show(middle(rows[i], figure)))]),
});

const ESP_LINES = ["suite", "engine", "direction", "file"];
const ESP_FIXED = ["workers", "sas", "train", "window", "esn", "batch"];

const percent = (value: number | null): string => (value === null ? "-" : `${Math.round(value * 100)} %`);

export const espFigures = (rows: readonly ReportRow[]): ReportFigure[] => {
  const figures: ReportFigure[] = [];
  const bySize = group(rows, { x: "size", by: ESP_LINES, fixed: ESP_FIXED });
  if (bySize !== undefined) {
    const categories = bySize.x.map(String);
    const limits: ChartSeries[] = bySize.lines
      .filter(({ rows: of }) => of.some((row) => middle(row, "ceilingPps") !== null))
      .map(({ name, rows: of }) => ({
        name: `${name}: limit`,
        values: of.map((row) => middle(row, "ceilingPps")),
        isReference: true,
        of: name,
      }));
    figures.push({
      id: "throughput-by-size",
      title: "Packets a second by size",
      text: "In memory, through the workers' own passes. Whiskers: least and greatest sample of all runs. Dashed: the same cipher called from C, without a gateway.",
      chart: {
        kind: "lines",
        categories,
        xTitle: "octets of the inner packet",
        yTitle: "packets/s",
        series: [
          ...bySize.lines.map(({ name, rows: of }) => ({
            name,
            values: of.map((row) => middle(row, "pps")),
            spread: of.map((row) => range(row, 1)),
          })),
          ...limits,
        ],
      },
      ...table("octets", bySize, "pps"),
    });
    figures.push({
      id: "gbps-by-size",
      title: "Gbit/s of inner packets by size",
      text: "The same rows, by the octets that they carry. The mix (imix) counts with the mean of its sizes.",
      chart: {
        kind: "lines",
        categories,
        xTitle: "octets of the inner packet",
        yTitle: "Gbit/s",
        series: bySize.lines.map(({ name, rows: of }) => ({ name, values: of.map((row) => middle(row, "gbps")) })),
      },
      ...table("octets", bySize, "gbps"),
    });
    const shares = (figure: string, what: string): ChartSeries[] =>
      bySize.lines
        .filter(({ rows: of }) => of.some((row) => middle(row, figure) !== null))
        .map(({ name, rows: of }) => ({ name: `${name}: ${what}`, values: of.map((row) => middle(row, figure)) }));
    const series = [...shares("engineShare", "of the engine"), ...shares("share", "of the limit in C")];
    if (series.length > 0)
      figures.push({
        id: "share-of-limit",
        title: "Share of the limit",
        text: "What is left of the engine's speed, called by the same thread for the same octets, and of the cipher's in C: the rest is what a gateway does for a packet beside encryption, and the way to the library.",
        chart: {
          kind: "bars",
          categories,
          xTitle: "octets of the inner packet",
          yTitle: "share",
          isShare: true,
          series,
        },
        head: ["octets", ...series.map(({ name }) => name)],
        rows: categories.map((size, i) => [size, ...series.map(({ values }) => percent(values[i] ?? null))]),
      });
  }
  const byWorkers = group(rows, {
    x: "workers",
    by: ["suite", "engine", "direction", "size", "file"],
    fixed: ESP_FIXED.filter((name) => name !== "workers"),
  });
  if (byWorkers !== undefined) {
    figures.push(
      linesOf(
        "throughput-by-workers",
        "Packets a second by workers",
        "Threads that share this machine's processors: beyond their number a further worker brings nothing, and may cost.",
        byWorkers,
        "workers",
        "pps",
        "packets/s",
      ),
    );
    figures.push(
      linesOf(
        "cost-by-workers",
        "Cost of a packet by workers",
        "Nanoseconds of processor time of the workers: what workers cost one another shows as a rise.",
        byWorkers,
        "workers",
        "cpuNsPerPacket",
        "CPU ns/packet",
      ),
    );
  }
  const ofSize = (size: Scalar): ReportRow[] => rows.filter((row) => whatOf(row, "size") === size);
  const sizes = whatsOf(rows, "size").filter(
    (size) => typeof size === "number" && whatsOf(ofSize(size), "engine").length > 1,
  );
  const ends = [...new Set([sizes[0], sizes.at(-1)])].flatMap((size) => (size === undefined ? [] : ofSize(size)));
  const byEngine = group(ends, { x: "engine", by: ["suite", "direction", "size"], fixed: ESP_FIXED });
  if (byEngine !== undefined)
    figures.push({
      id: "throughput-by-engine",
      title: "Packets a second by engine",
      text: "Where the cipher comes from decides most; the smallest and the largest packets. Whiskers: least and greatest sample of all runs.",
      chart: {
        kind: "bars",
        categories: byEngine.x.map(String),
        xTitle: "engine",
        yTitle: "packets/s",
        series: byEngine.lines.map(({ name, rows: of }) => ({
          name,
          values: of.map((row) => middle(row, "pps")),
          spread: of.map((row) => range(row, 1)),
        })),
      },
      ...table("engine", byEngine, "pps"),
    });
  for (const { x, by, title, text, xTitle } of COSTS) {
    const lines = group(rows, {
      x,
      by: ["suite", "engine", "direction", "size", ...by, "file"],
      fixed: ESP_FIXED.filter((name) => name !== x && !by.includes(name)),
    });
    if (lines !== undefined)
      figures.push(linesOf(`cost-by-${x}`, title, text, lines, xTitle, "cpuNsPerPacket", "CPU ns/packet"));
  }
  return figures;
};

/** What a packet costs by that of which its worker has more or less. */
const COSTS: readonly {
  readonly x: string;
  readonly by: readonly string[];
  readonly title: string;
  readonly text: string;
  readonly xTitle: string;
}[] = [
  {
    x: "sas",
    by: ["train"],
    title: "Cost of a packet by SAs",
    text: "SAs have packets in turns, a train each (one packet, where nothing else is said): of an SA nothing is left near from its turn before.",
    xTitle: "SAs of a worker",
  },
  {
    x: "batch",
    by: [],
    title: "Cost of a packet by batch",
    text: "Packets that are sealed or opened at a time: what a batch costs once is shared by its packets.",
    xTitle: "packets of a batch",
  },
];

const linesOf = (
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

/** What a row of `bench tunnel` moved: `TCP, 4 streams`. */
const traffic = ({ what }: BenchResultRow): string => {
  const streams = Number(what["streams"] ?? 1);
  const kind = wordFor("udp", what["udp"] ?? null);
  return `${kind}${streams === 1 ? "" : ` x ${streams}`}${what["offloads"] === "off" ? ", offloads off" : ""}`;
};

const tunnelName = (row: ReportRow): string => {
  const workers = row.what["workers"];
  return `${row.what["peer"] ?? "?"}${typeof workers === "number" && workers > 1 ? `, ${workers} workers` : ""}`;
};

export const tunnelFigures = (rows: readonly ReportRow[]): ReportFigure[] => {
  if (rows.length === 0) return [];
  const figures: ReportFigure[] = [];
  const kinds = [...new Set(rows.map(traffic))];
  const names = [...new Set(rows.map(tunnelName))];
  const find = (name: string, kind: string): ReportRow | undefined =>
    rows.find((row) => tunnelName(row) === name && traffic(row) === kind);
  const bars = (
    id: string,
    title: string,
    text: string,
    figure: string,
    yTitle: string,
    of: (kind: string) => boolean,
  ) => {
    const x = kinds.filter(of);
    const lines = names
      .map((name) => ({ name, rows: x.map((kind) => find(name, kind)) }))
      .filter((line) => line.rows.some((row) => middle(row, figure) !== null));
    if (x.length === 0 || lines.length === 0) return;
    figures.push({
      id,
      title,
      text,
      chart: {
        kind: "bars",
        categories: x,
        xTitle: "traffic",
        yTitle,
        series: lines.map((line) => ({
          name: line.name,
          colour: names.indexOf(line.name),
          values: line.rows.map((row) => middle(row, figure)),
          ...(figure === "gbps" ? { spread: line.rows.map((row) => range(row, 1)) } : {}),
        })),
      },
      ...table("traffic", { x, lines }, figure),
    });
  };
  const isTcp = (kind: string): boolean => kind.startsWith("TCP");
  bars(
    "peers",
    "Through two gateways: TCP",
    "What arrived, with both gateways, both ends of the traffic and the kernel on this machine. plain: no tunnel. Whiskers: least and greatest part of the time.",
    "gbps",
    "Gbit/s",
    isTcp,
  );
  bars(
    "peers-udp",
    "Through two gateways: datagrams",
    "Datagrams that arrived a second, at the rate that was asked for or searched.",
    "pps",
    "packets/s",
    (kind) => !isTcp(kind),
  );
  bars(
    "cost-of-a-gbit",
    "Cost of a Gbit",
    "Processor time of both gateways' processes for a Gbit of payload. What the kernel does in their stead is not in it.",
    "cpuPerGbit",
    "CPU s/Gbit",
    isTcp,
  );
  const curves = rows.flatMap((row) => {
    const points = row.curves?.["latencyMs"] ?? [];
    return points.length === 0
      ? []
      : [
          {
            name: `${tunnelName(row)}: ${traffic(row)}`,
            points: points.map(([share, ms]) => [ms, share] as const),
            row,
          },
        ];
  });
  const ways = [
    { id: "latency", title: "Latency under load: TCP", of: curves.filter(({ row }) => isTcp(traffic(row))) },
    { id: "latency-udp", title: "Latency under load: datagrams", of: curves.filter(({ row }) => !isTcp(traffic(row))) },
  ];
  for (const { id, title, of } of ways.filter((way) => way.of.length > 0))
    figures.push({
      id,
      title,
      text: "Share of echoes that were back within so many milliseconds, while the traffic ran.",
      chart: {
        kind: "curves",
        xTitle: "ms there and back",
        yTitle: "share of echoes",
        isXLog: true,
        isShare: true,
        series: of,
      },
      head: ["tunnel: traffic", "median, ms", "99 %, ms", "idle mean, ms"],
      rows: of.map(({ name, row }) => [
        name,
        number(middle(row, "loadedP50Ms")),
        number(middle(row, "loadedP99Ms")),
        number(middle(row, "ping.averageMs")),
      ]),
    });
  const searched = rows.filter((row) => (row.trials?.length ?? 0) > 0);
  if (searched.length > 0)
    figures.push({
      id: "loss-search",
      title: "Rates without loss (NDR) and with 0.5 % (PDR)",
      text: "Every trial of the search: what was asked for and what was lost.",
      chart: {
        kind: "points",
        xTitle: "datagrams/s",
        yTitle: "lost, percent",
        series: searched.map((row) => ({
          name: `${tunnelName(row)}: ${traffic(row)}`,
          points: row.trials!.map(({ rate, lossPercent }) => [rate, lossPercent] as const),
        })),
      },
      head: ["tunnel: traffic", "NDR, packets/s", "PDR, packets/s", "trials"],
      rows: searched.map((row) => [
        `${tunnelName(row)}: ${traffic(row)}`,
        number(middle(row, "ndrPps")),
        number(middle(row, "pdrPps")),
        `${row.trials!.length}`,
      ]),
    });
  return figures;
};

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
