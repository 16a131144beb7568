/** `espalier bench sad`: what the table of SAs costs. */
import { type Command, InvalidArgumentError } from "commander";
import { benchSad, describeMachine, loadAverage, type SadBenchRow } from "../index.ts";
import { measureRuns, type OutputOptions, withOutput } from "./bench-output.ts";
import { machineLine } from "./bench-table.ts";
import { type Column, plainTable } from "./plain-table.ts";
import { startProgress } from "./progress.ts";
import type { Terminal } from "./terminal.ts";

interface SadOptions extends OutputOptions {
  readonly sas?: readonly number[];
  readonly seconds?: number;
  readonly json?: boolean;
}

export const addSad = (bench: Command, terminal: Terminal): void => {
  withOutput(bench.command("sad"), number)
    .description("the table of SAs alone: finding one by its SPI, replay windows, installing and withdrawing a pair")
    .option("--sas <list>", "pairs of SAs in it, 1 to 65536 (1,100,10000)", wholes)
    .option("--seconds <number>", "that are timed for each row (0.3)", number)
    .option("--json", "an array of rows as JSON")
    .action(async ({ sas, seconds, json = false, ...output }: SadOptions) => {
      const before = loadAverage();
      const options = { ...(sas === undefined ? {} : { sas }), ...(seconds === undefined ? {} : { seconds }) };
      const progress = startProgress(terminal, json);
      const rows = await measureRuns("sad", { ...output, ...options }, (run, runs) => {
        let done = 0;
        return benchSad(options, ({ work, sas: count }, of) => {
          done++;
          progress.at((run - 1 + done / of) / runs, `${work}, ${count}`);
        });
      }).finally(() => progress.end());
      terminal.out(
        json
          ? `${JSON.stringify(rows, null, 2)}\n`
          : `${sadBenchTable(rows, terminal)}\n\n${machineLine([before, loadAverage()], describeMachine())}\n`,
      );
    });
};

const COLUMNS: readonly Column[] = [
  { title: "work" },
  { title: "pairs of SAs", right: true },
  { title: "ns", right: true },
  { title: "a second", right: true },
  { title: "octets a pair", right: true },
];

/** Text without a final newline. */
export const sadBenchTable = (rows: readonly SadBenchRow[], { colour }: { readonly colour: boolean }): string =>
  plainTable(
    COLUMNS,
    rows.map(({ work, sas, ns, perSecond, bytesPerPair }) => [
      work,
      `${sas}`,
      ns.toFixed(1),
      `${(perSecond / 1e6).toFixed(2)} M`,
      bytesPerPair.toFixed(0),
    ]),
    { colour },
  );

const number = (text: string): number => {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("Expected a number.");
  return value;
};

const wholes = (text: string): number[] =>
  text.split(",").map((word) => {
    if (!/^\d+$/.test(word.trim())) throw new InvalidArgumentError("Expected whole numbers with commas between them.");
    return Number(word);
  });
