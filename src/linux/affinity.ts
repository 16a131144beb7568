/** Which CPUs threads may run on: sched_getaffinity(2), sched_setaffinity(2). */
import { EspalierError } from "../errors.ts";
import { systemError } from "./errno.ts";
import * as libc from "./libc.ts";
import { Memory } from "./memory.ts";

/** Octets of a CPU mask: more CPUs than any kernel is built for. */
const MASK = 1024;
/** CPU numbers are below this. */
export const MAX_CPUS = MASK * 8;

/** CPUs that the calling thread may use, in order. */
export const usableCpus = (): number[] => {
  const memory = Memory.allocate(MASK);
  const result = libc.schedGetAffinity(memory, 0, MASK);
  if (result < 0) throw systemError(result, "CPU affinity");
  const cpus: number[] = [];
  for (let cpu = 0; cpu < MAX_CPUS; cpu++) if ((memory.bytes[cpu >> 3]! & (1 << (cpu & 7))) !== 0) cpus.push(cpu);
  return cpus;
};

/** Throws ESPALIER_CONFIG for a CPU that this process may not use. */
export const checkCpus = (cpus: readonly number[]): void => {
  if (cpus.length === 0) return;
  const usable = usableCpus();
  const wrong = cpus.find((cpu) => !usable.includes(cpu));
  if (wrong === undefined) return;
  throw new EspalierError("ESPALIER_CONFIG", `affinity: CPU ${wrong} is none that this process may use`, {
    remedy: `Use those of ${usable.join(", ")}, let the process have more (taskset, CPUAffinity=, cpuset), or set \`affinity: none\`.`,
  });
};

/** Let the calling thread run on `cpu` alone. Throws an EspalierError when the kernel refuses. */
export const pinThread = (cpu: number): void => {
  if (!Number.isInteger(cpu) || cpu < 0 || cpu >= MAX_CPUS) throw new RangeError(`no CPU ${cpu}`);
  const memory = Memory.allocate(MASK);
  memory.bytes[cpu >> 3] = 1 << (cpu & 7);
  const result = libc.schedSetAffinity(memory, 0, MASK);
  if (result < 0) throw systemError(result, `a thread cannot be put on CPU ${cpu}`, { code: "ESPALIER_CONFIG" });
};
