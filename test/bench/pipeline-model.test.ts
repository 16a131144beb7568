/** The formulas against the simulation, and against what two processors can show. */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  costAt,
  fitInterference,
  kneeOf,
  meanWait,
  type PipelineSetup,
  predict,
  sharesOf,
} from "../../src/bench/pipeline-model.ts";
import { simulate } from "../../src/bench/pipeline-simulation.ts";

const COST = { packetNs: 1000, interference: 0.02, kernelNs: 0 };
const EVEN: PipelineSetup = { workers: 4, processors: 8, tunnels: 16, sas: 1, flows: 1600, skew: 0 };
const LOAD = { packets: 40_000, seed: 1, batch: 64, queue: 4096 };

const setups = fc.record({
  workers: fc.integer({ min: 1, max: 64 }),
  processors: fc.integer({ min: 1, max: 64 }),
  tunnels: fc.integer({ min: 1, max: 200 }),
  sas: fc.integer({ min: 1, max: 16 }),
  flows: fc.integer({ min: 1, max: 300 }),
  skew: fc.double({ min: 0, max: 1.5, noNaN: true }),
});

test("below the predicted rate the simulation loses nothing, above it it does, and serves no more than that of its busiest part", () => {
  fc.assert(
    fc.property(setups, fc.integer(), (setup, seed) => {
      const { pps, limit } = predict(COST, setup);
      const load = { ...LOAD, seed, packets: 20_000, queue: 2048 };
      expect(simulate(COST, setup, { ...load, pps: pps * 0.85 }).lossPercent).toBe(0);
      const over = simulate(COST, setup, { ...load, pps: pps * 1.5, queue: 64 });
      expect(over.lossPercent).toBeGreaterThan(0);
      // All workers are too busy when processors are the limit: then what is served is the prediction itself.
      if (limit === "processors") expect(over.pps / pps).toBeGreaterThan(0.9);
    }),
    { numRuns: 25 },
  );
});

test("how long packets wait is as Pollaczek and Khinchine have it", () => {
  for (const load of [0.3, 0.6, 0.8]) {
    const pps = predict(COST, EVEN).pps * load;
    const { waitNs } = simulate(COST, EVEN, { ...LOAD, packets: 120_000, pps, batch: 1 });
    expect(waitNs / meanWait(costAt(COST, 4), load)).toBeGreaterThan(0.85);
    expect(waitNs / meanWait(costAt(COST, 4), load)).toBeLessThan(1.15);
  }
  expect(meanWait(1000, 1)).toBe(Number.POSITIVE_INFINITY);
});

test("one flow of one SA keeps one worker busy, whatever there is", () => {
  const one = { ...EVEN, workers: 64, processors: 64, tunnels: 1, flows: 1 };
  expect(predict({ ...COST, interference: 0 }, one)).toEqual({ pps: 1e6, limit: "flow", greatestShare: 1 });
});

test("several pairs of SAs spread the flows of one tunnel", () => {
  const tunnel = { ...EVEN, workers: 4, tunnels: 1, flows: 400 };
  expect([...sharesOf({ ...tunnel, sas: 1 })]).toEqual([1, 0, 0, 0]);
  expect([...sharesOf({ ...tunnel, sas: 4 })]).toEqual([0.25, 0.25, 0.25, 0.25]);
});

test("the knee: at the processors; for one skewed tunnel long before; and the kernel may be first", () => {
  const many = { processors: 16, tunnels: 640, sas: 1, flows: 64_000, skew: 0 };
  expect(kneeOf(COST, many)).toMatchObject({ workers: 16, limit: "processors" });
  const skewed = kneeOf(COST, { ...many, tunnels: 8, flows: 8, skew: 2 });
  expect(skewed.workers).toBeLessThan(8);
  expect(skewed.limit).toBe("flow");
  const kernel = kneeOf({ ...COST, kernelNs: 250 }, many);
  expect(kernel.workers).toBeLessThan(6);
  expect(kernel.limit).toBe("kernel");
});

test("interference is fitted from costs at several numbers of workers", () => {
  const exact = [1, 2, 4, 8].map((workers) => ({ workers, ns: costAt(COST, workers) }));
  expect(fitInterference(exact, 8)).toBeCloseTo(0.02, 9);
  // More workers than processors do not run at once.
  const capped = [1, 2, 4, 8].map((workers) => ({ workers, ns: costAt(COST, Math.min(2, workers)) }));
  expect(fitInterference(capped, 2)).toBeCloseTo(0.02, 9);
  expect(fitInterference([{ workers: 2, ns: 10 }], 2)).toBe(0);
});

test("what was measured on two processors is predicted: 1, 2, 4 and 8 workers", () => {
  for (const measured of MEASURED) {
    const costs = measured.map((ns, i) => ({ workers: 2 ** i, ns }));
    const interference = fitInterference(costs, 2);
    const cost = { packetNs: costs[0]!.ns, interference, kernelNs: 0 };
    for (const { workers, ns } of costs)
      expect(costAt(cost, Math.min(workers, 2)) / ns, `${workers} workers`).toBeCloseTo(1, 1);
    // Two processors carry what their nanoseconds allow, however many workers share them.
    const setup = { processors: 2, tunnels: 8, sas: 1, flows: 8, skew: 0 };
    for (const { workers, ns } of costs.slice(1))
      expect((predict(cost, { ...setup, workers }).pps * ns) / 2e9, `${workers} workers`).toBeCloseTo(1, 1);
    expect(kneeOf(cost, setup)).toMatchObject({ workers: 2, limit: "processors" });
  }
});

/** ns of processor time a packet with 1, 2, 4 and 8 workers on two processors: `bench/RESULTS.md`, sealing and opening. */
const MEASURED = [
  [237, 252, 257, 263],
  [284, 280, 287, 296],
];
