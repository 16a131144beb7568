/** `espalier bench report`: results as a page of plots. */
import { mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Command } from "commander";
import { makeReport } from "../bench/report.ts";
import { readResult } from "./bench-output.ts";
import type { Terminal } from "./terminal.ts";

interface ReportOptions {
  readonly output: string;
  readonly svg?: string;
  readonly markdown?: string;
}

export const addReport = (bench: Command, terminal: Terminal): void => {
  bench
    .command("report")
    .description("results (--out) as one page of plots that needs nothing else")
    .argument("<result...>", "files")
    .option("-o, --output <file>", "the page", "report.html")
    .option("--svg <folder>", "each chart as a file as well, for papers")
    .option("--markdown <file>", "the tables as Markdown")
    .action(async (files: readonly string[], { output, svg, markdown }: ReportOptions) => {
      const results = files.map((file) => ({ name: basename(file, ".json"), result: readResult(file) }));
      const report = await makeReport(results);
      writeFileSync(output, report.html);
      if (svg !== undefined) {
        mkdirSync(svg, { recursive: true });
        for (const [name, text] of report.svg) writeFileSync(join(svg, name), text);
      }
      if (markdown !== undefined) writeFileSync(markdown, report.markdown);
      terminal.out(`${output}: ${report.svg.size} figures of ${files.length} results\n`);
    });
};
