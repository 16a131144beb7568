/** `espalier tune`: the settings that carry the most on this machine. */
import { readFileSync, writeFileSync } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import pc from "picocolors";
import { describeMachine } from "../bench/machine.ts";
import { type TuneOptions, type TuneResult, tune } from "../bench/tune.ts";
import { applySettings } from "../config/apply-settings.ts";
import { loadConfig } from "../config/load.ts";
import { SUITES } from "../crypto/suites.ts";
import { measureRuns, screenOf } from "./bench-output.ts";
import { wholes, words } from "./option-values.ts";
import { type Column, plainTable } from "./plain-table.ts";
import { startProgress } from "./progress.ts";
import type { Terminal } from "./terminal.ts";

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
    .option("--streams <number>", "of TCP", Number, 4)
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
      const configured = fromConfig(given.config);
      const abort = new AbortController();
      const stop = (): void => abort.abort(new Error("stopped")); // with what there is
      process.once("SIGINT", stop);
      const progress = startProgress(terminal, given.json === true);
      let result: TuneResult | undefined;
      const notes: string[] = [];
      const { budget, streams, workers, sas, batch, poll, engine } = given;
      const values = Object.fromEntries(
        Object.entries({ workers, sas, batch, poll, engine }).filter(([, list]) => list !== undefined),
      );
      const exhaustive = given.exhaustive === true;
      try {
        const settings = { ...configured, values, budget, streams, exhaustive };
        await measureRuns(
          "tune",
          { ...settings, runs: 1, ...(given.out === undefined ? {} : { out: given.out }) },
          terminal,
          async () => {
            result = await tune({ ...settings, signal: abort.signal, onProgress: progress.at });
            notes.push(...notesOf(result));
            return rowsOf(result);
          },
          notes,
        );
      } catch (error) {
        if (!abort.signal.aborted || result !== undefined) throw error;
      } finally {
        progress.end();
        process.off("SIGINT", stop);
      }
      if (result === undefined) {
        terminal.err("stopped before anything was measured\n");
        return;
      }
      screenOf(terminal, given).out(
        given.json === true ? `${JSON.stringify(result, null, 2)}\n` : `${tuneText(result, terminal)}\n`,
      );
      if (given.apply === true) apply(given.config, result, terminal);
    });
};

const seconds = (text: string): number => {
  const [, value, unit] = /^(\d+(?:\.\d+)?)(s|m|h)?$/.exec(text) ?? [];
  if (value === undefined) throw new InvalidArgumentError("Expected a time such as 60s or 5m.");
  return Number(value) * (unit === "h" ? 3600 : unit === "m" ? 60 : 1);
};

const pairs = (text: string): (number | "auto")[] =>
  words(text).flatMap((word): (number | "auto")[] => (word === "auto" ? [word] : wholes(word)));

/** What of a configuration is tuned for: its first child. */
const fromConfig = (file: string | undefined): TuneOptions => {
  if (file === undefined) return {};
  const { workers, poll, batch, engine, connections } = loadConfig(file);
  const [connection] = connections;
  const [child] = connection?.children ?? [];
  const suite = child === undefined ? undefined : suiteOf(child.proposals[0] ?? "");
  return {
    workers,
    poll,
    batch,
    engine,
    ...(connection === undefined ? {} : { encap: connection.encap }),
    ...(child === undefined ? {} : { sas: child.sas }),
    ...(suite === undefined ? {} : { suite: suite.name }),
  };
};

/** The suite that a proposal begins with: behind it may stand a key exchange and what else is negotiated. */
const suiteOf = (proposal: string): { readonly name: string } | undefined =>
  SUITES.filter(({ name }) => `${proposal}-`.startsWith(`${name}-`)).sort((a, b) => b.name.length - a.name.length)[0];

/** Measured settings as rows of a result. */
const rowsOf = ({ measured }: TuneResult) =>
  measured.map(({ candidate, score, scores, samples, isFinalist }) => ({
    ...candidate,
    finalist: isFinalist ? 1 : 0,
    score,
    gbps: middle(samples.map(({ gbps }) => gbps)),
    lostShare: middle(samples.map(({ lostShare }) => lostShare)),
    lateShare: middle(samples.map(({ lateShare }) => lateShare)),
    cores: middle(samples.map(({ cores }) => cores)),
    samples: scores,
  }));

/** What of a result is not in its rows. */
const notesOf = ({ suite, by, whyMemory, ended, noise }: TuneResult): string[] => [
  `${suite}, ${by === "tunnel" ? "through a tunnel" : `in memory: ${whyMemory}`}; ${END[ended]}`,
  `samples of the same settings differ by ${(noise * 100).toFixed(1)} %`,
];

const END: Readonly<Record<TuneResult["ended"], string>> = {
  all: "all was measured",
  budget: "the time was over before all was measured; a longer --budget knows more",
  stopped: "stopped before all was measured",
};

const middle = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const share = (value: number): string => (value === 0 ? "0" : `${(value * 100).toFixed(2)} %`);

/** Text without a final newline. */
export const tuneText = (result: TuneResult, { colour }: { readonly colour: boolean }): string => {
  const paint = pc.createColors(colour);
  const { best, measured, reasons, settings, suite, by, whyMemory, ended, noise } = result;
  const names = Object.keys(best.candidate);
  const known = measured.some(({ samples }) => samples.length > 1);
  const columns: Column[] = [
    ...names.map((title) => ({ title, right: ["workers", "sas", "batch"].includes(title) })),
    { title: "times", right: true },
    { title: "Gbit/s", right: true },
    { title: "from - to", right: true },
    { title: "sent again", right: true },
    { title: "late", right: true },
    { title: "processors", right: true },
    { title: "score", right: true },
    { title: "" },
  ];
  const cells = measured.map((row) => {
    const gbps = row.samples.map((sample) => sample.gbps);
    return [
      ...names.map((name) => String(row.candidate[name])),
      `${row.samples.length}`,
      middle(gbps).toFixed(2),
      `${Math.min(...gbps).toFixed(2)} - ${Math.max(...gbps).toFixed(2)}`,
      share(middle(row.samples.map(({ lostShare }) => lostShare))),
      share(middle(row.samples.map(({ lateShare }) => lateShare))),
      middle(row.samples.map(({ cores }) => cores)).toFixed(2),
      row.score.toFixed(2),
      row === best ? paint.green("chosen") : row.isFinalist ? "finalist" : "",
    ];
  });
  const what = by === "tunnel" ? "two gateways, TCP between the hosts behind them" : `in memory alone: ${whyMemory}`;
  return [
    plainTable(columns, cells, { colour }),
    "",
    `${suite}, ${what}. The score is Gbit/s, less ten times the share sent again and five times the share that came late.`,
    `${END[ended]}; ${known ? `what differs by less than ${(noise * 100).toFixed(0)} % is noise` : "how much samples differ is not known"}.`,
    ...reasons.map((reason) => `- ${reason}`),
    "",
    paint.bold("Settings:"),
    yamlOf(settings),
    "",
    describeMachine(),
  ].join("\n");
};

const yamlOf = ({ sas, ...top }: TuneResult["settings"]): string => {
  const lines = Object.entries(top).map(([name, value]) => `${name}: ${value}`);
  if (sas !== undefined) lines.push("connections:", "  NAME:", "    children:", "      NAME:", `        sas: ${sas}`);
  return lines.map((line) => `  ${line}`).join("\n");
};

const apply = (file: string | undefined, { settings }: TuneResult, terminal: Terminal): void => {
  if (file === undefined) {
    terminal.err("nothing was written: --apply needs the file, -c\n");
    return;
  }
  writeFileSync(file, applySettings(readFileSync(file, "utf8"), settings));
  terminal.err(`written into ${file}; a running gateway takes them when it is started again\n`);
};
