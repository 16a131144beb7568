/** What a report shows of `espalier bench esp`. */
import type { ChartSeries } from "./charts.ts";
import {
  type Grouped,
  group,
  linesOf,
  middle,
  type ReportFigure,
  type ReportRow,
  range,
  type Scalar,
  table,
  whatOf,
  whatsOf,
} from "./report-figures.ts";

const LINES = ["suite", "engine", "direction", "size", "file"];
const FIXED = ["workers", "sas", "train", "window", "esn", "batch"];
const SIZE_TITLE = "octets of the inner packet";

/** All of `names` but these. */
const but = (names: readonly string[], ...without: readonly string[]): string[] =>
  names.filter((name) => !without.includes(name));

const percent = (value: number | null): string => (value === null ? "-" : `${Math.round(value * 100)} %`);

export const espFigures = (rows: readonly ReportRow[]): ReportFigure[] => {
  const bySize = group(rows, { x: "size", by: but(LINES, "size"), fixed: FIXED });
  return [
    ...(bySize === undefined ? [] : [...figuresBySize(bySize), ...sharesOf(bySize)]),
    ...figuresByWorkers(rows),
    ...figuresByEngine(rows),
    ...COSTS.flatMap(({ x, by, title, text, xTitle }) => {
      const lines = group(rows, { x, by: [...but(LINES, "file"), ...by, "file"], fixed: but(FIXED, x, ...by) });
      return lines === undefined
        ? []
        : [linesOf(`cost-by-${x}`, title, text, lines, xTitle, "cpuNsPerPacket", "CPU ns/packet")];
    }),
  ];
};

const figuresBySize = (bySize: Grouped): ReportFigure[] => {
  const categories = bySize.x.map(String);
  const limits: ChartSeries[] = bySize.lines
    .filter(({ rows: of }) => of.some((row) => middle(row, "ceilingPps") !== null))
    .map(({ name, rows: of }) => ({
      name: `${name}: limit`,
      values: of.map((row) => middle(row, "ceilingPps")),
      isReference: true,
      of: name,
    }));
  return [
    {
      id: "throughput-by-size",
      title: "Packets a second by size",
      text: "In memory, through the workers' own passes. Whiskers: least and greatest sample of all runs. Dashed: the same cipher called from C, without a gateway.",
      chart: {
        kind: "lines",
        categories,
        xTitle: SIZE_TITLE,
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
    },
    {
      id: "gbps-by-size",
      title: "Gbit/s of inner packets by size",
      text: "The same rows, by the octets that they carry. The mix (imix) counts with the mean of its sizes.",
      chart: {
        kind: "lines",
        categories,
        xTitle: SIZE_TITLE,
        yTitle: "Gbit/s",
        series: bySize.lines.map(({ name, rows: of }) => ({ name, values: of.map((row) => middle(row, "gbps")) })),
      },
      ...table("octets", bySize, "gbps"),
    },
  ];
};

const sharesOf = (bySize: Grouped): ReportFigure[] => {
  const categories = bySize.x.map(String);
  const shares = (figure: string, what: string): ChartSeries[] =>
    bySize.lines
      .filter(({ rows: of }) => of.some((row) => middle(row, figure) !== null))
      .map(({ name, rows: of }) => ({ name: `${name}: ${what}`, values: of.map((row) => middle(row, figure)) }));
  const series = [...shares("engineShare", "of the engine"), ...shares("share", "of the limit in C")];
  if (series.length === 0) return [];
  return [
    {
      id: "share-of-limit",
      title: "Share of the limit",
      text: "What is left of the engine's speed, called by the same thread for the same octets, and of the cipher's in C: the rest is what a gateway does for a packet beside encryption, and the way to the library.",
      chart: { kind: "bars", categories, xTitle: SIZE_TITLE, yTitle: "share", isShare: true, series },
      head: ["octets", ...series.map(({ name }) => name)],
      rows: categories.map((size, i) => [size, ...series.map(({ values }) => percent(values[i] ?? null))]),
    },
  ];
};

const figuresByWorkers = (rows: readonly ReportRow[]): ReportFigure[] => {
  const byWorkers = group(rows, { x: "workers", by: LINES, fixed: but(FIXED, "workers") });
  if (byWorkers === undefined) return [];
  return [
    linesOf(
      "throughput-by-workers",
      "Packets a second by workers",
      "Threads that share this machine's processors: beyond their number a further worker brings nothing, and may cost.",
      byWorkers,
      "workers",
      "pps",
      "packets/s",
    ),
    linesOf(
      "cost-by-workers",
      "Cost of a packet by workers",
      "Nanoseconds of processor time of the workers: what workers cost one another shows as a rise.",
      byWorkers,
      "workers",
      "cpuNsPerPacket",
      "CPU ns/packet",
    ),
  ];
};

const figuresByEngine = (rows: readonly ReportRow[]): ReportFigure[] => {
  const ofSize = (size: Scalar): ReportRow[] => rows.filter((row) => whatOf(row, "size") === size);
  const sizes = whatsOf(rows, "size").filter(
    (size) => typeof size === "number" && whatsOf(ofSize(size), "engine").length > 1,
  );
  const ends = [...new Set([sizes[0], sizes.at(-1)])].flatMap((size) => (size === undefined ? [] : ofSize(size)));
  const byEngine = group(ends, { x: "engine", by: ["suite", "direction", "size"], fixed: FIXED });
  if (byEngine === undefined) return [];
  return [
    {
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
    },
  ];
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
