/** `espalier bench sad`: what the table of SAs costs. */
import type { Command } from "commander";
import { watchLoad } from "../bench/machine.ts";
import { benchSad, type SadBenchRow } from "../bench/sad.ts";
import { measureRows, type OutputOptions, printRows, screenOf, withOutput } from "./bench-output.ts";
import { number, wholes } from "./option-values.ts";
import { type Column, plainTable } from "./plain-table.ts";
import type { Terminal } from "./terminal.ts";

interface SadOptions extends OutputOptions {
  readonly sas?: readonly number[];
  readonly seconds?: number;
  readonly json?: boolean;
}

export const addSad = (bench: Command, terminal: Terminal): void => {
  withOutput(bench.command("sad"))
    .description("the table of SAs alone: finding one by its SPI, replay windows, installing and withdrawing a pair")
    .option("--sas <list>", "pairs of SAs in it, 1 to 65536 (1,100,10000)", wholes)
    .option("--seconds <number>", "that are timed for each row (0.3)", number)
    .option("--json", "an array of rows as JSON")
    .action(async ({ sas, seconds, json = false, ...output }: SadOptions) => {
      const load = watchLoad();
      const options = { ...(sas === undefined ? {} : { sas }), ...(seconds === undefined ? {} : { seconds }) };
      const rows = await measureRows("sad", { ...output, ...options }, { terminal, json }, (onRow) =>
        benchSad(options, ({ work, sas: count }, of) => onRow(`${work}, ${count}`, of)),
      );
      printRows(screenOf(terminal, output), json, rows, () => sadBenchTable(rows, terminal), load);
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
