/**
 * A worker's thread that has just begun has no compiled code yet: each packet would take some times as long as later. So while
 * none waits it carries packets of its own, most of them singly, as they come when a tunnel is idle.
 */
import { SUITES } from "../crypto/suites.ts";
import type { WorkerInit } from "./esp-worker.ts";
import { Rehearsal } from "./rehearsal.ts";
import { rehearsalPackets } from "./rehearsal-packets.ts";
import type { WorkerTools } from "./worker-tools.ts";

/** Packets that are carried: about as many as it takes until all of the way is compiled, 0.3 s or so. */
const PACKETS = 2500;
/** Packets from one super-packet, and from one new pair of SAs, to the next. */
const PERIOD = 64;
const BURST = 4;

/**
 * `serve` carries what waits of others' packets, and returns how many those were. Ends when the way is warm, or when
 * `mustStop` says so. What keeps it from being done does not keep a worker from serving: then it is not done.
 */
export const warmUp = (init: WorkerInit, tools: WorkerTools, serve: () => number, mustStop: () => boolean): void => {
  const rehearsal = rehearsalOf(init, tools);
  if (rehearsal === undefined) return;
  try {
    for (let n = 0; n < PACKETS && !mustStop(); ) if (serve() === 0) step(rehearsal, n++);
  } finally {
    rehearsal.close();
  }
};

const step = (rehearsal: Rehearsal, n: number): void => {
  const { echo, other, acknowledgement, super: large } = rehearsalPackets;
  const turn = n % PERIOD;
  if (turn === 0) rehearsal.carry(large);
  else if (turn === 1 && n > PERIOD) rehearsal.rekey();
  else if (turn === 2) rehearsal.carry(echo, BURST);
  else if (turn % 16 === 4) rehearsal.carry(other);
  else if (turn % 16 === 8) rehearsal.carry(acknowledgement);
  else rehearsal.carry(echo);
};

const rehearsalOf = (init: WorkerInit, tools: WorkerTools): Rehearsal | undefined => {
  const suite = SUITES.find((each) => tools.engine.supports(each));
  if (suite === undefined) return undefined;
  try {
    return new Rehearsal(init, tools, suite);
  } catch {
    return undefined; // no descriptors are left
  }
};
