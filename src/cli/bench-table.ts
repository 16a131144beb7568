/** What was measured, for people. */
import { availableParallelism } from "node:os";
import pc from "picocolors";
import type { EspBenchRow } from "../bench/esp-rows.ts";
import { busyBy } from "../bench/machine.ts";
import type { TunnelBenchResult } from "../bench/tunnel.ts";
import { type Column, plainTable } from "./plain-table.ts";
import { packets } from "./units.ts";

/** `trains`: of more than one packet. `cycles`: perf counted them. */
const espColumns = (trains: boolean, cycles: boolean): readonly Column[] => [
  { title: "suite" },
  { title: "direction" },
  { title: "engine" },
  { title: "size", right: true },
  { title: "workers", right: true },
  { title: "SAs", right: true },
  ...(trains ? [{ title: "train", right: true }] : []),
  { title: "ESN" },
  { title: "window", right: true },
  { title: "batch", right: true },
  { title: "packets/s", right: true },
  { title: "Gbit/s", right: true },
  { title: "CPU ns/packet", right: true },
  ...(cycles ? [{ title: "cycles/packet", right: true }] : []),
  { title: "drops", right: true },
  { title: "of the engine", right: true },
  { title: "of the ceiling", right: true },
];

/** Text without a final newline. */
export const espBenchTable = (rows: readonly EspBenchRow[], { colour }: { readonly colour: boolean }): string => {
  const paint = pc.createColors(colour);
  const cycles = rows.some(({ cyclesPerPacket }) => cyclesPerPacket !== null);
  const trains = rows.some(({ train }) => train !== 1);
  const cells = rows.map((row) => [
    row.suite,
    row.direction,
    row.engine,
    `${row.size}`,
    `${row.workers}`,
    `${row.sas}`,
    ...(trains ? [`${row.train}`] : []),
    row.esn ? "yes" : "no",
    `${row.window}`,
    `${row.batch}`,
    packets(row.pps),
    row.gbps.toFixed(2),
    row.cpuNsPerPacket === null ? "-" : row.cpuNsPerPacket.toFixed(0),
    ...(cycles ? [row.cyclesPerPacket === null ? "-" : row.cyclesPerPacket.toFixed(0)] : []),
    row.drops === 0 ? "0" : paint.red(packets(row.drops)),
    row.engineShare === null ? "-" : `${(row.engineShare * 100).toFixed(0)} %`,
    row.share === null ? "-" : `${(row.share * 100).toFixed(0)} % of ${packets(row.ceilingPps ?? 0)}`,
  ]);
  const names = [...new Set(rows.flatMap(({ ceiling }) => (ceiling === null ? [] : [ceiling])))];
  const table = plainTable(espColumns(trains, cycles), cells, { colour });
  return names.length === 0 ? table : `${table}\n\nthe ceiling: ${names.join("; ")}`;
};

/** One line a figure. Text without a final newline. */
export const tunnelBenchTable = (result: TunnelBenchResult, { colour }: { readonly colour: boolean }): string => {
  const { peer, streams, udp, suite, engine, workers, encap, offloads, seconds, lossPercent, retransmits } = result;
  const payload = udp === null ? "TCP" : `UDP of ${udp} octets`;
  const tunnel =
    peer === "plain"
      ? "none: plain forwarding"
      : peer === "self"
        ? `${suite}, ${engine}, encap ${encap}`
        : `${peer}: ${suite}, ${engine}`;
  const threads = `${workers === null ? "" : `${workers} each, `}${result.gatewayCores.toFixed(2)} processors busy in both gateways`;
  const lines: (readonly [string, string])[] = [
    ["tunnel", tunnel],
    ["workers", peer === "plain" ? "none" : threads],
    ["offloads of the links", offloads],
    [
      "traffic",
      `${payload}, ${streams} ${streams === 1 ? "stream" : "streams"}, ${result.rate === null ? "" : `${packets(result.rate)} packets/s asked for, `}${seconds.toFixed(1)} s`,
    ],
    ["arrived", `${result.gbps.toFixed(2)} Gbit/s, ${atLeast(result, "pps")}${packets(result.pps)} packets/s`],
    ...(lossPercent === null
      ? []
      : [["lost", `${lossPercent.toFixed(2)} % of ${packets(result.offeredPps ?? 0)} packets/s`] as const]),
    ...searchLines(result),
    ...(result.cpuPerGbit === null || peer === "plain"
      ? []
      : [["cost", `${result.cpuPerGbit.toFixed(3)} s of processor time a Gbit`] as const]),
    ...(result.outOfOrder === null ? [] : [["out of order", `${result.outOfOrder}`] as const]),
    ...(result.loadedLossPercent === null ? [] : [["ping under load", loadedPing(result)] as const]),
    ...(retransmits === null ? [] : [["retransmits", `${retransmits}`] as const]),
    ["ping", `${result.ping.averageMs.toFixed(3)} ms`],
  ];
  const paint = pc.createColors(colour);
  return lines.map(([name, value]) => `${paint.dim(name.padEnd(WIDTH))}${value}`).join("\n");
};

const atLeast = (result: TunnelBenchResult, figure: string): string => (result.atLeast.includes(figure) ? "≥ " : "");

/** An echo that does not come back takes for ever. */
const loadedPing = ({ loadedP50Ms, loadedP99Ms, loadedLossPercent }: TunnelBenchResult): string =>
  [
    loadedP50Ms === null ? [] : `${loadedP50Ms.toFixed(2)} ms`,
    loadedP99Ms === null ? [] : `99 % within ${loadedP99Ms.toFixed(2)} ms`,
    loadedLossPercent === null || loadedLossPercent === 0 ? [] : `${loadedLossPercent.toFixed(1)} % lost`,
  ]
    .flat()
    .join(", ");

/** What was searched, what was found, and every trial. */
const searchLines = (result: TunnelBenchResult): (readonly [string, string])[] => {
  const { search, maxLossPercent, trials, ndrPps, pdrPps } = result;
  if (search === "none") return [];
  const found = (name: string, rate: number | null): string =>
    rate === null ? "not found in the time of the search" : `${atLeast(result, name)}${packets(rate)} packets/s`;
  return [
    ...(search === "ndr"
      ? [
          ["without loss (NDR)", found("ndrPps", ndrPps)] as const,
          ["at most 0.5 % (PDR)", found("pdrPps", pdrPps)] as const,
        ]
      : [["searched", `the highest rate with at most ${maxLossPercent} % lost`] as const]),
    ...(result.atLeast.length === 0 ? [] : [["≥", "the sender could do no more: the tunnel may"] as const]),
    ...trials.map(
      ({ goal, rate, offered, seconds, lossPercent }, i) =>
        [
          i === 0 ? "trials" : "",
          `${goal}, ${seconds} s: ${packets(rate)} packets/s asked for, ${packets(offered)} sent, ${lossPercent.toFixed(3)} % lost`,
        ] as const,
    ),
  ];
};

const WIDTH = 23;

/** `others`: processors that others used meanwhile. */
export const machineLine = (
  [before, after]: readonly [number, number],
  machine: string,
  processors = availableParallelism(),
  others?: number,
): string => {
  const used = others === undefined ? "" : `, others used ${others.toFixed(2)} processors`;
  const line = `load ${before.toFixed(2)}, then ${after.toFixed(2)}${used}; ${machine}`;
  const reason = busyBy({ before, after, others }, processors);
  return reason === undefined ? line : `${line}\nbeware: the machine was busy: ${reason}`;
};
