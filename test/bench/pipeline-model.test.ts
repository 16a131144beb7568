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
  toFit,
} from "../../src/bench/pipeline-model.ts";
import { simulate, simulatedRate } from "../../src/bench/pipeline-simulation.ts";

const COST = { packetNs: 1000, interference: 0.02, kernelNs: 0 };
const EVEN: PipelineSetup = { workers: 4, processors: 8, tunnels: 16, sas: 1, flows: 1600, skew: 0 };
const LOAD = { packets: 40_000, seed: 1, batch: 64, queue: 4096, dealing: "random" } as const;

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
    fc.property(setups, fc.integer(), fc.constantFrom(0, 100, 2500), (setup, seed, kernelNs) => {
      const cost = { ...COST, kernelNs };
      const { pps, limit } = predict(cost, setup);
      const load = { ...LOAD, seed, packets: 20_000, queue: 2048 };
      expect(simulate(cost, setup, { ...load, pps: pps * 0.8 }).lossPercent).toBe(0);
      const over = simulate(cost, setup, { ...load, pps: pps * 1.5, queue: 64 });
      expect(over.lossPercent).toBeGreaterThan(0);
      // All workers are too busy when processors are the limit: then what is served is the prediction itself.
      if (limit === "processors" && kernelNs === 0) expect(over.pps / pps).toBeGreaterThan(0.9);
    }),
    { numRuns: 25 },
  );
});

test("with more packets than it can take, the simulation serves what is predicted, whatever the limit is", () => {
  const limits = new Set<string>();
  for (const skew of [0, 1])
    for (const [tunnels, sas] of [
      [1, 64],
      [8, 1],
      [64, 1],
    ] as const)
      for (const workers of [2, 16, 64])
        for (const kernelNs of [0, 400]) {
          const setup = { workers, processors: 64, tunnels, sas, flows: 64, skew };
          const { pps, limit } = predict({ ...COST, kernelNs }, setup);
          limits.add(limit);
          const ratio = simulatedRate({ ...COST, kernelNs }, setup, 20_000) / pps;
          expect(ratio, JSON.stringify({ ...setup, kernelNs, limit })).toBeGreaterThan(0.9);
          expect(ratio, JSON.stringify({ ...setup, kernelNs, limit })).toBeLessThan(1.05);
        }
  expect([...limits].sort()).toEqual(["flow", "kernel", "processors", "workers"]);
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
  expect([...sharesOf({ ...tunnel, sas: 1 }).workers]).toEqual([1, 0, 0, 0]);
  expect([...sharesOf({ ...tunnel, sas: 4 }).workers]).toEqual([0.25, 0.25, 0.25, 0.25]);
});

test("the kernel is a stage of its own: it takes processors too, and receives each tunnel on one of them", () => {
  const alone = { ...COST, interference: 0 };
  const full: PipelineSetup = { workers: 64, processors: 4, tunnels: 64, sas: 1, flows: 64, skew: 0 };
  expect(predict(alone, full)).toMatchObject({ pps: 4e6, limit: "processors" });
  expect(predict({ ...alone, kernelNs: 1000 }, full)).toMatchObject({ pps: 2e6, limit: "processors" });
  const one = { ...full, processors: 64, tunnels: 1, sas: 64, flows: 6400 };
  expect(predict({ ...alone, kernelNs: 250 }, one)).toMatchObject({ pps: 4e6, limit: "kernel" });
  expect(predict({ ...alone, kernelNs: 250 }, { ...one, tunnels: 4, sas: 16 }).pps).toBeCloseTo(16e6, -1);
});

test("the knee: at the processors; for one skewed tunnel long before; and the kernel may be first", () => {
  const many = { processors: 16, tunnels: 640, sas: 1, flows: 6400, skew: 0 };
  expect(kneeOf(COST, many)).toMatchObject({ workers: 16, limit: "processors" });
  const skewed = kneeOf(COST, { ...many, tunnels: 8, flows: 8, skew: 2 });
  expect(skewed.workers).toBeLessThan(8);
  expect(skewed.limit).toBe("flow");
  const one = { ...many, tunnels: 1, sas: 64 };
  const kernel = kneeOf({ ...COST, kernelNs: 250 }, one);
  expect(kernel.workers).toBeLessThan(6);
  expect(kernel.limit).toBe("kernel");
  expect(kneeOf(COST, { ...many, processors: 64, tunnels: 640 }, 8)).toMatchObject({ workers: 8, limit: "workers" });
});

test("the knee: no step up to it brings less than a tenth of the first worker for each one, the next one does", () => {
  // 8.6 % dearer by each further one, 64 tunnels: of the last 32 workers each would bring 0.04 of the first.
  const cost = { ...COST, interference: 0.086 };
  const even = { processors: 64, tunnels: 64, sas: 1, flows: 64, skew: 0 };
  const rate = (workers: number): number =>
    predict(cost, { ...even, workers }).pps / predict(cost, { ...even, workers: 1 }).pps;
  const knee = kneeOf(cost, even);
  expect(knee).toMatchObject({ workers: 22, limit: "interference" });
  expect((rate(22) - rate(16)) / 6).toBeGreaterThan(0.1);
  for (let more = 23; more <= 64; more++) expect((rate(more) - rate(22)) / (more - 22), `${more}`).toBeLessThan(0.1);
});

test("interference is fitted from costs at several numbers of workers", () => {
  const exact = [1, 2, 4, 8].map((workers) => ({ workers, ns: costAt(COST, workers) }));
  expect(fitInterference(exact, 8)).toBeCloseTo(0.02, 9);
  // More workers than processors do not run at once.
  const capped = [1, 2, 4, 8].map((workers) => ({ workers, ns: costAt(COST, Math.min(2, workers)) }));
  expect(fitInterference(capped, 2)).toBeCloseTo(0.02, 9);
  expect(fitInterference([{ workers: 2, ns: 10 }], 2)).toBe(0);
});

test("packets a second on two processors: from the cost with 1 and 2 workers alone the model knows what 1, 2, 4 and 8 carry", () => {
  const off: number[] = [];
  for (const { ns, pps } of MEASURED) {
    const costs = toFit(
      ns.map((each, i) => ({ workers: 2 ** i, ns: each })),
      2,
    );
    expect(costs.map(({ workers }) => workers)).toEqual([1, 2]);
    const cost = { packetNs: ns[0]!, interference: fitInterference(costs, 2), kernelNs: 0 };
    for (const [i, measured] of pps.entries()) {
      const workers = 2 ** i;
      const setup = { workers, processors: 2, tunnels: workers, sas: 1, flows: workers, skew: 0 };
      off.push(Math.abs(predict(cost, setup).pps / (measured * 1e6) - 1));
    }
    expect(kneeOf(cost, { processors: 2, tunnels: 64, sas: 1, flows: 64, skew: 0 })).toMatchObject({
      workers: 2,
      limit: "processors",
    });
  }
  off.sort((a, b) => a - b);
  expect(off[5], "six of eight").toBeLessThan(0.11);
  expect(off[6]).toBeLessThan(0.15);
  expect(off[7], "opening with 8 workers").toBeLessThan(0.3);
});

/** Sealing and opening with 1, 2, 4 and 8 workers on two processors: `bench/RESULTS.md`; millions of packets a second. */
const MEASURED = [
  { ns: [261, 280, 224, 236], pps: [3.84, 6.76, 8.32, 7.93] },
  { ns: [272, 259, 249, 299], pps: [3.53, 7.44, 7.47, 5.72] },
];
