/** Rows alone, as `--json` prints them: they can be compared, but nobody knows on which machine, by what and beside what. */
import { z } from "zod";
import type { BenchKind } from "./bench-kind.ts";
import { type Comparable, type FlatRow, jsonOf, resultOf, resultRows } from "./result.ts";

const flat = z.record(z.string(), z.unknown());
const flats = z.array(flat).min(1);
const sides = z.object({ initiator: flat, responder: flat }).loose();

/** Fields that tell whose a row is. */
const SIGNS: readonly (readonly [BenchKind, readonly string[]])[] = [
  ["esp", ["suite", "direction", "pps"]],
  ["tunnel", ["peer", "gbps"]],
  ["ike", ["keyExchange", "perSecond"]],
  ["idle", ["side", "cpuPercent"]],
  ["sad", ["work", "sas", "perSecond"]],
  ["spd", ["list", "policies", "lookupsPerSecond"]],
];

/** An array of rows, one row, or both sides of idle tunnels; undefined: none of these. */
const flatRowsOf = (value: unknown): readonly FlatRow[] | undefined => {
  const both = sides.safeParse(value);
  if (both.success) {
    const { initiator, responder, ...shared } = both.data;
    return [
      { ...shared, ...initiator, side: "initiator" },
      { ...shared, ...responder, side: "responder" },
    ];
  }
  const many = flats.safeParse(Array.isArray(value) ? value : [value]);
  return many.success ? many.data : undefined;
};

/** What a command of bench printed with `--json`; undefined where it is of no kind that is known. */
export const readBareRows = (
  value: unknown,
): { readonly kind: BenchKind; readonly rows: readonly FlatRow[] } | undefined => {
  const rows = flatRowsOf(value);
  const kind = SIGNS.find(([, names]) => rows?.every((row) => names.every((name) => name in row)))?.[0];
  return rows === undefined || kind === undefined ? undefined : { kind, rows };
};

/** A result (`--out`), or rows alone (`--json`). Throws ESPALIER_USAGE for any other text; `name` is what it is called then. */
export const parseComparable = (text: string, name: string): Comparable => {
  const value = jsonOf(text, name);
  const bare = readBareRows(value);
  return bare === undefined ? resultOf(value, name) : { kind: bare.kind, rows: resultRows(bare.kind, [bare.rows]) };
};
