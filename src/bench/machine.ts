/** What a figure was measured on: without it no figure means anything. */
import { arch, cpus, loadavg, release } from "node:os";

export const describeMachine = (): string =>
  `${cpus()[0]?.model ?? arch()}, ${cpus().length} processors, Linux ${release()}, Node ${process.version}`;

/** Tasks that want a processor, the mean of the last minute. */
export const loadAverage = (): number => loadavg()[0]!;
