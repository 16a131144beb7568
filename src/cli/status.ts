/** `espalier status`: the tunnels of a running gateway, as a table or as JSON. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Command, InvalidArgumentError } from "commander";
import { callControl } from "../control/client.ts";
import { type ControlOptions, controlPath } from "./control-path.ts";
import { statusTable } from "./status-table.ts";
import type { Terminal } from "./terminal.ts";

interface StatusOptions extends ControlOptions {
  readonly json?: boolean;
  readonly watch?: number | true;
}

const CLEAR = "\x1b[H\x1b[2J";

export const addStatus = (program: Command, terminal: Terminal): void => {
  program
    .command("status")
    .description("show the tunnels of the running gateway")
    .option("-c, --config <file>", "configuration file of the gateway: where its control socket is")
    .option("--json", "all of it as JSON")
    .option("--watch [seconds]", "again every so many seconds, until interrupted (2)", seconds)
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<StatusOptions>();
      const path = await controlPath(options, terminal);
      const show = async (before: string): Promise<void> => {
        const status = await callControl(path, "status", {});
        // One object a line when watched, so that a reader can tell them apart.
        const indent = options.watch === undefined ? 2 : undefined;
        terminal.out(
          options.json === true
            ? `${JSON.stringify(status, null, indent)}\n`
            : `${before}${statusTable(status, terminal)}\n`,
        );
      };
      if (options.watch === undefined) return show("");
      const pause = (options.watch === true ? 2 : options.watch) * 1000;
      for (;;) {
        await show(terminal.columns === undefined ? "" : CLEAR);
        await sleep(pause);
      }
    });
};

const seconds = (text: string): number => {
  const value = Number(text);
  if (!(value >= 0.1 && value <= 3600)) throw new InvalidArgumentError("Expected seconds from 0.1 to 3600.");
  return value;
};
