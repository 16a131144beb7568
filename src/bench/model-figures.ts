/** Beyond the processors of this machine: what the model makes of the measured costs, and how right it is here. */
import type { ChartSeries } from "./charts.ts";
import { bestCosts, bothDirections, type EspCosts, type Stages, stagesOf } from "./pipeline-costs.ts";
import { kneeOf, type PipelineCost, type PipelineKnee, predict } from "./pipeline-model.ts";
import { simulatedRate } from "./pipeline-simulation.ts";
import { number, type ReportFigure, type ReportRow } from "./report-figures.ts";

const WORKERS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];
const MOST = 64;

const EVEN = { name: "64 tunnels, even", tunnels: 64, sas: 1, flows: 64, skew: 0 };
const ZIPF = { name: "64 tunnels, Zipf", tunnels: 64, sas: 1, flows: 64, skew: 1 };
const SCENES = [
  EVEN,
  ZIPF,
  { name: "8 tunnels, even", tunnels: 8, sas: 1, flows: 8, skew: 0 },
  { name: "1 tunnel, an SA a worker, many flows", tunnels: 1, sas: MOST, flows: 1680, skew: 0 },
  { name: "1 tunnel, one SA", tunnels: 1, sas: 1, flows: 1, skew: 0 },
];

const WHY: Readonly<Record<PipelineKnee["limit"], string>> = {
  processors: "the processors are all busy",
  flow: "the busiest worker gets no relief",
  workers: "there are no more workers",
  kernel: "the kernel receives a tunnel on one processor",
  interference: "workers slow one another",
};

/** Nothing where the cost of a packet was not measured. `processors`: of the machine that it was measured on. */
export const modelFigures = (
  rows: readonly ReportRow[],
  tunnels: readonly ReportRow[],
  processors: number,
): ReportFigure[] => {
  const best = bestCosts(rows, processors);
  if (best === undefined) return [];
  const stages = stagesOf(rows, tunnels);
  return [
    ...checkFigure(bothDirections(rows, best, processors), processors),
    rateFigure(
      {
        id: "model",
        title: "By the model: packets a second for 1 to 64 workers, ESP alone",
        from: `${best.cost.packetNs.toFixed(0)} ns a packet (${nameOf(best)}); reading, sending and the kernel are not in it`,
      },
      best.cost,
      best,
      processors,
    ),
    ...(stages === undefined
      ? []
      : [
          rateFigure(
            {
              id: "model-gateway",
              title: "By the model: packets a second for 1 to 64 workers of a gateway",
              from: stagesText(stages),
            },
            { ...best.cost, packetNs: meanOf(stages), kernelNs: (stages.kernelNs ?? 0) / 2 },
            best,
            processors,
          ),
        ]),
  ];
};

const nameOf = ({ what }: EspCosts): string =>
  `${what["suite"]}, ${what["engine"]}, ${what["direction"]}, ${what["size"]} octets`;

const meanOf = ({ gateways }: Stages): number => gateways.reduce((sum, { ns }) => sum + ns, 0) / 2;

const stagesText = (stages: Stages): string => {
  const { gateways, kernelNs } = stages;
  const parts = gateways.map(({ name, ns }) => `${name} ${ns.toFixed(0)}`).join(", ");
  const kernel =
    kernelNs === null
      ? "what the kernel does on its own account was not measured"
      : `and ${(kernelNs / 2).toFixed(0)} ns of the kernel on its own account, half of what it spent on the whole way, hosts and links included`;
  return `${meanOf(stages).toFixed(0)} ns a packet, the mean of both gateways (ns of both: ${parts}); ${kernel}`;
};

interface Title {
  readonly id: string;
  readonly title: string;
  readonly from: string;
}

/** Where the simulation is asked, too, and by how many packets. */
const SIMULATED = [2, 8, 24, 64];
const PACKETS = 20_000;

const rateFigure = (
  { id, title, from }: Title,
  cost: PipelineCost,
  esp: EspCosts,
  processors: number,
): ReportFigure => {
  const lines = SCENES.map((scene) => ({
    name: scene.name,
    values: WORKERS.map((workers) => predict(cost, { ...scene, workers, processors: MOST }).pps),
  }));
  const simulated = [EVEN, ZIPF].map((scene) => ({
    name: `${scene.name}: simulated`,
    values: WORKERS.map((workers) =>
      SIMULATED.includes(workers) ? simulatedRate(cost, { ...scene, workers, processors: MOST }, PACKETS) : null,
    ),
    of: scene.name,
    isPoints: true,
  }));
  const here = {
    name: `${EVEN.name}, the ${processors} processors here`,
    values: WORKERS.map((workers) => predict(cost, { ...EVEN, workers, processors }).pps),
    isReference: true,
  };
  const knees = SCENES.flatMap((scene) =>
    [...new Set([processors, 8, 16, MOST])].map((of) => {
      const knee = kneeOf(cost, { ...scene, processors: of }, MOST);
      return [scene.name, `${of}`, `${knee.workers}`, number(knee.pps), WHY[knee.limit]];
    }),
  );
  const knee = kneeOf(cost, { ...EVEN, processors }, MOST);
  const far = kneeOf(cost, { ...EVEN, processors: MOST }, MOST);
  const mark = { at: `${knee.workers}`, text: `knee here: ${WHY[knee.limit]}` };
  return {
    id,
    title,
    text:
      `One direction; ${MOST} processors unless said otherwise. Fed with ${from}. ${interferenceText(esp, processors)} ` +
      "The knee is the last number of workers up to which each brings a tenth of what the first one brought: " +
      `with ${EVEN.name}, at ${knee.workers} on the ${processors} processors here (${WHY[knee.limit]}) and at ${far.workers} ` +
      `on ${MOST} (${WHY[far.limit]}); the table has the others. Diamonds: a simulation of the same queues, packet by packet.`,
    chart: {
      kind: "lines",
      categories: WORKERS.map(String),
      xTitle: "workers",
      yTitle: "packets/s",
      ...(WORKERS.includes(knee.workers) ? { mark } : {}),
      series: [...lines, here, ...simulated],
    },
    head: ["flows", "processors", "knee at workers", "packets/s there", "why not more"],
    rows: knees,
  };
};

const interferenceText = ({ cost, fitted, what }: EspCosts, processors: number): string =>
  fitted.length < 2
    ? "That workers slow one another was not measured, and is not in it."
    : `A packet costs ${(cost.interference * 100).toFixed(1)} % more for each further worker that runs, as ${listed(fitted)} have it ` +
      `(${what["direction"]}, ${what["size"]} octets, in memory); beyond the ${processors} processors here that is a guess, a straight line drawn on.`;

/** What was measured at each number of workers, beside what the model says when it knows the first few alone. */
const checkFigure = (costs: readonly EspCosts[], processors: number): ReportFigure[] => {
  const workers = [...new Set(costs.flatMap(({ measured }) => measured.map((each) => each.workers)))].sort(
    (a, b) => a - b,
  );
  if (workers.length < 2) return [];
  const predicted = ({ cost }: EspCosts, at: number): number =>
    predict(cost, { workers: at, processors, tunnels: at, sas: 1, flows: at, skew: 0 }).pps;
  const series = costs.flatMap((each): ChartSeries[] => {
    const name = String(each.what["direction"]);
    const rows = workers.map((at) => each.measured.find((row) => row.workers === at));
    return [
      { name, values: rows.map((row) => row?.pps ?? null), spread: rows.map((row) => row?.spread ?? null) },
      { name: `${name}: by the model`, values: workers.map((at) => predicted(each, at)), isReference: true, of: name },
    ];
  });
  return [
    {
      id: "model-check",
      title: "The model beside what was measured here",
      text:
        `Of the rows of ${listed(costs[0]!.fitted)} the model knows the processor time of a packet, and of no row the packets a second: ` +
        "these it predicts. Whiskers: least and greatest sample of all runs.",
      chart: { kind: "lines", categories: workers.map(String), xTitle: "workers", yTitle: "packets/s", series },
      head: ["direction", "workers", "measured", "samples", "by the model", "model beside measured", "its cost was"],
      rows: costs.flatMap((each) =>
        each.measured.map(({ workers: at, pps, spread }) => [
          String(each.what["direction"]),
          `${at}`,
          number(pps),
          spread === null ? "-" : `${number(spread[0])} to ${number(spread[1])}`,
          number(predicted(each, at)),
          signed(predicted(each, at) / pps - 1),
          each.fitted.includes(at) ? "known" : "not known",
        ]),
      ),
    },
  ];
};

const listed = (workers: readonly number[]): string =>
  workers.length === 1 ? "1 worker" : `${workers.slice(0, -1).join(", ")} and ${workers.at(-1)} workers`;

const signed = (share: number): string => `${share < 0 ? "-" : "+"}${Math.abs(share * 100).toFixed(1)} %`;
