/** `espalier initiate NAME`. */
import type { Command } from "commander";
import { callControl } from "../control/client.ts";
import { type ControlOptions, controlPath } from "./control-path.ts";
import type { Terminal } from "./terminal.ts";

export const addInitiate = (program: Command, terminal: Terminal): void => {
  program
    .command("initiate")
    .description("connect to the peer of a connection")
    .argument("<name>", "connection")
    .option("-c, --config <file>", "configuration file of the gateway: where its control socket is")
    .action(async (name: string, _: unknown, command: Command) => {
      await callControl(await controlPath(command.optsWithGlobals<ControlOptions>(), terminal), "initiate", { name });
      terminal.out(`${name}: connecting\n`);
    });
};
