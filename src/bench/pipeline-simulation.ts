/**
 * The workers as a discrete-event simulation, to check the formulas of the model by: packets arrive at random, each goes to
 * the worker of its flow and waits there, a worker takes up to a batch of what waits, when a processor is free, and gives
 * the processor back after it.
 */
import { costAt, type PipelineCost, type PipelineSetup, runningOf, sharesOf } from "./pipeline-model.ts";
import { seeded } from "./statistics.ts";

export interface PipelineLoad {
  /** Packets that arrive a second, all workers. */
  readonly pps: number;
  readonly packets: number;
  readonly seed: number;
  /** Packets in a batch, at most. */
  readonly batch: number;
  /** Packets that may wait for each worker; more are lost. */
  readonly queue: number;
}

export interface SimulatedPipeline {
  /** Packets a second that were served. */
  readonly pps: number;
  readonly lossPercent: number;
  /** ns from arrival to the begin of its own service, the mean. */
  readonly waitNs: number;
}

interface Worker {
  /** ns of arrival of those that wait. */
  readonly queue: number[];
  head: number;
  isBusy: boolean;
  isReady: boolean;
}

/** Events in the order of their time: a binary heap of (time, worker). */
class Events {
  readonly #times: number[] = [];
  readonly #workers: number[] = [];

  get next(): number {
    return this.#times[0] ?? Number.POSITIVE_INFINITY;
  }

  add(time: number, worker: number): void {
    let at = this.#times.length;
    for (; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (this.#times[parent]! <= time) break;
      this.#times[at] = this.#times[parent]!;
      this.#workers[at] = this.#workers[parent]!;
      at = parent;
    }
    this.#times[at] = time;
    this.#workers[at] = worker;
  }

  /** The worker of the first event. */
  take(): number {
    const worker = this.#workers[0]!;
    const time = this.#times.pop()!;
    const last = this.#workers.pop()!;
    const size = this.#times.length;
    let at = 0;
    for (let child = 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && this.#times[child + 1]! < this.#times[child]!) child++;
      if (this.#times[child]! >= time) break;
      this.#times[at] = this.#times[child]!;
      this.#workers[at] = this.#workers[child]!;
      at = child;
    }
    if (size > 0) {
      this.#times[at] = time;
      this.#workers[at] = last;
    }
    return worker;
  }
}

export const simulate = (cost: PipelineCost, setup: PipelineSetup, load: PipelineLoad): SimulatedPipeline => {
  const random = seeded(load.seed);
  const shares = sharesOf(setup);
  const bounds = [...shares].map((_, i) => shares.slice(0, i + 1).reduce((sum, share) => sum + share, 0));
  const ns = costAt(cost, runningOf(shares, setup.processors));
  const workers = Array.from(shares, (): Worker => ({ queue: [], head: 0, isBusy: false, isReady: false }));
  const ready: number[] = []; // that want a processor
  const done = new Events();
  let free = setup.processors;
  let served = 0;
  let lost = 0;
  let waited = 0;
  let now = 0;

  const begin = (): void => {
    while (free > 0 && ready.length > 0) {
      const index = ready.shift()!;
      const worker = workers[index]!;
      worker.isReady = false;
      worker.isBusy = true;
      free--;
      const count = Math.min(load.batch, worker.queue.length - worker.head);
      for (let i = 0; i < count; i++) waited += now + i * ns - worker.queue[worker.head + i]!;
      worker.head += count;
      served += count;
      if (worker.head > 4096) {
        worker.queue.splice(0, worker.head);
        worker.head = 0;
      }
      done.add(now + count * ns, index);
    }
  };
  const want = (index: number): void => {
    const worker = workers[index]!;
    if (worker.isBusy || worker.isReady || worker.queue.length === worker.head) return;
    worker.isReady = true;
    ready.push(index);
  };

  let arrival = 0;
  for (let packet = 0; packet < load.packets; packet++) {
    arrival += (-Math.log(1 - random()) * 1e9) / load.pps;
    while (done.next <= arrival) {
      now = done.next;
      const index = done.take();
      workers[index]!.isBusy = false;
      free++;
      want(index);
      begin();
    }
    now = arrival;
    const dealt = random();
    const index = Math.max(
      0,
      bounds.findIndex((bound) => dealt < bound),
    );
    const worker = workers[index]!;
    if (worker.queue.length - worker.head >= load.queue) {
      lost++;
      continue;
    }
    worker.queue.push(arrival);
    want(index);
    begin();
  }
  return { pps: (served * 1e9) / now, lossPercent: (lost / load.packets) * 100, waitNs: waited / Math.max(1, served) };
};
