/** Gateways while they are measured: their processor time, and their end before its time. */
import { readFileSync } from "node:fs";
import { EspalierError } from "../errors.ts";
import type { Running } from "./processes.ts";

const TICKS = 100; // a second, in /proc (proc(5): USER_HZ, which is 100 on all platforms of ours)

const gone = (gateway: Running, cause?: unknown): EspalierError =>
  new EspalierError("ESPALIER_PLATFORM", `a gateway ended: ${gateway.account}`, { cause });

const statOf = (gateway: Running): string => {
  try {
    return readFileSync(`/proc/${gateway.pid}/stat`, "utf8");
  } catch (cause) {
    throw gone(gateway, cause);
  }
};

/** Processor time of the gateways, all their threads. Throws ESPALIER_PLATFORM with its last words when one has ended. */
export const cpuSeconds = (gateways: readonly Running[]): number =>
  gateways.reduce((sum, gateway) => {
    if (!gateway.isRunning) throw gone(gateway);
    const stat = statOf(gateway);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // from the third on; the second may hold spaces
    return sum + (Number(fields[11]) + Number(fields[12])) / TICKS;
  }, 0);

/**
 * What `work` gives, as long as all gateways run. Rejects as soon as one ends, with its last words: `work` then goes on
 * without anybody who waits for it, until its programs are ended.
 */
export const whileRunning = <T>(gateways: readonly Running[], work: Promise<T>): Promise<T> =>
  Promise.race([
    work,
    ...gateways.map(async (gateway) => {
      await gateway.ended;
      throw gone(gateway);
    }),
  ]);
