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
    const key = JSON.stringify([row.file, rest]); // runs of another time are no comparison
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

interface Stage {
  readonly name: string;
  readonly ns: number;
}

/**
 * What a packet costs the two gateways of a tunnel, by stage: ESP as measured in memory, and the rest, which is reading and
 * writing interfaces and sockets. Empty where not both were measured.
 */
const stagesOf = (esp: readonly ReportRow[], tunnels: readonly ReportRow[]): readonly Stage[] => {
  const tunnel = tunnels.find(({ what }) => what["peer"] === "self" && what["udp"] === null && what["workers"] === 1);
  const cores = tunnel?.figures["gatewayCores"];
  const pps = tunnel?.figures["pps"];
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
    return [];
  const rest = (cores * 1e9) / pps - seal - open;
  if (rest <= 0) return [];
  return [
    { name: "sealing", ns: seal },
    { name: "opening", ns: open },
    { name: "reading and writing, both gateways", ns: rest },
  ];
};

const USUAL = 1400;

/** Nothing where the cost of a packet was not measured. `processors`: of the machine that it was measured on. */
export const modelFigures = (
  rows: readonly ReportRow[],
  tunnels: readonly ReportRow[],
  processors: number,
): ReportFigure[] => {
  const costs = costsOf(rows, processors);
  if (costs === undefined) return [];
  const { interference } = costs;
  const inMemory = {
    id: "model",
    title: "By the model: packets a second for 1 to 64 workers, ESP alone",
    from: `${costs.packetNs.toFixed(0)} ns a packet (${costs.from}); reading and sending are not in it`,
  };
  const stages = stagesOf(rows, tunnels);
  const whole = stages.reduce((sum, { ns }) => sum + ns, 0) / 2;
  return [
    figureOf(inMemory, costs, processors, costs.measured),
    ...(stages.length === 0
      ? []
      : [
          figureOf(
            {
              id: "model-gateway",
              title: "By the model: packets a second for 1 to 64 workers of a gateway",
              from: `${whole.toFixed(0)} ns a packet, the mean of both gateways: ${stages.map(({ name, ns }) => `${name} ${ns.toFixed(0)}`).join(", ")}; what the kernel does in their stead is not in it`,
            },
            { packetNs: whole, interference, kernelNs: 0 },
            processors,
            [],
          ),
        ]),
  ];
};

interface Title {
  readonly id: string;
  readonly title: string;
  readonly from: string;
}

const figureOf = (
  { id, title, from }: Title,
  cost: PipelineCost,
  processors: number,
  measured: Costs["measured"],
): ReportFigure => {
  const setup = (scene: (typeof SCENES)[number], workers: number, of: number) => ({
    ...scene,
    workers,
    processors: of,
  });
  const series = SCENES.map((scene) => ({
    name: scene.name,
    values: WORKERS.map((workers) => predict(cost, setup(scene, workers, MOST)).pps),
  }));
  const here = {
    name: `predicted for the ${processors} processors here`,
    values: WORKERS.map((workers) => predict(cost, setup(SCENES[0], workers, processors)).pps),
    isReference: true,
  };
  const found = {
    name: "measured here",
    values: WORKERS.map((workers) => measured.find((each) => each.workers === workers)?.pps ?? null),
  };
  const knees = SCENES.flatMap((scene) =>
    [...new Set([processors, 8, 16, MOST])].map((of) => {
      const knee = kneeOf(cost, { ...scene, processors: of }, MOST);
      return [scene.name, `${of}`, `${knee.workers}`, number(knee.pps), WHY[knee.limit]];
    }),
  );
  const knee = kneeOf(cost, { ...SCENES[0], processors }, MOST);
  const mark = { at: `${knee.workers}`, text: `knee here: ${WHY[knee.limit]}` };
  return {
    id,
    title,
    text:
      `One direction; ${MOST} processors unless said otherwise. Fed with ${from}; ` +
      `and ${(cost.interference * 100).toFixed(1)} % more for each further worker that runs, as measured here. ` +
      "The knee is where a further worker brings less than a tenth of what the first one brought: the table says where it is, and why.",
    chart: {
      kind: "lines",
      categories: WORKERS.map(String),
      xTitle: "workers",
      yTitle: "packets/s",
      ...(WORKERS.includes(knee.workers) ? { mark } : {}),
      series: [...series, here, ...(measured.length === 0 ? [] : [found])],
    },
    head: ["flows", "processors", "knee at workers", "packets/s there", "why not more"],
    rows: knees,
  };
};
