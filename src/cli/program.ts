/** The commands of `espalier`, and the exit status of each: 0 done, 1 failed at run time, 2 wrong usage or configuration. */
import { Command, CommanderError } from "commander";
import { VERSION } from "../index.ts";
import { addBench } from "./bench.ts";
import { addCheck } from "./check.ts";
import { addInitiate } from "./initiate.ts";
import { addRekey } from "./rekey.ts";
import { addRun } from "./run.ts";
import { addStatus } from "./status.ts";
import { type ExitStatus, exitStatusOf, explain, type Terminal } from "./terminal.ts";
import { addTerminate } from "./terminate.ts";
import { addTune } from "./tune.ts";

const EXAMPLES = `
Examples:
  espalier check -c gateway.yaml      say what would run, and what is wrong
  espalier run -c gateway.yaml        run it, until Ctrl-C
  espalier status                     the tunnels of the running gateway
  espalier status --json | jq .connections
  espalier rekey branch --ike         new keys for the IKE SA of a connection

Exit status: 0 done, 1 failed at run time, 2 wrong usage or configuration.
ESPALIER_CONTROL names the control socket where --control and -c do not.`;

/** Runs one command line, without `node` and the script's name, to its end. Never throws. */
export const runCommand = async (words: readonly string[], terminal: Terminal): Promise<ExitStatus> => {
  try {
    await buildProgram(terminal).parseAsync(words, { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // said already
    terminal.err(explain(error, terminal));
    return exitStatusOf(error);
  }
};

const buildProgram = (terminal: Terminal): Command => {
  const program = new Command("espalier")
    .description("A userspace IPsec gateway: IKEv2 and ESP in worker threads.")
    .version(VERSION, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this, or the help of a command")
    .option("--control <path>", "control socket of the gateway")
    .addHelpText("after", EXAMPLES)
    .showHelpAfterError("(espalier --help shows the commands)")
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.out(text),
      writeErr: (text) => terminal.err(text),
      outputError: (text, write) => write(text.replace(/^error: /, "espalier: ")),
    });
  for (const add of [addRun, addCheck, addStatus, addInitiate, addTerminate, addRekey, addBench, addTune])
    add(program, terminal);
  return program;
};
