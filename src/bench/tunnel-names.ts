/** What rows of `espalier bench tunnel` are called in a report: what was moved, and through what; no two the same. */
import { type ReportRow, whatOf, whatsOf, wordFor } from "./report-figures.ts";

export interface NamedRow {
  readonly row: ReportRow;
  /** What was moved: `TCP x 4`. */
  readonly traffic: string;
  /** Through what: `self, 2 workers`, and what else tells it from others of the same traffic. */
  readonly tunnel: string;
}

/** How datagrams came by their rate. */
const rateOf = (row: ReportRow): string => {
  const [search, rate] = [whatOf(row, "search"), whatOf(row, "rate")];
  if (search === "ndr") return "NDR and PDR";
  if (search === "rate") return `at most ${whatOf(row, "maxLossPercent")} % lost`;
  return rate === null ? "without a limit" : `${rate}/s`;
};

const trafficOf = (row: ReportRow, all: readonly ReportRow[]): string => {
  const streams = Number(whatOf(row, "streams") ?? 1);
  const udp = whatOf(row, "udp");
  const rates = new Set(all.filter((other) => whatOf(other, "udp") === udp).map(rateOf));
  return [
    `${wordFor("udp", udp)}${streams === 1 ? "" : ` x ${streams}`}`,
    ...(udp !== null && rates.size > 1 ? [rateOf(row)] : []),
    ...(whatOf(row, "offloads") === "off" ? ["offloads off"] : []),
  ].join(", ");
};

/** That may tell tunnels of one peer apart, with the file as the last. */
const KEYS = ["suite", "engine", "encap", "poll", "batch", "sas"];

const WORDS: Readonly<Record<string, (value: unknown) => string>> = { encap: (value) => `encap ${value}` };

const peerOf = (row: ReportRow): string => {
  const workers = whatOf(row, "workers");
  const peer = whatOf(row, "peer") ?? "?";
  return typeof workers === "number" && workers > 1 ? `${peer}, ${workers} workers` : String(peer);
};

const tunnelOf = (row: ReportRow, keys: readonly string[]): string => {
  const values = keys.map((key) => [key, whatOf(row, key)] as const).filter(([, value]) => value !== null);
  return [peerOf(row), ...values.map(([key, value]) => WORDS[key]?.(value) ?? wordFor(key, value))].join(", ");
};

const grouped = <T>(all: readonly T[], by: (one: T) => string): T[][] => {
  const groups = new Map<string, T[]>();
  for (const one of all) groups.set(by(one), [...(groups.get(by(one)) ?? []), one]);
  return [...groups.values()];
};

const placeOf = ({ traffic, tunnel }: NamedRow): string => JSON.stringify([traffic, tunnel]);

/** Names of rows of one peer: the keys in which rows of the same traffic differ, and the file where that is not enough. */
const namedOf = (rows: readonly Omit<NamedRow, "tunnel">[]): NamedRow[] => {
  const same = grouped(rows, ({ traffic }) => traffic).map((of) => of.map(({ row }) => row));
  const keys = KEYS.filter((key) => same.some((of) => whatsOf(of, key).length > 1));
  const named = (by: readonly string[]): NamedRow[] => rows.map((of) => ({ ...of, tunnel: tunnelOf(of.row, by) }));
  const short = named(keys);
  return new Set(short.map(placeOf)).size === rows.length ? short : named([...keys, "file"]);
};

/** In the order of the rows. What is the same in all that it says is numbered. */
export const namedTunnels = (rows: readonly ReportRow[]): NamedRow[] => {
  const moved = rows.map((row) => ({ row, traffic: trafficOf(row, rows) }));
  const named = grouped(moved, ({ row }) => peerOf(row)).flatMap(namedOf);
  const numbered = grouped(named, placeOf).flatMap((same) =>
    same.map((of, i) => (i === 0 ? of : { ...of, tunnel: `${of.tunnel} (${i + 1})` })),
  );
  return numbered.sort((a, b) => rows.indexOf(a.row) - rows.indexOf(b.row));
};
