import { expect, test } from "vitest";
import { median, quantile, seeded, studentP, studentQuantile, variance } from "../../src/bench/statistics.ts";

test("median and quantiles", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(quantile([0, 10], 0.99)).toBeCloseTo(9.9, 9);
  expect(quantile([5], 0.1)).toBe(5);
  expect(median([])).toBeNaN();
  expect(variance([2, 4, 4, 4, 5, 5, 7, 9])).toBeCloseTo(32 / 7, 9);
});

// Two-sided 5 % and 1 % points of Student's t as tables have them.
test.each([
  [1, 12.706, 63.657],
  [2, 4.303, 9.925],
  [5, 2.571, 4.032],
  [8, 2.306, 3.355],
  [30, 2.042, 2.75],
  [120, 1.98, 2.617],
])("Student's t with %i degrees of freedom", (freedom, five, one) => {
  expect(studentQuantile(0.05, freedom)).toBeCloseTo(five, 2);
  expect(studentQuantile(0.01, freedom)).toBeCloseTo(one, 2);
  expect(studentP(five, freedom)).toBeCloseTo(0.05, 3);
  expect(studentP(0, freedom)).toBe(1);
  expect(studentP(Number.POSITIVE_INFINITY, freedom)).toBe(0);
});

test("the same seed, the same numbers, evenly from 0 to 1", () => {
  const random = seeded(3);
  const again = seeded(3);
  let sum = 0;
  for (let i = 0; i < 10_000; i++) {
    const value = random();
    expect(value).toBe(again());
    sum += value;
  }
  expect(sum / 10_000).toBeCloseTo(0.5, 1);
});
