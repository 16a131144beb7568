/** `espalier check`: what a configuration would run, or all that is wrong with it. */
import type { Command } from "commander";
import { describeConfig, loadConfig } from "../index.ts";
import type { Terminal } from "./terminal.ts";

export const addCheck = (program: Command, terminal: Terminal): void => {
  program
    .command("check")
    .description("read a configuration and say what would run")
    .requiredOption("-c, --config <file>", "configuration file")
    .option("-q, --quiet", "say only what is wrong")
    .action(({ config, quiet }: { config: string; quiet?: boolean }) => {
      const text = describeConfig(loadConfig(config));
      if (quiet !== true) terminal.out(`${text}\n`);
    });
};
