/** The commands of `espalier`, and the exit status of each: 0 done, 1 failed at run time, 2 wrong usage or configuration. */
import { Command, CommanderError } from "commander";
import { VERSION } from "../control/version.ts";
import { type ExitStatus, exitStatusOf, explain, type Terminal } from "./terminal.ts";

const EXAMPLES = `
Examples:
  espalier check -c gateway.yaml      say what would run, and what is wrong
  espalier run -c gateway.yaml        run it, until Ctrl-C
  espalier status                     the tunnels of the running gateway
  espalier status --json | jq .connections
  espalier rekey branch --ike         new keys for the IKE SA of a connection

Exit status: 0 done, 1 failed at run time, 2 wrong usage or configuration.
ESPALIER_CONTROL names the control socket where --control and -c do not.`;

type AddCommand = (program: Command, terminal: Terminal) => void;

/** In the order of the help. Each is loaded when it is meant, with what it needs: a gateway needs far more than a question. */
const COMMANDS: Readonly<Record<string, () => Promise<AddCommand>>> = {
  run: async () => (await import("./run.ts")).addRun,
  check: async () => (await import("./check.ts")).addCheck,
  status: async () => (await import("./status.ts")).addStatus,
  initiate: async () => (await import("./initiate.ts")).addInitiate,
  terminate: async () => (await import("./terminate.ts")).addTerminate,
  rekey: async () => (await import("./rekey.ts")).addRekey,
  bench: async () => (await import("./bench.ts")).addBench,
  tune: async () => (await import("./tune.ts")).addTune,
};

const VERSION_WORDS = ["--version", "-V"];

/** The commands that a line may mean: the one that it begins with; none beside its version; else all, to tell about. */
const commandsFor = ([first = ""]: readonly string[]): Promise<AddCommand[]> => {
  const named = Object.hasOwn(COMMANDS, first) ? COMMANDS[first] : undefined;
  const meant = named !== undefined ? [named] : VERSION_WORDS.includes(first) ? [] : Object.values(COMMANDS);
  return Promise.all(meant.map((load) => load()));
};

/** Runs one command line, without `node` and the script's name, to its end. Never throws. */
export const runCommand = async (words: readonly string[], terminal: Terminal): Promise<ExitStatus> => {
  try {
    await buildProgram(await commandsFor(words), terminal).parseAsync(words, { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // said already
    terminal.err(explain(error, terminal));
    return exitStatusOf(error);
  }
};

const buildProgram = (commands: readonly AddCommand[], terminal: Terminal): Command => {
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
  for (const add of commands) add(program, terminal);
  return program;
};
