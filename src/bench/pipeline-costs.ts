/** What was measured, as costs that the model takes: of ESP in memory by workers, and of a tunnel's packet by stage. */
import { fitInterference, type MeasuredCost, type PipelineCost, toFit } from "./pipeline-model.ts";
import { type ReportRow, range, type Scalar } from "./report-figures.ts";

/** Octets of a packet that fills its link, nearly. */
const USUAL = 1400;

export interface MeasuredRate extends MeasuredCost {
  readonly pps: number;
  /** Least and greatest sample of all runs; null: there are not two. */
  readonly spread: readonly [number, number] | null;
}

/** Rows that differ in the number of workers alone, by that number. */
export interface EspCosts {
  readonly cost: PipelineCost;
  /** Numbers of workers that interference was fitted to. */
  readonly fitted: readonly number[];
  readonly what: Readonly<Record<string, Scalar>>;
  readonly measured: readonly MeasuredRate[];
}

/** Of one file each, as runs of another time are no comparison; only those that have a row of one worker. */
const espCosts = (rows: readonly ReportRow[], processors: number): EspCosts[] => {
  const kinds = new Map<string, ReportRow[]>();
  for (const row of rows) {
    const { workers: _, ...rest } = row.what;
    const key = JSON.stringify([row.file, rest]);
    kinds.set(key, [...(kinds.get(key) ?? []), row]);
  }
  return [...kinds.values()].flatMap((of) => {
    const measured = of.flatMap(rateOf).sort((a, b) => a.workers - b.workers);
    const first = measured.find(({ workers }) => workers === 1);
    if (first === undefined) return [];
    const fit = toFit(measured, processors);
    const cost = { packetNs: first.ns, interference: fitInterference(fit, processors), kernelNs: 0 };
    return [{ cost, fitted: fit.map(({ workers }) => workers), what: { ...of[0]!.what, file: of[0]!.file }, measured }];
  });
};

const rateOf = (row: ReportRow): MeasuredRate[] => {
  const { cpuNsPerPacket: ns, pps } = row.figures;
  return typeof ns === "number" && typeof pps === "number"
    ? [{ workers: Number(row.what["workers"]), ns, pps, spread: range(row, 1) }]
    : [];
};

/**
 * The kind of rows that says most: several numbers of workers before one, then the size that is nearest to the usual one, then
 * one SA a worker, then sealing, then more numbers of workers. Undefined where nothing was measured with one worker.
 */
export const bestCosts = (rows: readonly ReportRow[], processors: number): EspCosts | undefined => {
  const worth = ({ what, measured }: EspCosts): readonly number[] => {
    const { size, sas, direction } = what;
    return [
      Number(measured.length > 1),
      typeof size === "number" ? -Math.abs(size - USUAL) : Number.NEGATIVE_INFINITY,
      -Number(sas),
      Number(direction === "seal"),
      measured.length,
    ];
  };
  return espCosts(rows, processors).reduce<EspCosts | undefined>((best, each) => {
    if (best === undefined) return each;
    const [a, b] = [worth(best), worth(each)];
    const at = a.findIndex((value, i) => value !== b[i]);
    return at >= 0 && b[at]! > a[at]! ? each : best;
  }, undefined);
};

/** The same of both directions, where both were measured. */
export const bothDirections = (rows: readonly ReportRow[], best: EspCosts, processors: number): EspCosts[] => {
  const key = ({ what }: EspCosts): string => JSON.stringify({ ...what, direction: null });
  return espCosts(rows, processors).filter((each) => key(each) === key(best));
};

export interface Stage {
  readonly name: string;
  /** Of a packet, both gateways. */
  readonly ns: number;
}

export interface Stages {
  /** In the gateways' processes. */
  readonly gateways: readonly Stage[];
  /** ns of what the kernel does on its own account, from one host to the other; null: was not measured. */
  readonly kernelNs: number | null;
}

/**
 * What a packet costs on its way through the two gateways of a tunnel, by stage: ESP as measured in memory, the rest, which is
 * reading and writing interfaces and sockets, and the kernel. Undefined where ESP and tunnel were not both measured.
 */
export const stagesOf = (esp: readonly ReportRow[], tunnels: readonly ReportRow[]): Stages | undefined => {
  const tunnel = tunnels.find(({ what }) => what["peer"] === "self" && what["udp"] === null && what["workers"] === 1);
  const { gatewayCores: cores, kernelCores, pps } = tunnel?.figures ?? {};
  const cost = (direction: string): number | null | undefined =>
    esp.find(
      ({ what }) =>
        what["direction"] === direction &&
        what["size"] === USUAL &&
        what["workers"] === 1 &&
        what["sas"] === 1 &&
        what["suite"] === tunnel?.what["suite"] &&
        what["engine"] === tunnel?.what["engine"],
    )?.figures["cpuNsPerPacket"];
  const seal = cost("seal");
  const open = cost("open");
  if (typeof cores !== "number" || typeof pps !== "number" || typeof seal !== "number" || typeof open !== "number")
    return undefined;
  const rest = (cores * 1e9) / pps - seal - open;
  if (rest <= 0) return undefined;
  return {
    gateways: [
      { name: "sealing", ns: seal },
      { name: "opening", ns: open },
      { name: "reading and writing", ns: rest },
    ],
    kernelNs: typeof kernelCores === "number" ? (kernelCores * 1e9) / pps : null,
  };
};
