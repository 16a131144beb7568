/**
 * The pipeline as a discrete-event simulation, to check the formulas of the model by: packets arrive at random, each waits in
 * its receive queue for that queue's processor, then for the worker of its flow. A worker takes up to a batch of what waits
 * when a processor has nothing to do for the kernel, and gives the processor back after it. What a batch costs depends on
 * how many workers run when it begins.
 */
import { Events, Queue } from "./event-queue.ts";
import { costAt, type PipelineCost, type PipelineSetup, placeOf, predict, weightOf } from "./pipeline-model.ts";
import { seeded } from "./statistics.ts";

export interface PipelineLoad {
  /** Packets that arrive a second, all workers. */
  readonly pps: number;
  readonly packets: number;
  readonly seed: number;
  /** Packets in a batch, at most. */
  readonly batch: number;
  /** Packets that may wait in each queue; more are lost. */
  readonly queue: number;
  /** Flows have their packets by chance, or each its part of any few (`even`). */
  readonly dealing: "random" | "even";
}

export interface SimulatedPipeline {
  /** Packets a second that were served, until the last of them was. */
  readonly pps: number;
  readonly lossPercent: number;
  /** ns from arrival to the begin of its own service by a worker, the mean. */
  readonly waitNs: number;
}

/** Draws flows by their weight. */
const flowsOf = (setup: PipelineSetup): ((dealt: number) => number) => {
  const bounds = new Float64Array(setup.flows);
  let sum = 0;
  for (let flow = 0; flow < setup.flows; flow++) {
    sum += weightOf(setup, flow);
    bounds[flow] = sum;
  }
  return (dealt) => {
    const wanted = dealt * sum;
    let low = 0;
    for (let high = setup.flows - 1; low < high; ) {
      const middle = (low + high) >> 1;
      if (bounds[middle]! > wanted) high = middle;
      else low = middle + 1;
    }
    return low;
  };
};

/** Multiples of it fill 0 to 1 evenly, however few they are. */
const GOLDEN = (Math.sqrt(5) - 1) / 2;

const IDLE = -1;
const KERNEL = -2;

class Pipeline {
  readonly #cost: PipelineCost;
  readonly #load: PipelineLoad;
  /** What each processor does: nothing, the kernel's work, or a worker by its number. */
  readonly #doing: Int32Array;
  readonly #idle: number[];
  /** Packets by their number. */
  readonly #received: readonly Queue[];
  readonly #waiting: readonly Queue[];
  /** Those that the kernel has at hand, of each processor. */
  readonly #atHand: readonly number[][];
  readonly #arrivals: Float64Array;
  readonly #workers: Int32Array;
  /** Workers that want a processor, and those that want or have one. */
  readonly #ready = new Queue();
  readonly #isBusy: Uint8Array;
  readonly #done = new Events();
  #running = 0;
  now = 0;
  served = 0;
  lost = 0;
  waited = 0;

  constructor(cost: PipelineCost, { workers, processors }: PipelineSetup, load: PipelineLoad) {
    this.#cost = cost;
    this.#load = load;
    this.#doing = new Int32Array(processors).fill(IDLE);
    this.#idle = Array.from({ length: processors }, (_, i) => i);
    this.#received = Array.from({ length: processors }, () => new Queue());
    this.#atHand = Array.from({ length: processors }, () => []);
    this.#waiting = Array.from({ length: workers }, () => new Queue());
    this.#isBusy = new Uint8Array(workers);
    this.#arrivals = new Float64Array(load.packets);
    this.#workers = new Int32Array(load.packets);
  }

  arrive(packet: number, worker: number, queue: number): void {
    this.#arrivals[packet] = this.now;
    this.#workers[packet] = worker;
    if (this.#cost.kernelNs === 0) {
      this.#deliver(packet);
      return;
    }
    const received = this.#received[queue]!;
    if (received.length >= this.#load.queue) {
      this.lost++;
      return;
    }
    received.add(packet);
    if (this.#doing[queue] === IDLE) this.#next(queue);
  }

  /** Everything that ends until then. */
  until(time: number): void {
    while (this.#done.next <= time) {
      this.now = this.#done.next;
      this.#end(this.#done.take());
    }
  }

  #end(processor: number): void {
    const doing = this.#doing[processor]!;
    if (doing === KERNEL) {
      const packets = this.#atHand[processor]!;
      for (const packet of packets) this.#deliver(packet);
      packets.length = 0;
    } else {
      this.#running--;
      this.#isBusy[doing] = 0;
      this.#want(doing);
    }
    this.#doing[processor] = IDLE; // and not before: what it has brought is for others first
    this.#next(processor);
  }

  #deliver(packet: number): void {
    const worker = this.#workers[packet]!;
    const waiting = this.#waiting[worker]!;
    if (waiting.length >= this.#load.queue) {
      this.lost++;
      return;
    }
    waiting.add(packet);
    this.#want(worker);
  }

  #want(worker: number): void {
    if (this.#isBusy[worker] === 1 || this.#waiting[worker]!.length === 0) return;
    this.#isBusy[worker] = 1;
    this.#ready.add(worker);
    while (this.#idle.length > 0) {
      const processor = this.#idle.pop()!;
      if (this.#doing[processor] !== IDLE) continue;
      this.#next(processor);
      return;
    }
  }

  /** A processor that does nothing begins with what there is: the kernel's work first, as interrupts are. */
  #next(processor: number): void {
    if (this.#doing[processor] !== IDLE) return;
    const received = this.#received[processor]!;
    if (received.length > 0) this.#receive(processor, received);
    else if (this.#ready.length > 0) this.#work(processor, this.#ready.take());
    else if (!this.#idle.includes(processor)) this.#idle.push(processor);
  }

  #receive(processor: number, received: Queue): void {
    const packets = this.#atHand[processor]!;
    while (packets.length < this.#load.batch && received.length > 0) packets.push(received.take());
    this.#doing[processor] = KERNEL;
    this.#done.add(this.now + packets.length * this.#cost.kernelNs, processor);
  }

  #work(processor: number, worker: number): void {
    const waiting = this.#waiting[worker]!;
    const count = Math.min(this.#load.batch, waiting.length);
    this.#running++;
    const ns = costAt(this.#cost, this.#running);
    for (let i = 0; i < count; i++) this.waited += this.now + i * ns - this.#arrivals[waiting.take()]!;
    this.served += count;
    this.#doing[processor] = worker;
    this.#done.add(this.now + count * ns, processor);
  }
}

export const simulate = (cost: PipelineCost, setup: PipelineSetup, load: PipelineLoad): SimulatedPipeline => {
  const random = seeded(load.seed);
  const flowOf = flowsOf(setup);
  const pipeline = new Pipeline(cost, setup, load);
  let arrival = 0;
  for (let packet = 0; packet < load.packets; packet++) {
    arrival += (-Math.log(1 - random()) * 1e9) / load.pps;
    pipeline.until(arrival);
    pipeline.now = arrival;
    const { worker, queue } = placeOf(setup, flowOf(load.dealing === "even" ? (packet * GOLDEN) % 1 : random()));
    pipeline.arrive(packet, worker, queue);
  }
  pipeline.until(Number.MAX_VALUE);
  const { served, lost, waited, now } = pipeline;
  return { pps: (served * 1e9) / now, lossPercent: (lost / load.packets) * 100, waitNs: waited / Math.max(1, served) };
};

/** Packets a second that it serves when there are always more, by so many packets. */
export const simulatedRate = (cost: PipelineCost, setup: PipelineSetup, packets: number): number =>
  simulate(cost, setup, {
    ...{ packets, pps: TOO_MUCH * predict(cost, setup).pps, queue: packets, batch: FEW, seed: 1, dealing: "even" },
  }).pps;

const TOO_MUCH = 1.1;
/** So that the last batches are a small part of all. */
const FEW = 16;
