/** `espalier bench turns`: two builds in turns, and whether they differ. */
import { writeFileSync } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import { compareResults } from "../bench/compare.ts";
import { measureInTurns } from "../bench/turns.ts";
import { comparisonText } from "./bench-compare.ts";
import { startProgress } from "./progress.ts";
import type { Terminal } from "./terminal.ts";

interface TurnsOptions {
  readonly rounds: number;
  readonly out?: string;
  readonly json?: boolean;
}

export const addTurns = (bench: Command, terminal: Terminal): void => {
  bench
    .command("turns")
    .description("measure two builds in turns: is B better, worse, or is the difference noise")
    .argument("<a>", "folder of the one build")
    .argument("<b>", "folder of the other")
    .argument("<words...>", "what both are asked for, after --: -- esp --size 64 --seconds 0.2")
    .option("--rounds <number>", "of both", wholeNumber, 12)
    .option("--out <prefix>", "keep the results in PREFIX-a.json and PREFIX-b.json")
    .option("--json", "the comparison as JSON")
    .action(async (a: string, b: string, words: readonly string[], { rounds, out, json = false }: TurnsOptions) => {
      const progress = startProgress(terminal, json);
      const onProgress = progress.at;
      const [first, second] = await measureInTurns({ a, b, words, rounds, onProgress }).finally(() => progress.end());
      if (out !== undefined)
        for (const [side, result] of [["a", first] as const, ["b", second] as const])
          writeFileSync(`${out}-${side}.json`, `${JSON.stringify(result, null, 1)}\n`);
      const comparison = compareResults(first, second);
      terminal.out(json ? `${JSON.stringify(comparison, null, 2)}\n` : `${comparisonText(comparison, terminal)}\n`);
    });
};

const wholeNumber = (text: string): number => {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("Expected a whole number.");
  return Number(text);
};
