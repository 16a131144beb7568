// HOT PATH
/**
 * Whether a worker without work goes to sleep in poll(2), or looks again at once:
 *
 *   sleep      always sleeps: no processor time is spent in vain, each packet after a pause pays for waking up
 *   spin       never sleeps: for a processor that the worker has to itself
 *   adaptive   looks again for WINDOW µs after work if that has paid lately, and if nobody else wants the processor
 *
 * It pays when work comes within the window after a pause. Between two looks the worker offers its processor to others
 * (sched_yield): when one took it, the worker sleeps like everybody else for the next REST rounds of work.
 */
import { MicroClock } from "../linux/clock.ts";
import * as libc from "../linux/libc.ts";

export const POLL_STRATEGIES = ["sleep", "spin", "adaptive"] as const;
export type PollStrategyName = (typeof POLL_STRATEGIES)[number];

/** What is needed of the system, so that a test can play it. */
export interface Processor {
  /** µs, as MicroClock has them. */
  now(): number;
  yield(): void;
}

/** µs after the last work. */
const WINDOW = 300;
/** Work that comes sooner, in µs, was there already: it tells nothing. */
const AT_ONCE = 5;
/** A look that takes longer, in µs: others had the processor. */
const TAKEN = 50;
const REST = 1000;
/** Share of pauses that must end within the window, and the weight of the newest. */
const WORTH = 0.25;
const NEWEST = 1 / 8;

class ThisProcessor implements Processor {
  readonly #clock = new MicroClock();

  now(): number {
    return this.#clock.now();
  }

  yield(): void {
    libc.schedYield();
  }
}

export class PollStrategy {
  readonly #name: PollStrategyName;
  readonly #processor: Processor;
  /** Share of the last pauses that ended within the window. */
  #share = 0;
  /** Rounds of work until it may look again and again. */
  #rest = 0;
  /** When the pause began, when it last looked, and whether it sleeps for the rest of the pause. */
  #since = 0;
  #last = 0;
  #pausing = false;
  #asleep = false;

  constructor(name: PollStrategyName, processor: Processor = new ThisProcessor()) {
    this.#name = name;
    this.#processor = processor;
  }

  /** Before each poll(2): true when it shall not sleep. */
  looks(): boolean {
    if (this.#name !== "adaptive") return this.#name === "spin";
    if (this.#asleep || this.#rest > 0) return false;
    const now = this.#processor.now();
    if (!this.#pausing) {
      this.#pausing = true;
      this.#since = now;
      this.#asleep = this.#share < WORTH;
    } else {
      if (((now - this.#last) | 0) > TAKEN) this.#rest = REST;
      this.#asleep = this.#rest > 0 || ((now - this.#since) | 0) >= WINDOW;
      if (!this.#asleep) this.#processor.yield();
    }
    this.#last = now;
    return !this.#asleep;
  }

  /** After a round that had work. */
  worked(): void {
    if (this.#name !== "adaptive") return;
    if (this.#rest > 0) this.#rest--;
    else if (this.#pausing) {
      const pause = (this.#processor.now() - this.#since) | 0;
      if (pause >= AT_ONCE) this.#share += ((pause < WINDOW ? 1 : 0) - this.#share) * NEWEST;
    }
    this.#pausing = false;
    this.#asleep = false;
  }
}
