/** `espalier bench spd`: what it costs to find the policy of a packet. */
import type { Command } from "commander";
import { watchLoad } from "../bench/machine.ts";
import { benchSpd, type SpdBenchRow } from "../bench/spd.ts";
import { measureRows, type OutputOptions, printRows, screenOf, withOutput } from "./bench-output.ts";
import { number, wholes, words } from "./option-values.ts";
import { type Column, plainTable } from "./plain-table.ts";
import type { Terminal } from "./terminal.ts";

interface SpdOptions extends OutputOptions {
  readonly policies?: readonly number[];
  readonly list?: readonly string[];
  readonly family?: readonly string[];
  readonly seconds?: number;
  readonly json?: boolean;
}

export const addSpd = (bench: Command, terminal: Terminal): void => {
  withOutput(bench.command("spd"))
    .description("finding the policy of a packet; each answer is checked against asking one policy after the other")
    .option("--policies <list>", "entries of the list, 1 to 10000 (10,100,1000,10000)", wholes)
    .option("--list <list>", "subnets, hosts, ports, mixed (all)", words)
    .option("--family <list>", "ipv4, ipv6 (both)", words)
    .option("--seconds <number>", "that are timed for each row (0.3)", number)
    .option("--json", "an array of rows as JSON")
    .action(async ({ policies, list, family, seconds, json = false, ...output }: SpdOptions) => {
      const load = watchLoad();
      const options = {
        ...(policies === undefined ? {} : { policies }),
        ...(list === undefined ? {} : { lists: list }),
        ...(family === undefined ? {} : { families: family }),
        ...(seconds === undefined ? {} : { seconds }),
      };
      const rows = await measureRows("spd", { ...output, ...options }, { terminal, json }, (onRow) =>
        benchSpd(options, ({ list: name, policies: count }, of) => onRow(`${name}, ${count}`, of)),
      );
      printRows(screenOf(terminal, output), json, rows, () => spdBenchTable(rows, terminal), load);
    });
};

const COLUMNS: readonly Column[] = [
  { title: "list" },
  { title: "family" },
  { title: "policies", right: true },
  { title: "ns a lookup", right: true },
  { title: "lookups/s", right: true },
  { title: "table, KiB", right: true },
  { title: "made in ms", right: true },
  { title: "checked", right: true },
];

/** Text without a final newline. */
export const spdBenchTable = (rows: readonly SpdBenchRow[], { colour }: { readonly colour: boolean }): string =>
  plainTable(
    COLUMNS,
    rows.map(({ list, family, policies, nsPerLookup, lookupsPerSecond, tableBytes, compileMs, checked }) => [
      list,
      family,
      `${policies}`,
      nsPerLookup.toFixed(0),
      `${(lookupsPerSecond / 1e6).toFixed(1)} M`,
      (tableBytes / 1024).toFixed(0),
      compileMs.toFixed(1),
      `${checked}`,
    ]),
    { colour },
  );
