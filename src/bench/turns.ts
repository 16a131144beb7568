/**
 * Two builds measured in turns: one row of a result may drift by a fifth within an hour, and both sides drift alike only when
 * they take turns. The sides change places from round to round, so that none is always the first.
 */
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { EspalierError } from "../errors.ts";
import { readBareRows } from "./bare-rows.ts";
import { BENCH_KINDS, type BenchKind } from "./bench-kind.ts";
import { type BenchResult, beginResult, type FlatRow, jsonOf, ROW_SHAPES, sumOf } from "./result.ts";

/** What is a command of bench by itself. */
const COMMANDS = BENCH_KINDS.filter((kind) => kind !== "idle" && kind !== "tune");

export interface TurnsOptions {
  /** Folders of two builds: repositories with dist/, or packages. */
  readonly a: string;
  readonly b: string;
  /** What both are asked for, from the name of the command on: `esp --size 64`. */
  readonly words: readonly string[];
  /** 6 to 1000: of fewer no change could be told from chance, however great. */
  readonly rounds: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (share: number, what: string) => void;
}

export type Ask = (folder: string, words: readonly string[], signal?: AbortSignal) => Promise<string>;

const run = promisify(execFile);

/** Options of `bench ike` that make it measure idle tunnels. */
const IDLE = /^--(tunnels|idle)(=|$)/;

const FEWEST_ROUNDS = 6;
const MOST_ROUNDS = 1000;

const MOST_OUTPUT = 64 * 1024 * 1024;

const askBuild: Ask = async (folder, words, signal) => {
  const main = resolve(join(folder, "dist/cli/main.js"));
  if (!existsSync(main))
    throw new EspalierError("ESPALIER_USAGE", `${folder} has no dist/cli/main.js`, {
      remedy: "Build it: npm run build.",
    });
  const command = [main, "bench", ...words, "--json"];
  const options = { maxBuffer: MOST_OUTPUT, ...(signal === undefined ? {} : { signal }) };
  return (await run(process.execPath, command, options)).stdout;
};

/** A result of each side, whose samples are pairs: the n-th of A was measured beside the n-th of B. */
export const measureInTurns = async (
  { a, b, words, rounds, signal, onProgress }: TurnsOptions,
  ask: Ask = askBuild,
): Promise<readonly [BenchResult, BenchResult]> => {
  const command = COMMANDS.find((name) => name === words[0]);
  if (command === undefined)
    throw new EspalierError("ESPALIER_USAGE", `expected a command of bench: ${COMMANDS.join(", ")}, not ${words[0]}`);
  if (!(Number.isInteger(rounds) && rounds >= FEWEST_ROUNDS && rounds <= MOST_ROUNDS))
    throw new EspalierError(
      "ESPALIER_USAGE",
      `rounds: expected a whole number from ${FEWEST_ROUNDS} to ${MOST_ROUNDS}, not ${rounds}`,
    );
  const kind = command === "ike" && words.some((word) => IDLE.test(word)) ? "idle" : command;
  const settings = { words, turns: randomUUID(), rounds };
  const sides = [a, b].map((folder) => ({
    folder,
    begun: beginResult(kind, { ...settings, build: folder }, resolve(folder, "dist")),
    rounds: [] as (readonly FlatRow[])[],
  }));
  for (let round = 0; round < rounds; round++)
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
      onProgress?.(
        (2 * round + (side === sides[round % 2] ? 0 : 1)) / (2 * rounds),
        `round ${round + 1}: ${side.folder}`,
      );
      side.rounds.push(rowsOf(kind, await ask(side.folder, words, signal), side.folder));
    }
  const [first, second] = sides.map((side) => side.begun.end([joined(kind, side.rounds)]));
  return [first!, second!];
};

/** Throws ESPALIER_PLATFORM where a build answers with something else. */
const rowsOf = (kind: BenchKind, text: string, folder: string): readonly FlatRow[] => {
  const found = readBareRows(jsonOf(text, `what ${folder} printed`));
  if (found?.kind === kind) return found.rows;
  throw new EspalierError("ESPALIER_PLATFORM", `${folder} did not answer with rows of bench ${kind}`);
};

/** The last round's rows, with the figures of all rounds as their samples. */
const joined = (kind: BenchKind, rounds: readonly (readonly FlatRow[])[]): FlatRow[] => {
  const { metric, also = [], faults = [] } = ROW_SHAPES[kind];
  return rounds.at(-1)!.map((row, index) => {
    const all = rounds.map((rows) => rows[index] ?? {});
    return {
      ...row,
      ...Object.fromEntries(faults.map((name) => [name, sumOf(all, name)])),
      samples: all.map(({ [metric]: figure }, round) => {
        if (typeof figure === "number") return figure;
        throw new EspalierError("ESPALIER_PLATFORM", `round ${round + 1}: row ${index + 1} has no ${metric}`);
      }),
      ceilingSamples: [],
      alsoSamples: Object.fromEntries(also.map((other) => [other.metric, all.map((one) => one[other.metric])])),
    };
  });
};
