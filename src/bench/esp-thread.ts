/**
 * What one thread of `espalier bench esp` runs, a piscina task: check, warm up, wait for the others, measure, and keep the
 * processor as busy as before until the others have measured too.
 */
import { readFileSync } from "node:fs";
import { type Suite, suiteByName } from "../crypto/suites.ts";
import { EspLoad, type EspLoadOptions, type Passed } from "./esp-load.ts";
import type { EspDirection } from "./esp-rows.ts";

export interface EspThreadInit extends Omit<EspLoadOptions, "suite"> {
  readonly suite: string;
  readonly direction: EspDirection;
  readonly seconds: number;
  /** Parts that the time is divided into: between two of them something else may be measured. */
  readonly turns: number;
  /** Others measure between the turns, and the engine alone is timed as well. */
  readonly alone: boolean;
  /** Words: threads that are ready, turns that threads have done, threads that failed, the turn that may begin. */
  readonly board: SharedArrayBuffer;
}

export interface EspTurn {
  readonly packets: number;
  readonly drops: number;
  /** ms in which they were sealed or opened. */
  readonly spent: number;
  /** ns of processor time in those; undefined where the kernel does not tell. */
  readonly cpu: number | undefined;
  /** Packets a second of the engine alone; undefined when not asked for. */
  readonly alone: number | undefined;
}

export const BOARD_SIZE = 16;
export const READY = 0;
export const DONE = 1;
export const FAILED = 2;
export const TURN = 3;

const WARM_UP = 150; // ms: V8 needs about 40 before it has compiled the loops; less before what is short anyway
const STEP = 5; // ms between two looks at the others
const ALONE = 0.4; // of a turn's time, once more for the engine alone
const INTERRUPTED = 4; // times as long as the shortest round of a turn
const REMEMBER = 20; // batches that bring back to the caches what others have had them for

export default function run(init: EspThreadInit): EspTurn[] {
  const board = new Int32Array(init.board);
  try {
    return measured(init, board);
  } catch (error) {
    Atomics.store(board, FAILED, 1);
    for (const word of [READY, TURN]) Atomics.notify(board, word);
    throw error;
  }
}

const measured = (init: EspThreadInit, board: Int32Array): EspTurn[] => {
  const load = new EspLoad({ ...init, suite: suiteByName(init.suite) as Suite });
  const batch = init.direction === "seal" ? () => load.seal() : () => load.open();
  const passed = init.direction === "seal" ? () => load.sealed() : () => load.opened();
  load.check();
  load.meetAll();
  const warmUp = Math.min(WARM_UP, init.seconds * 500);
  for (const begin = performance.now(); performance.now() - begin < warmUp; ) batch();
  meet(board, init.workers);

  const turns: EspTurn[] = [];
  while (turns.length < init.turns && Atomics.load(board, FAILED) === 0) {
    const turn = turns.length + 1;
    awaitTurn(board, turn);
    if (init.alone) for (let i = 0; i < REMEMBER; i++) batch();
    const ms = (init.seconds * 1000) / init.turns;
    turns.push({ ...oneTurn(batch, passed, ms), alone: init.alone ? engineAlone(load, init, ms * ALONE) : undefined });
    Atomics.add(board, DONE, 1);
    while (Atomics.load(board, DONE) < init.workers * turn && Atomics.load(board, FAILED) === 0) batch();
  }
  if (init.direction === "open") load.checkOpened();
  load.close();
  return turns;
};

/** Packets a second. */
const engineAlone = (load: EspLoad, init: EspThreadInit, ms: number): number => {
  if (init.direction === "seal") load.seal();
  else load.open();
  const again = init.direction === "seal" ? () => load.sealAlone() : () => load.openAlone();
  let spent = 0;
  let batches = 0;
  for (; spent < ms; batches++) spent += again();
  return (batches * init.batch * 1000) / spent;
};

const oneTurn = (batch: () => number, passed: () => Passed, ms: number): Omit<EspTurn, "alone"> => {
  const before = passed();
  const cpuBefore = cpuTime();
  let spent = 0;
  // Of the rounds, which make packets and then seal or open them, those that nobody interrupted: how long they took in all, and
  // that which is measured. A turn ends more easily in what a round waits for a processor than anywhere else.
  let whole = 0;
  let measured = 0;
  let shortest = Number.POSITIVE_INFINITY;
  for (let last = performance.now(); spent < ms; ) {
    const took = batch();
    const now = performance.now();
    const round = now - last;
    last = now;
    spent += took;
    shortest = Math.min(shortest, round);
    if (round > INTERRUPTED * shortest) continue;
    whole += round;
    measured += took;
  }
  const cpu = cpuTime();
  const after = passed();
  return {
    packets: after.packets - before.packets,
    drops: after.drops - before.drops,
    spent,
    // Making packets takes processor time at the same rate as what is measured.
    cpu: cpu === undefined || cpuBefore === undefined ? undefined : (cpu - cpuBefore) * (measured / whole),
  };
};

/** Sleep until the turn may begin. */
const awaitTurn = (board: Int32Array, turn: number): void => {
  for (let now = 0; now < turn && Atomics.load(board, FAILED) === 0; ) {
    now = Atomics.load(board, TURN);
    if (now < turn) Atomics.wait(board, TURN, now, STEP);
  }
};

/** Returns when all threads have called it, or one has failed. */
const meet = (board: Int32Array, threads: number): void => {
  Atomics.add(board, READY, 1);
  Atomics.notify(board, READY);
  for (let ready = 0; ready < threads && Atomics.load(board, FAILED) === 0; ) {
    ready = Atomics.load(board, READY);
    if (ready < threads) Atomics.wait(board, READY, ready, STEP);
  }
};

const idle = new Int32Array(new SharedArrayBuffer(4));

/** ns of processor time of this thread. The kernel brings the figure up to date when the thread pauses. */
const cpuTime = (): number | undefined => {
  Atomics.wait(idle, 0, 0, 1);
  try {
    const ns = Number(readFileSync("/proc/thread-self/schedstat", "utf8").split(" ")[0]);
    return ns > 0 ? ns : undefined;
  } catch {
    return undefined; // a kernel without these statistics
  }
};
