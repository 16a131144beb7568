/** How long to wait before trying again what failed `failures` times: 1, 2, 4 ... 60 s, up to half of it less by jitter. */
import type { Turn } from "./turn.ts";

const FIRST = 1_000;
const LONGEST = 60_000;

export const backoff = (turn: Turn, failures: number): number =>
  turn.jittered(Math.min(LONGEST, FIRST * 2 ** Math.min(failures, 16)), 0.5);
