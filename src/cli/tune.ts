/** `espalier tune`: the settings that carry the most on this machine. */
import { accessSync, constants, readFileSync, writeFileSync } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import { type TuneOptions, type TuneResult, tune } from "../bench/tune.ts";
import { applySettings } from "../config/apply-settings.ts";
import { loadConfig, parseConfig } from "../config/load.ts";
import { SUITES } from "../crypto/suites.ts";
import { EspalierError } from "../errors.ts";
import { measureRuns, screenOf } from "./bench-output.ts";
import { number, wholes, words } from "./option-values.ts";
import { startProgress } from "./progress.ts";
import type { Terminal } from "./terminal.ts";
import { tuneNotes, tuneRows, tuneText } from "./tune-text.ts";
import { untilSignal } from "./until-signal.ts";

interface Given {
  readonly config?: string;
  readonly workers?: readonly number[];
  readonly sas?: readonly (number | "auto")[];
  readonly batch?: readonly number[];
  readonly poll?: readonly string[];
  readonly engine?: readonly string[];
  readonly budget: number;
  readonly streams: number;
  readonly apply?: boolean;
  readonly exhaustive?: boolean;
  readonly json?: boolean;
  readonly out?: string;
}

export const addTune = (program: Command, terminal: Terminal): void => {
  program
    .command("tune")
    .description(
      "find the workers, SAs, batch size, poll strategy and engine that carry the most on this machine; best as root",
    )
    .option("-c, --config <file>", "configuration file: its suite and encapsulation, and where to begin")
    .option("--budget <time>", "seconds, or 5m: when it must be done", seconds, 60)
    .option("--streams <number>", "of TCP, 1 to 128", number, 4)
    .option("--workers <list>", "try these numbers of workers alone (to twice the processors)", wholes)
    .option("--sas <list>", "the same of pairs of SAs of a tunnel, and auto", pairs)
    .option("--batch <list>", "of batch sizes (32, 64, 128, 256)", wholes)
    .option("--poll <list>", "of poll strategies (all)", words)
    .option("--engine <list>", "of engines (all that work)", words)
    .option("--exhaustive", "measure every combination, as far as the time allows")
    .option("--apply", "write the settings into the configuration file; its comments stay")
    .option("--out <file>", "keep everything for `bench report`; -: print it")
    .option("--json", "one object as JSON")
    .action(async (given: Given) => {
      if (given.apply === true && given.config === undefined)
        throw new EspalierError("ESPALIER_USAGE", "--apply needs a file to write into", { remedy: "Give it with -c." });
      const { configured, about } = fromConfig(given.config);
      if (given.apply === true && given.config !== undefined) checkApply(given.config);
      const progress = startProgress(terminal, given.json === true);
      let result: TuneResult | undefined;
      const notes: string[] = [];
      const { budget, streams, workers, sas, batch, poll, engine, out } = given;
      const values = Object.fromEntries(
        Object.entries({ workers, sas, batch, poll, engine }).filter(([, list]) => list !== undefined),
      );
      const settings = { ...configured, values, budget, streams, exhaustive: given.exhaustive === true };
      // Ctrl-C: with what there is.
      await untilSignal(async (signal) => {
        try {
          await measureRuns(
            "tune",
            { ...settings, runs: 1, ...(out === undefined ? {} : { out }) },
            terminal,
            async () => {
              result = await tune({ ...settings, signal, onProgress: progress.at });
              notes.push(...tuneNotes(result, about));
              return tuneRows(result);
            },
            notes,
          );
        } catch (error) {
          if (!signal.aborted || result !== undefined) throw error;
        } finally {
          progress.end();
        }
      }, "SIGINT");
      if (result === undefined) {
        terminal.err("stopped before anything was measured\n");
        return;
      }
      screenOf(terminal, given).out(
        given.json === true ? `${JSON.stringify(result, null, 2)}\n` : `${tuneText(result, terminal, about)}\n`,
      );
      if (given.apply === true && given.config !== undefined) apply(given.config, result, terminal);
    });
};

const seconds = (text: string): number => {
  const [, value, unit] = /^(\d+(?:\.\d+)?)(s|m|h)?$/.exec(text) ?? [];
  if (value === undefined) throw new InvalidArgumentError("Expected a time such as 60s or 5m.");
  return Number(value) * (unit === "h" ? 3600 : unit === "m" ? 60 : 1);
};

const pairs = (text: string): (number | "auto")[] =>
  words(text).flatMap((word): (number | "auto")[] => (word === "auto" ? [word] : wholes(word)));

interface FromConfig {
  readonly configured: TuneOptions;
  /** What of the file is tuned for. */
  readonly about?: string;
}

/** Tuned is for one tunnel: the first child of the first connection. */
const fromConfig = (file: string | undefined): FromConfig => {
  if (file === undefined) return { configured: {} };
  const { workers, poll, batch, engine, connections } = loadConfig(file);
  const [connection] = connections;
  const [child] = connection?.children ?? [];
  const top = { workers, poll, batch, engine };
  if (connection === undefined || child === undefined) return { configured: top };
  const suite = suiteOf(child.manual?.suite ?? child.proposals[0] ?? "");
  const children = connections.reduce((sum, { children }) => sum + children.length, 0);
  const others = ["", "; its other child was not looked at"][children - 1];
  const unseen = others ?? `; its ${children - 1} other children were not looked at`;
  return {
    configured: {
      ...top,
      encap: connection.encap,
      sas: child.sas,
      ...(suite === undefined ? {} : { suite: suite.name }),
    },
    about: `For one tunnel, of ${connection.name}/${child.name} in ${file}, encap ${connection.encap}${unseen}`,
  };
};

/** The suite that a proposal begins with: behind it may stand a key exchange and what else is negotiated. */
const suiteOf = (proposal: string): { readonly name: string } | undefined =>
  SUITES.filter(({ name }) => `${proposal}-`.startsWith(`${name}-`)).sort((a, b) => b.name.length - a.name.length)[0];

/** Throws before anything is measured what would be thrown after. */
const checkApply = (file: string): void => {
  try {
    accessSync(file, constants.W_OK);
  } catch (cause) {
    throw new EspalierError("ESPALIER_USAGE", `${file} cannot be written: ${(cause as Error).message}`, { cause });
  }
  const settings = { workers: 1, poll: "adaptive", batch: 1, engine: "auto", sas: "auto" } as const;
  parseConfig(applySettings(readFileSync(file, "utf8"), settings), file);
};

const apply = (file: string, { best, settings }: TuneResult, terminal: Terminal): void => {
  if (best.score <= 0)
    throw new EspalierError("ESPALIER_PLATFORM", "nothing was written: no settings came to a score above 0");
  const children = loadConfig(file).connections.reduce((sum, { children }) => sum + children.length, 0);
  writeFileSync(file, applySettings(readFileSync(file, "utf8"), settings));
  const where = children === 1 ? "its child" : `each of its ${children} children`;
  const words = Object.entries(settings).map(([name, value]) =>
    name === "sas" ? `${name} ${value} in ${where}` : `${name} ${value}`,
  );
  terminal.err(`written into ${file}: ${words.join(", ")}; a running gateway takes them when it is started again\n`);
};
