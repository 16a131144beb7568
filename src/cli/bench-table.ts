/** What was measured, for people. */
import { arch, cpus, loadavg, release } from "node:os";
import pc from "picocolors";
import type { EspBenchRow } from "../index.ts";
import { type Column, plainTable } from "./plain-table.ts";
import { packets } from "./units.ts";

const ESP_COLUMNS: readonly Column[] = [
  { title: "suite" },
  { title: "direction" },
  { title: "engine" },
  { title: "size", right: true },
  { title: "workers", right: true },
  { title: "SAs", right: true },
  { title: "ESN" },
  { title: "window", right: true },
  { title: "packets/s", right: true },
  { title: "Gbit/s", right: true },
  { title: "CPU ns/packet", right: true },
  { title: "drops", right: true },
];

/** Text without a final newline. */
export const espBenchTable = (rows: readonly EspBenchRow[], { colour }: { readonly colour: boolean }): string => {
  const paint = pc.createColors(colour);
  const cells = rows.map((row) => [
    row.suite,
    row.direction,
    row.engine,
    `${row.size}`,
    `${row.workers}`,
    `${row.sas}`,
    row.esn ? "yes" : "no",
    `${row.window}`,
    packets(row.pps),
    row.gbps.toFixed(2),
    row.cpuNsPerPacket === null ? "-" : row.cpuNsPerPacket.toFixed(0),
    row.drops === 0 ? "0" : paint.red(packets(row.drops)),
  ]);
  return plainTable(ESP_COLUMNS, cells, { colour });
};

/** How busy the machine is, and what it is. */
export const loadLine = (): string => loadavg()[0]!.toFixed(2);

export const machineLine = (): string =>
  `${cpus()[0]?.model ?? arch()}, ${cpus().length} processors, Linux ${release()}, Node ${process.version}`;
