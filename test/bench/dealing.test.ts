import fc from "fast-check";
import { expect, test } from "vitest";
import { leastPermutationP, leastSignFlipP, permutationP, signFlipP } from "../../src/bench/dealing.ts";
import { mean } from "../../src/bench/statistics.ts";

test("what is apart is improbable, what is mixed is not", () => {
  expect(permutationP([1, 2, 3, 4, 5], [11, 12, 13, 14, 15])).toBeCloseTo(2 / 252, 12);
  expect(permutationP([1, 3, 5, 7, 9], [2, 4, 6, 8, 5])).toBeGreaterThan(0.5);
  expect(signFlipP([1, 1.1, 0.9, 1, 1.2, 1, 1, 1])).toBeCloseTo(2 / 256, 12);
  expect(signFlipP([1, -1.1, 0.9, -1, 1.2, -1])).toBeGreaterThan(0.5);
});

test("few samples have a least probability, whatever they are", () => {
  expect([leastPermutationP(2, 2), leastPermutationP(3, 3), leastPermutationP(2, 3)]).toEqual([1 / 3, 0.1, 0.1]);
  expect(permutationP([1, 1.1], [99, 100])).toBeCloseTo(1 / 3, 12);
  expect(permutationP([1, 1.1], [99, 100, 101])).toBeCloseTo(0.1, 12);
  expect([leastSignFlipP(1), leastSignFlipP(6)]).toEqual([1, 1 / 32]);
  expect(signFlipP([9, 9, 9, 9, 9, 9])).toBeCloseTo(1 / 32, 12);
});

test("drawn ways say what all ways say", () => {
  const sample = fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 5, maxLength: 6 });
  const differ = (by: (rounds: number) => number): number => Math.abs(by(251) - by(5000));
  fc.assert(
    fc.property(sample, sample, (a, b) => {
      expect(differ((rounds) => permutationP(a, b, { rounds }))).toBeLessThan(0.2);
      const differences = [...a, ...b].map((value) => value - mean(a));
      expect(differ((rounds) => signFlipP(differences, { rounds }))).toBeLessThan(0.2);
    }),
    { numRuns: 50 },
  );
});

test("the more rounds, the less a probability may be", () => {
  const low = Array.from({ length: 20 }, (_, i) => i);
  const high = low.map((value) => value + 100);
  expect(permutationP(low, high, { rounds: 4000 })).toBeCloseTo(1 / 4001, 12);
  expect(permutationP(low, high, { rounds: 40_000 })).toBeCloseTo(1 / 40_001, 12);
  expect(signFlipP(high, { rounds: 4000 })).toBeCloseTo(1 / 4001, 12);
});
