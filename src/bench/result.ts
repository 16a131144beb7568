/**
 * What a measurement leaves behind, one shape for every `espalier bench`: the machine, the versions and the load; what was
 * asked for; and rows, each with what was measured, its figures, and the raw samples of every run. Two runs of the same
 * side are the floor of the noise: what they differ by, nobody did.
 *
 * `result.schema.json` is this as JSON Schema.
 */
import { arch, cpus, totalmem } from "node:os";
import { z } from "zod";
import { EspalierError } from "../errors.ts";
import { BENCH_KINDS, type BenchKind } from "./bench-kind.ts";
import { watchLoad } from "./machine.ts";
import { median } from "./statistics.ts";
import { versionsFor } from "./versions.ts";

export const RESULT_SCHEMA = "espalier-bench-1";

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);

const samples = z.object({
  metric: z.string().describe("What the samples are of: a name of a figure"),
  unit: z.string(),
  better: z.enum(["more", "less"]).describe("Which way is better"),
  runs: z.array(z.array(z.number())).min(1).describe("Raw: of each run of the same side, its samples in their order"),
});

const row = z.object({
  what: z.record(z.string(), scalar).describe("What was measured: rows of two files with equal ones are the same"),
  figures: z
    .record(z.string(), z.number().nullable())
    .describe("By name, of the last run, drops of all runs; null: does not exist here"),
  samples,
  also: z.array(samples).optional().describe("Other figures that there are samples of"),
  beside: z
    .object({ name: z.string(), runs: z.array(z.array(z.number())) })
    .nullable()
    .describe("What was measured in turns with it, the ceiling for instance: a sample for each of the samples"),
  floorPercent: z
    .number()
    .nullable()
    .describe("By how much the medians of the runs differ at most: the noise; null: there was one run, or one of 0"),
  curves: z
    .record(z.string(), z.array(z.tuple([z.number(), z.number()])))
    .optional()
    .describe("Points of curves, for instance a latency (ms) by its share of all"),
  trials: z
    .array(
      z.object({
        rate: z.number().describe("Packets a second that were asked for"),
        offered: z.number().optional().describe("That were sent"),
        seconds: z.number(),
        lossPercent: z.number(),
        goal: z.string(),
      }),
    )
    .optional()
    .describe("Steps of a search, in their order"),
  atLeast: z
    .array(z.string())
    .optional()
    .describe("Names of figures that are the limit of what measured them: the truth may be more"),
});

export const benchResult = z.object({
  schema: z.literal(RESULT_SCHEMA),
  kind: z.enum(BENCH_KINDS),
  began: z.iso.datetime(),
  ended: z.iso.datetime(),
  machine: z.object({
    processor: z.string(),
    processors: z.number().int().positive(),
    memory: z.number().describe("Octets"),
    architecture: z.string(),
  }),
  versions: z
    .record(z.string(), z.string())
    .describe(
      "Of espalier, which build of it (of its code a hash), Node.js, its OpenSSL, the kernel, and who takes part",
    ),
  load: z
    .object({
      before: z.number().describe("Tasks that wanted a processor, the mean of the minute before"),
      after: z.number().describe("The same in the end"),
      others: z.number().optional().describe("Processors that other programs had meanwhile, what was stolen included"),
    })
    .describe("How busy the machine was"),
  settings: z.record(z.string(), z.unknown()).describe("What was asked for"),
  notes: z.array(z.string()).describe("What could not be measured, and why"),
  rows: z.array(row),
});

export type BenchResult = z.infer<typeof benchResult>;
export type BenchResultRow = z.infer<typeof row>;

/** A result, or what of one is known: its rows. */
export type Comparable = Pick<BenchResult, "kind" | "rows"> &
  Partial<Pick<BenchResult, "machine" | "versions" | "load" | "settings">>;

/** A flat row of a command, as `--json` prints it. */
export type FlatRow = Readonly<Record<string, unknown>>;

/** A figure that is sampled. */
interface Sampled {
  readonly metric: string;
  readonly unit: string;
  readonly better: "more" | "less";
}

interface RowShape extends Sampled {
  /** Fields that say what was measured. */
  readonly what: readonly string[];
  /** Others, where a run has more than one sample of them: in the row's `alsoSamples`, by their names. */
  readonly also?: readonly Sampled[];
  /** Figures that count what went wrong: of all runs. */
  readonly faults?: readonly string[];
}

/** How the rows of each command are read. A field of numbers that is not in `what` is a figure. */
export const ROW_SHAPES: Readonly<Record<BenchKind, RowShape>> = {
  esp: {
    what: ["suite", "direction", "size", "workers", "sas", "train", "engine", "esn", "window", "batch"],
    metric: "pps",
    unit: "packets/s",
    better: "more",
    also: [{ metric: "cpuNsPerPacket", unit: "ns/packet", better: "less" }],
    faults: ["drops"],
  },
  tunnel: {
    what: [
      "peer",
      "streams",
      "udp",
      "rate",
      "search",
      "maxLossPercent",
      "suite",
      "engine",
      "workers",
      "poll",
      "batch",
      "sas",
      "encap",
      "offloads",
    ],
    metric: "gbps",
    unit: "Gbit/s",
    better: "more",
    also: [
      { metric: "cpuPerGbit", unit: "CPU s/Gbit", better: "less" },
      { metric: "loadedP99Ms", unit: "ms", better: "less" },
      { metric: "ndrPps", unit: "packets/s", better: "more" },
      { metric: "pdrPps", unit: "packets/s", better: "more" },
    ],
  },
  ike: {
    what: ["what", "keyExchange", "authentication", "transport", "clients", "rate", "keyThreads"],
    metric: "perSecond",
    unit: "1/s",
    better: "more",
  },
  idle: { what: ["side", "tunnels", "kex", "livenessSeconds"], metric: "cpuPercent", unit: "%", better: "less" },
  sad: { what: ["work", "sas"], metric: "perSecond", unit: "1/s", better: "more" },
  spd: { what: ["list", "family", "policies"], metric: "lookupsPerSecond", unit: "lookups/s", better: "more" },
  tune: { what: ["workers", "sas", "batch", "poll", "engine"], metric: "score", unit: "Gbit/s", better: "more" },
};

const isScalar = (value: unknown): value is string | number | boolean | null => scalar.safeParse(value).success;

const numbersOf = (value: unknown): number[] | undefined => {
  const read = z.array(z.number()).min(1).safeParse(value);
  return read.success ? read.data : undefined;
};

export const sumOf = (rows: readonly FlatRow[], name: string): number =>
  rows.reduce((sum, { [name]: value }) => sum + (typeof value === "number" ? value : 0), 0);

const alsoSamplesOf = ({ alsoSamples: of }: FlatRow, metric: string): number[] | undefined =>
  isPlain(of) ? numbersOf(of[metric]) : undefined;

/** An object of figures, one level deep. */
const isPlain = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * Runs of the same rows, in the same order, as rows of a result. A row's `samples` are its raw ones; without them its
 * figure is the one sample. Its `ceilingSamples` go with it as what was beside it, `curves`, `trials`
 * and `atLeast` as they are.
 */
export const resultRows = (kind: BenchKind, runs: readonly (readonly FlatRow[])[]): BenchResultRow[] => {
  const shape = ROW_SHAPES[kind];
  const last = runs.at(-1) ?? [];
  return last.map((flat, index) => {
    const own = runs.flatMap((rows): FlatRow[] => (rows[index] === undefined ? [] : [rows[index]]));
    const of = own.map((each) => numbersOf(each["samples"]) ?? numbersOf([each[shape.metric]]) ?? []);
    const ceilings = own.map((each) => numbersOf(each["ceilingSamples"]) ?? []);
    const name = flat["ceiling"];
    const what = Object.fromEntries(
      Object.entries(flat).flatMap(([key, value]) =>
        isScalar(value) && (shape.what.includes(key) || typeof value === "string" || typeof value === "boolean")
          ? [[key, value]]
          : [],
      ),
    );
    const { ceiling: _, machine: __, ...named } = what;
    const figures = Object.fromEntries(
      Object.entries(flat)
        .flatMap(([key, value]): [string, unknown][] =>
          isPlain(value) ? Object.entries(value).map(([name, of]) => [`${key}.${name}`, of]) : [[key, value]],
        )
        .filter(
          (entry): entry is [string, number | null] =>
            !shape.what.includes(entry[0]) &&
            (typeof entry[1] === "number" || entry[1] === null) &&
            entry[0] !== "ceiling",
        ),
    );
    for (const name of shape.faults ?? []) figures[name] = sumOf(own, name);
    const { curves, trials, atLeast } = row
      .pick({ curves: true, trials: true, atLeast: true })
      .parse({ curves: flat["curves"], trials: flat["trials"], atLeast: flat["atLeast"] });
    const also = (shape.also ?? []).flatMap((sampled) => {
      const runs = own.map((each) => alsoSamplesOf(each, sampled.metric) ?? []);
      return runs.every(({ length }) => length > 1) ? [{ ...sampled, runs }] : [];
    });
    return {
      what: named,
      figures,
      samples: { metric: shape.metric, unit: shape.unit, better: shape.better, runs: of },
      ...(also.length === 0 ? {} : { also }),
      beside: typeof name === "string" && ceilings.every(({ length }) => length > 0) ? { name, runs: ceilings } : null,
      floorPercent: floorOf(of),
      ...(curves === undefined ? {} : { curves }),
      ...(trials === undefined ? {} : { trials }),
      ...(atLeast === undefined ? {} : { atLeast }),
    };
  });
};

/** Percent that the medians of runs differ by at most; null for one run, and where one is 0. */
export const floorOf = (runs: readonly (readonly number[])[]): number | null => {
  const medians = runs.filter(({ length }) => length > 0).map((run) => median(run));
  return medians.length < 2 || medians.includes(0) ? null : (Math.max(...medians) / Math.min(...medians) - 1) * 100;
};

/** Begins with the load of now; `end` makes the result. `folder`: of the code that measures, if it is not this. */
export const beginResult = (kind: BenchKind, settings: Readonly<Record<string, unknown>>, folder?: string) => {
  const began = new Date().toISOString();
  const load = watchLoad();
  const versions = versionsFor(kind, folder);
  return {
    end: (runs: readonly (readonly FlatRow[])[], notes: readonly string[] = []): BenchResult => ({
      schema: RESULT_SCHEMA,
      kind,
      began,
      ended: new Date().toISOString(),
      machine: {
        processor: cpus()[0]?.model ?? arch(),
        processors: cpus().length,
        memory: totalmem(),
        architecture: arch(),
      },
      versions,
      load: load(),
      settings,
      notes: [...notes],
      rows: resultRows(kind, runs),
    }),
  };
};

/** Throws ESPALIER_USAGE when `text` is no result; `name` is what it is called in the complaint. */
export const parseResult = (text: string, name: string): BenchResult => resultOf(jsonOf(text, name), name);

export const jsonOf = (text: string, name: string): unknown => {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new EspalierError("ESPALIER_USAGE", `${name} is no JSON: ${(cause as Error).message}`, { cause });
  }
};

export const resultOf = (value: unknown, name: string): BenchResult => {
  const read = benchResult.safeParse(value);
  if (read.success) return read.data;
  throw new EspalierError("ESPALIER_USAGE", `${name} is no result of espalier bench:\n${z.prettifyError(read.error)}`, {
    remedy: "Results are written with --out, or printed with --out -; --json prints rows alone.",
  });
};

/** JSON Schema (2020-12) of a result. */
export const resultJsonSchema = (): object => ({
  $id: RESULT_SCHEMA,
  title: "A result of espalier bench",
  ...z.toJSONSchema(benchResult),
});
