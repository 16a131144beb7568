/** Where the result of an `espalier bench` goes: a table or JSON for now, and a file with everything for later. */
import { readFileSync, writeFileSync } from "node:fs";
import type { Command } from "commander";
import { type BenchKind, type BenchResult, beginResult, EspalierError, type FlatRow, parseResult } from "../index.ts";

export interface OutputOptions {
  readonly out?: string;
  readonly runs?: number;
}

/** Runs of the same side: of two the difference is the floor of the noise. */
const RUNS = 2;
const MOST_RUNS = 100;

export const withOutput = (command: Command, number: (text: string) => number): Command =>
  command
    .option(
      "--out <file>",
      "keep everything for `bench compare` and `bench report`: machine, versions, load, raw samples",
    )
    .option("--runs <number>", `runs of the same side, one after the other (1; with --out ${RUNS})`, number);

/**
 * Measure as often as asked; the rows of the last run. With `--out` those that are done are written, also when a later
 * one fails.
 */
export const measureRuns = async <T extends object>(
  kind: BenchKind,
  { out, runs = out === undefined ? 1 : RUNS, ...settings }: OutputOptions & Readonly<Record<string, unknown>>,
  measure: (run: number, of: number) => Promise<readonly T[]>,
  notes: readonly string[] = [],
): Promise<readonly T[]> => {
  if (!(Number.isInteger(runs) && runs >= 1 && runs <= MOST_RUNS))
    throw new EspalierError("ESPALIER_USAGE", `runs: expected a whole number from 1 to ${MOST_RUNS}, not ${runs}`);
  const result = beginResult(kind, { ...settings, runs });
  const done: (readonly T[])[] = [];
  try {
    while (done.length < runs) done.push(await measure(done.length + 1, runs));
  } finally {
    if (out !== undefined && done.length > 0)
      writeFileSync(out, `${JSON.stringify(result.end(done as readonly (readonly FlatRow[])[], notes), null, 1)}\n`);
  }
  return done.at(-1)!;
};

/** Throws ESPALIER_USAGE for a file that cannot be read or is no result. */
export const readResult = (file: string): BenchResult => {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw new EspalierError("ESPALIER_USAGE", `${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
  return parseResult(text, file);
};
