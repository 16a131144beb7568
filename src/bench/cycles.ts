/** Processor cycles by perf(1), which counts only where the kernel and the processor (or the hypervisor) let it. */
import { spawn, spawnSync } from "node:child_process";
import { hasProgram } from "./processes.ts";

/** Cycles and ns of processor time from `perf stat -x,`; undefined where it did not count. */
export const readPerf = (text: string): { readonly cycles: number; readonly ns: number } | undefined => {
  const count = (event: string): number | undefined => {
    const fields = text
      .split("\n")
      .map((line) => line.split(","))
      .find((words) => words[2]?.split(":")[0] === event);
    const value = Number(fields?.[0]);
    return fields === undefined || !Number.isFinite(value) || value === 0
      ? undefined
      : fields[1] === "msec"
        ? value * 1e6
        : value;
  };
  const cycles = count("cycles");
  const ns = count("task-clock");
  return cycles === undefined || ns === undefined ? undefined : { cycles, ns };
};

const WORDS = ["stat", "-x", ",", "-e", "cycles,task-clock"];

/** Why cycles cannot be counted here, or undefined when they can. */
export const cyclesUnavailable = (): string | undefined => {
  if (!hasProgram("perf")) return "perf is not installed";
  const { status, stderr } = spawnSync("perf", [...WORDS, "true"], { encoding: "utf8" });
  if (status !== 0) return `perf may not count: ${stderr.trim().split("\n", 1)[0]}`;
  return readPerf(stderr) === undefined ? "perf does not count cycles on this machine" : undefined;
};

export interface CycleCount {
  /** Cycles a nanosecond of this process since the start; undefined where perf did not say. Ends the counting. */
  end(): Promise<number | undefined>;
}

/** Counts the cycles of this process, all its threads, until `end`. */
export const countCycles = (): CycleCount => {
  const perf = spawn("perf", [...WORDS, "-p", `${process.pid}`], { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  perf.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  const ended = new Promise<void>((resolve) => {
    perf.once("close", () => resolve());
    perf.once("error", () => resolve());
  });
  return {
    end: async () => {
      perf.kill("SIGINT");
      await ended;
      const count = readPerf(said);
      return count === undefined ? undefined : count.cycles / count.ns;
    },
  };
};
