/** Where the result of an `espalier bench` goes: a table or JSON for now, and a file with everything for later. */
import { readFileSync, writeFileSync } from "node:fs";
import type { Command } from "commander";
import { parseComparable } from "../bench/bare-rows.ts";
import type { BenchKind } from "../bench/bench-kind.ts";
import { describeMachine, type MachineLoad } from "../bench/machine.ts";
import { type BenchResult, beginResult, type Comparable, type FlatRow, parseResult } from "../bench/result.ts";
import { EspalierError } from "../errors.ts";
import { machineLine } from "./bench-table.ts";
import { number } from "./option-values.ts";
import { startProgress } from "./progress.ts";
import type { Terminal } from "./terminal.ts";

export interface OutputOptions {
  readonly out?: string;
  readonly runs?: number;
}

/** Runs of the same side: of two the difference is the floor of the noise. */
const RUNS = 2;
const MOST_RUNS = 100;

export const withOutput = (command: Command): Command =>
  command
    .option(
      "--out <file>",
      "keep everything for `bench compare` and `bench report`: machine, versions, load, raw samples; -: print it",
    )
    .option("--runs <number>", `runs of the same side, one after the other (1; with --out ${RUNS})`, number);

const STANDARD = "-";

/** Where a command shows its rows: with `--out -` the result has the standard output for itself. */
export const screenOf = (terminal: Terminal, { out }: OutputOptions): Terminal =>
  out === STANDARD ? { ...terminal, out: (text) => terminal.err(text) } : terminal;

/**
 * Measure as often as asked; the rows of the last run. With `--out` those that are done are written, also when a later
 * one fails.
 */
export const measureRuns = async <T extends object>(
  kind: BenchKind,
  { out, runs = out === undefined ? 1 : RUNS, ...settings }: OutputOptions & Readonly<Record<string, unknown>>,
  terminal: Terminal,
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
    if (out !== undefined && done.length > 0) {
      const text = `${JSON.stringify(result.end(done as readonly (readonly FlatRow[])[], notes), null, 1)}\n`;
      if (out === STANDARD) terminal.out(text);
      else writeFileSync(out, text);
    }
  }
  return done.at(-1)!;
};

/** The same under a progress bar, of which each row is a step: `onRow` wants its name and how many rows a run has. */
export const measureRows = <T extends object>(
  kind: BenchKind,
  settings: OutputOptions & Readonly<Record<string, unknown>>,
  { terminal, json }: { readonly terminal: Terminal; readonly json: boolean },
  measure: (onRow: (name: string, of: number) => void) => Promise<readonly T[]>,
  notes: readonly string[] = [],
): Promise<readonly T[]> => {
  const progress = startProgress(terminal, json);
  const run = (number: number, runs: number): Promise<readonly T[]> => {
    let done = 0;
    return measure((name, of) => {
      done++;
      progress.at((number - 1 + done / of) / runs, name);
    });
  };
  return measureRuns(kind, settings, terminal, run, notes).finally(() => progress.end());
};

/** Rows as JSON, or as a table with what machine it was and how busy. `load`: watched since the measuring began. */
export const printRows = (
  terminal: Terminal,
  json: boolean,
  result: unknown,
  table: () => string,
  load: () => Required<MachineLoad>,
): void => {
  const { before, after, others } = load();
  terminal.out(
    json
      ? `${JSON.stringify(result, null, 2)}\n`
      : `${table()}\n\n${machineLine([before, after], describeMachine(), undefined, others)}\n`,
  );
};

/** Throws ESPALIER_USAGE for a file that cannot be read or is no result. */
export const readResult = (file: string): BenchResult => parseResult(textOf(file), file);

/** The same of a file that may have rows alone. */
export const readComparable = (file: string): Comparable => parseComparable(textOf(file), file);

const textOf = (file: string): string => {
  try {
    return readFileSync(file === STANDARD ? "/dev/stdin" : file, "utf8");
  } catch (cause) {
    throw new EspalierError("ESPALIER_USAGE", `${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
};
