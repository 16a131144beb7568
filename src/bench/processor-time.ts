/**
 * Who has had the processors, by proc(5): this program with all that it has started, other programs, and the kernel on its
 * own account: its threads, and the interrupts that it serves while no program runs. What it does in a program's stead, or
 * interrupts it for, is that program's, unless this kernel counts interrupts apart (CONFIG_IRQ_TIME_ACCOUNTING).
 */
import { readdirSync, readFileSync } from "node:fs";

/** Seconds of processor time, since the machine began or over a while. */
export interface ProcessorTime {
  /** By the clock. */
  readonly wall: number;
  readonly ours: number;
  /** Other programs that are to be seen from here; in a container that is not all. */
  readonly others: number;
  /** What is left of the time that processors were busy. */
  readonly kernel: number;
  /** That the machine below this one gave to somebody else. */
  readonly stolen: number;
}

const TICKS = 100; // a second, in /proc (proc(5): USER_HZ, which is 100 on all platforms of ours)
const KERNEL_THREAD = 0x00200000; // of a process's flags (PF_KTHREAD, include/linux/sched.h)

interface Program {
  readonly pid: number;
  readonly parent: number;
  /** s, with those of its children that have ended and that it has waited for. */
  readonly time: number;
}

/** From the text of a process's `stat`; undefined for a thread of the kernel. */
export const readProgram = (pid: number, stat: string): Program | undefined => {
  const fields = stat
    .slice(stat.lastIndexOf(")") + 2) // from the third on; the second may hold spaces
    .split(" ")
    .map(Number);
  if ((fields[6]! & KERNEL_THREAD) !== 0) return undefined;
  const ticks = fields[11]! + fields[12]! + fields[13]! + fields[14]!;
  return { pid, parent: fields[1]!, time: ticks / TICKS };
};

const statOf = (pid: number): string | undefined => {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined; // it has ended: its time is its parent's now
  }
};

const programs = (): Program[] =>
  readdirSync("/proc").flatMap((name) => {
    const pid = Number(name);
    const stat = Number.isInteger(pid) ? statOf(pid) : undefined;
    const program = stat === undefined ? undefined : readProgram(pid, stat);
    return program === undefined ? [] : [program];
  });

/** s of the first line of `/proc/stat`: what processors were busy with, and what they were not given. */
export const readBusy = (stat: string): { readonly busy: number; readonly stolen: number } => {
  const [user = 0, nice = 0, system = 0, , , interrupts = 0, soft = 0, stolen = 0] = stat
    .split("\n", 1)[0]!
    .split(/\s+/)
    .slice(1)
    .map((ticks) => Number(ticks) / TICKS);
  return { busy: user + nice + system + interrupts + soft, stolen };
};

/** Shares the busy time out: `root` and what it has started, other programs, the rest. */
export const shareOut = (
  all: readonly Program[],
  root: number,
  { busy, stolen }: ReturnType<typeof readBusy>,
): Omit<ProcessorTime, "wall"> => {
  const parents = new Map(all.map(({ pid, parent }) => [pid, parent]));
  const isOurs = (pid: number): boolean => {
    for (let at: number | undefined = pid; at !== undefined; at = parents.get(at)) if (at === root) return true;
    return false;
  };
  let ours = 0;
  let others = 0;
  for (const { pid, time } of all) {
    if (isOurs(pid)) ours += time;
    else others += time;
  }
  return { ours, others, kernel: busy - ours - others, stolen };
};

/** Until now. */
export const processorTime = (): ProcessorTime => ({
  wall: performance.now() / 1000,
  ...shareOut(programs(), process.pid, readBusy(readFileSync("/proc/stat", "utf8"))),
});

/** From `before` to now. A tick is 10 ms, and the kernel counts a whole one for who it finds there. */
export const processorTimeSince = (before: ProcessorTime): ProcessorTime => {
  const now = processorTime();
  const passed = (who: keyof ProcessorTime): number => Math.max(0, now[who] - before[who]);
  return {
    wall: passed("wall"),
    ours: passed("ours"),
    others: passed("others"),
    kernel: passed("kernel"),
    stolen: passed("stolen"),
  };
};
