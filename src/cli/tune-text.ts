/** What `espalier tune` found, for people, and as rows and notes of a result. */
import pc from "picocolors";
import type { TuneResult } from "../bench/tune.ts";
import { machineLine } from "./bench-table.ts";
import { type Column, plainTable } from "./plain-table.ts";

/** Measured settings as rows of a result. */
export const tuneRows = ({ measured }: TuneResult) =>
  measured.map((row) => ({
    ...row.candidate,
    finalist: row.isFinalist ? 1 : 0,
    failed: row.failed === null ? 0 : 1,
    score: row.score,
    firstScore: row.scores[0] ?? null,
    ...(row.typical ?? { gbps: null, lostShare: null, lateShare: null, cores: null }),
    samples: row.counted,
  }));

/** What of a result is not in its rows. `about`: what it was measured for. */
export const tuneNotes = (result: TuneResult, about?: string): string[] => {
  const { suite, by, whyMemory, ended } = result;
  return [
    `${suite}, ${by === "tunnel" ? "through a tunnel" : `in memory: ${whyMemory}`}`,
    END[ended],
    ...(about === undefined ? [] : [about]),
    noiseOf(result),
    othersOf(result),
    ...failuresOf(result),
  ];
};

const END: Readonly<Record<TuneResult["ended"], string>> = {
  all: "All was measured",
  budget: "The time was over before all was measured: a longer --budget knows more",
  stopped: "It was stopped before all was measured",
};

const noiseOf = ({ noise }: TuneResult): string =>
  noise === null
    ? "By how much two must differ to be told apart is not known: there were no two rounds of finals"
    : `Finalists that differ by less than ${(noise * 100).toFixed(1)} % are not told apart`;

const othersOf = ({ otherCores, processors }: TuneResult): string =>
  `others had ${otherCores.toFixed(2)} of ${processors} processors meanwhile`;

const failuresOf = ({ measured }: TuneResult): string[] =>
  measured.flatMap(({ candidate, failed }) => {
    const settings = Object.entries(candidate).map((entry) => entry.join(" "));
    return failed === null ? [] : [`failed: ${settings.join(", ")}: ${failed.replaceAll(/\s*\n\s*/g, "; ")}`];
  });

const share = (value: number | undefined): string =>
  value === undefined ? "-" : value === 0 ? "0" : `${(value * 100).toFixed(2)} %`;

const figure = (value: number | null | undefined): string => value?.toFixed(2) ?? "-";

/** Text without a final newline. `about`: what it was measured for. */
export const tuneText = (result: TuneResult, { colour }: { readonly colour: boolean }, about?: string): string => {
  const paint = pc.createColors(colour);
  const { best, measured, reasons, settings, suite, by, whyMemory, ended } = result;
  const names = Object.keys(best.candidate);
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
      figure(row.typical?.gbps),
      gbps.length === 0 ? "-" : `${figure(Math.min(...gbps))} - ${figure(Math.max(...gbps))}`,
      share(row.typical?.lostShare),
      share(row.typical?.lateShare),
      figure(row.typical?.cores),
      row.failed === null ? figure(row.score) : "-",
      row.failed !== null
        ? paint.red("failed")
        : row === best
          ? paint.green("chosen")
          : row.isFinalist
            ? "finalist"
            : "",
    ];
  });
  const what = by === "tunnel" ? "two gateways, TCP between the hosts behind them" : `in memory alone: ${whyMemory}`;
  return [
    plainTable(columns, cells, { colour }),
    "",
    `${suite}, ${what}.`,
    ...(about === undefined ? [] : [`${about}.`]),
    "The score is Gbit/s, less ten times the share sent again and five times the share that came late; of finalists, in the finals alone.",
    `${END[ended]}.`,
    `${noiseOf(result)}.`,
    ...reasons.map((reason) => `- ${reason}`),
    ...failuresOf(result).map((failure) => `- ${failure}`),
    "",
    paint.bold("Settings:"),
    yamlOf(settings),
    "",
    othersOf(result),
    machineLine(result.load, result.machine, result.processors),
  ].join("\n");
};

const yamlOf = ({ sas, ...top }: TuneResult["settings"]): string => {
  const lines = Object.entries(top).map(([name, value]) => `${name}: ${value}`);
  if (sas !== undefined) lines.push("connections:", "  NAME:", "    children:", "      NAME:", `        sas: ${sas}`);
  return lines.map((line) => `  ${line}`).join("\n");
};
