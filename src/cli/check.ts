/** `espalier check`: what a configuration would run, or all that is wrong with it. */
import type { Command } from "commander";
import { describeConfig } from "../config/describe.ts";
import { loadConfig } from "../config/load.ts";
import { describeEngines } from "../gateway/engines.ts";
import type { Terminal } from "./terminal.ts";

export const addCheck = (program: Command, terminal: Terminal): void => {
  program
    .command("check")
    .description("read a configuration and say what would run")
    .requiredOption("-c, --config <file>", "configuration file")
    .option("-q, --quiet", "say only what is wrong")
    .action(({ config, quiet }: { config: string; quiet?: boolean }) => {
      const loaded = loadConfig(config);
      if (quiet !== true) terminal.out(`${[describeConfig(loaded), "", ...describeEngines(loaded)].join("\n")}\n`);
    });
};
