/** `espalier terminate NAME`. */
import type { Command } from "commander";
import { callControl } from "../control/client.ts";
import { type ControlOptions, controlPath } from "./control-path.ts";
import type { Terminal } from "./terminal.ts";

export const addTerminate = (program: Command, terminal: Terminal): void => {
  program
    .command("terminate")
    .description("delete the SAs of a connection, here and at the peer")
    .argument("<name>", "connection")
    .option("-c, --config <file>", "configuration file of the gateway: where its control socket is")
    .action(async (name: string, _: unknown, command: Command) => {
      await callControl(await controlPath(command.optsWithGlobals<ControlOptions>(), terminal), "terminate", { name });
      terminal.out(`${name}: closing\n`);
    });
};
