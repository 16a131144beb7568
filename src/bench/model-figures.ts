/** Beyond the processors of this machine: what the model makes of the measured costs. */
import { fitInterference, kneeOf, type PipelineCost, type PipelineLimit, predict } from "./pipeline-model.ts";
import { number, type ReportFigure, type ReportRow } from "./report-figures.ts";

const WORKERS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];
const MOST = 64;

const SCENES = [
  { name: "64 tunnels, even", tunnels: 64, sas: 1, flows: 6400, skew: 0 },
  { name: "64 tunnels, Zipf", tunnels: 64, sas: 1, flows: 64, skew: 1 },
  { name: "1 tunnel, an SA a worker, 1000 flows", tunnels: 1, sas: MOST, flows: 1000, skew: 0 },
  { name: "1 tunnel, one SA", tunnels: 1, sas: 1, flows: 1000, skew: 0 },
] as const;

const WHY: Readonly<Record<PipelineLimit, string>> = {
  processors: "the processors are all busy",
  flow: "one worker has the greatest flows alone",
  workers: "there are no more workers",
  kernel: "the kernel's part of a packet is on one processor",
};

interface Costs extends PipelineCost {
  readonly from: string;
  readonly measured: readonly { readonly workers: number; readonly ns: number; readonly pps: number }[];
}

/** Of the rows that count workers those of one kind that are most: sealing packets of usual size, if it was measured. */
const costsOf = (rows: readonly ReportRow[], processors: number): Costs | undefined => {
  const kinds = new Map<string, ReportRow[]>();
  for (const row of rows) {
    const { workers: _, ...rest } = row.what;
    const key = JSON.stringify(rest);
    kinds.set(key, [...(kinds.get(key) ?? []), row]);
  }
  const of = [...kinds.values()].sort((a, b) => b.length - a.length)[0] ?? [];
  const measured = of
    .flatMap(({ what, figures }) => {
      const workers = Number(what["workers"]);
      const ns = figures["cpuNsPerPacket"];
      const pps = figures["pps"];
      return typeof ns === "number" && typeof pps === "number" ? [{ workers, ns, pps }] : [];
    })
    .sort((a, b) => a.workers - b.workers);
  const first = measured.find(({ workers }) => workers === 1);
  if (first === undefined) return undefined;
  const { suite, engine, direction, size } = of[0]!.what;
  return {
    packetNs: first.ns,
    interference: fitInterference(measured, processors),
    kernelNs: 0,
    from: `${suite}, ${engine}, ${direction}, ${size} octets`,
    measured,
  };
};

/** Nothing where the cost of a packet was not measured. `processors`: of the machine that it was measured on. */
export const modelFigures = (rows: readonly ReportRow[], processors: number): ReportFigure[] => {
  const costs = costsOf(rows, processors);
  if (costs === undefined) return [];
  const setup = (scene: (typeof SCENES)[number], workers: number, of: number) => ({
    ...scene,
    workers,
    processors: of,
  });
  const series = SCENES.map((scene) => ({
    name: scene.name,
    values: WORKERS.map((workers) => predict(costs, setup(scene, workers, MOST)).pps),
  }));
  const here = {
    name: `this machine's ${processors} processors: predicted`,
    values: WORKERS.map((workers) => predict(costs, setup(SCENES[0], workers, processors)).pps),
    isReference: true,
  };
  const measured = {
    name: "measured here",
    values: WORKERS.map((workers) => costs.measured.find((each) => each.workers === workers)?.pps ?? null),
  };
  const knees = SCENES.flatMap((scene) =>
    [processors, 8, 16, MOST].map((of) => {
      const knee = kneeOf(costs, { ...scene, processors: of }, MOST);
      return [scene.name, `${of}`, `${knee.workers}`, number(knee.pps), WHY[knee.limit]];
    }),
  );
  const percent = (costs.interference * 100).toFixed(1);
  return [
    {
      id: "model",
      title: "By the model: packets a second for 1 to 64 workers",
      text:
        `One direction, in memory, 64 processors unless said otherwise. Fed with ${costs.packetNs.toFixed(0)} ns a packet ` +
        `(${costs.from}) and ${percent} % more for each further worker that runs, as measured here. ` +
        "The knee is where a further worker brings less than a tenth of what the first one brought: see the table for where it is, and why. " +
        "Reading and sending are not in it: they make a packet dearer, and all lines lower, in the same proportion.",
      chart: {
        kind: "lines",
        categories: WORKERS.map(String),
        xTitle: "workers",
        yTitle: "packets/s",
        series: [...series, here, measured],
      },
      head: ["flows", "processors", "knee at workers", "packets/s there", "why not more"],
      rows: knees,
    },
  ];
};
