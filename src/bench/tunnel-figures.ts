/** What a report shows of `espalier bench tunnel`. */
import { middle, number, type ReportFigure, type ReportRow, range, table } from "./report-figures.ts";
import { type NamedRow, namedTunnels } from "./tunnel-names.ts";

const isTcp = (kind: string): boolean => kind.startsWith("TCP");

export const tunnelFigures = (rows: readonly ReportRow[]): ReportFigure[] => {
  const named = namedTunnels(rows);
  return [...BARS.flatMap((bars) => barsOf(named, bars)), ...latencies(named), ...lossSearches(named)];
};

interface Bars {
  readonly id: string;
  readonly title: string;
  readonly text: string;
  readonly figure: string;
  readonly yTitle: string;
  /** Which traffic. */
  readonly of: (kind: string) => boolean;
}

const BARS: readonly Bars[] = [
  {
    id: "peers",
    title: "Through two gateways: TCP",
    text: "What arrived, with both gateways, both ends of the traffic and the kernel on this machine. plain: no tunnel. Whiskers: least and greatest part of the time.",
    figure: "gbps",
    yTitle: "Gbit/s",
    of: isTcp,
  },
  {
    id: "peers-udp",
    title: "Through two gateways: datagrams",
    text: "Datagrams that arrived a second, at the rate that was asked for or searched.",
    figure: "pps",
    yTitle: "packets/s",
    of: (kind) => !isTcp(kind),
  },
  {
    id: "cost-of-a-gbit",
    title: "Cost of a Gbit",
    text: "Processor time of both gateways' processes for a Gbit of payload. What the kernel does in their stead is not in it.",
    figure: "cpuPerGbit",
    yTitle: "CPU s/Gbit",
    of: isTcp,
  },
];

const barsOf = (rows: readonly NamedRow[], { id, title, text, figure, yTitle, of }: Bars): ReportFigure[] => {
  const names = [...new Set(rows.map(({ tunnel }) => tunnel))];
  const x = [...new Set(rows.map(({ traffic }) => traffic))].filter(of);
  const find = (name: string, kind: string): ReportRow | undefined =>
    rows.find(({ tunnel, traffic }) => tunnel === name && traffic === kind)?.row;
  const lines = names
    .map((name) => ({ name, rows: x.map((kind) => find(name, kind)) }))
    .filter((line) => line.rows.some((row) => middle(row, figure) !== null));
  if (x.length === 0 || lines.length === 0) return [];
  return [
    {
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
    },
  ];
};

const latencies = (rows: readonly NamedRow[]): ReportFigure[] => {
  const curves = rows.flatMap(({ row, tunnel, traffic }) => {
    const points = (row.curves?.["latencyMs"] ?? []).map(([share, ms]) => [ms, share] as const);
    return points.length === 0 ? [] : [{ name: `${tunnel}: ${traffic}`, points, row, isOfTcp: isTcp(traffic) }];
  });
  const ways = [
    { id: "latency", title: "Latency under load: TCP", of: curves.filter(({ isOfTcp }) => isOfTcp) },
    { id: "latency-udp", title: "Latency under load: datagrams", of: curves.filter(({ isOfTcp }) => !isOfTcp) },
  ];
  return ways
    .filter((way) => way.of.length > 0)
    .map(({ id, title, of }) => ({
      id,
      title,
      text: "Share of all echoes that were back within so many milliseconds, while the traffic ran. A curve ends where the others were lost.",
      chart: {
        kind: "curves",
        xTitle: "ms there and back",
        yTitle: "share of echoes",
        isXLog: true,
        isShare: true,
        series: of,
      },
      head: ["tunnel: traffic", "median, ms", "99 %, ms", "lost, %", "idle mean, ms"],
      rows: of.map(({ name, row }) => [
        name,
        number(middle(row, "loadedP50Ms")),
        number(middle(row, "loadedP99Ms")),
        number(middle(row, "loadedLossPercent")),
        number(middle(row, "ping.averageMs")),
      ]),
    }));
};

/** With ≥ where it is the limit of what measured it. */
const found = (row: ReportRow, figure: string): string =>
  `${row.atLeast?.includes(figure) === true ? "≥ " : ""}${number(middle(row, figure))}`;

const lossSearches = (rows: readonly NamedRow[]): ReportFigure[] => {
  const searched = rows.filter(({ row }) => (row.trials?.length ?? 0) > 0);
  if (searched.length === 0) return [];
  return [
    {
      id: "loss-search",
      title: "Rates without loss (NDR) and with 0.5 % (PDR)",
      text: "Every trial of the search: what was asked for and what was lost. ≥: the sender could do no more, the tunnel may.",
      chart: {
        kind: "points",
        xTitle: "datagrams/s",
        yTitle: "lost, percent",
        series: searched.map(({ row, tunnel, traffic }) => ({
          name: `${tunnel}: ${traffic}`,
          points: row.trials!.map(({ rate, lossPercent }) => [rate, lossPercent] as const),
        })),
      },
      head: ["tunnel: traffic", "NDR, packets/s", "PDR, packets/s", "trials"],
      rows: searched.map(({ row, tunnel, traffic }) => [
        `${tunnel}: ${traffic}`,
        found(row, "ndrPps"),
        found(row, "pdrPps"),
        `${row.trials!.length}`,
      ]),
    },
  ];
};
