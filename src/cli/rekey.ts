/** `espalier rekey NAME`. */
import type { Command } from "commander";
import { callControl } from "../control/client.ts";
import { type ControlOptions, controlPath } from "./control-path.ts";
import type { Terminal } from "./terminal.ts";

export const addRekey = (program: Command, terminal: Terminal): void => {
  program
    .command("rekey")
    .description("new keys for the Child SAs of a connection, or for its IKE SA")
    .argument("<name>", "connection")
    .option("--ike", "the IKE SA instead of its Child SAs")
    .option("-c, --config <file>", "configuration file of the gateway: where its control socket is")
    .action(async (name: string, { ike = false }: { ike?: boolean }, command: Command) => {
      await callControl(await controlPath(command.optsWithGlobals<ControlOptions>(), terminal), "rekey", { name, ike });
      terminal.out(`${name}: rekeying ${ike ? "the IKE SA" : "its Child SAs"}\n`);
    });
};
