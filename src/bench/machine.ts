/** What a figure was measured on: without it no figure means anything. */
import { arch, cpus, loadavg, release } from "node:os";
import { processorTime, processorTimeSince } from "./processor-time.ts";

export const describeMachine = (): string =>
  `${cpus()[0]?.model ?? arch()}, ${cpus().length} processors, Linux ${release()}, Node ${process.version}`;

/** Tasks that want a processor, the mean of the last minute. */
export const loadAverage = (): number => loadavg()[0]!;

/** How busy others kept a machine. */
export interface MachineLoad {
  /** Load averages. */
  readonly before: number;
  readonly after: number;
  /** Processors that others used while it was measured; undefined: not known. */
  readonly others?: number | undefined;
}

/** Begins to watch; what it gives ends that. */
export const watchLoad = (): (() => Required<MachineLoad>) => {
  const before = loadAverage();
  const begin = processorTime();
  return () => {
    const { others, stolen, wall } = processorTimeSince(begin);
    return { before, after: loadAverage(), others: wall === 0 ? 0 : (others + stolen) / wall };
  };
};

/** Of the processors, that others used. */
const MOST_OTHERS = 0.1;
/** Tasks that want a processor before the beginning, of each: where no more is known. Part of it may be one's own last work. */
const MOST_LOAD = 0.5;

/** Whether figures are of a busy machine, and by what that is seen; undefined: they are not. */
export const busyBy = ({ before, others }: MachineLoad, processors: number): string | undefined => {
  if (others === undefined) return before > MOST_LOAD * processors ? `load ${before.toFixed(2)} before` : undefined;
  return others > MOST_OTHERS * processors ? `others used ${others.toFixed(2)} processors` : undefined;
};
