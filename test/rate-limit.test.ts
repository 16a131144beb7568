import * as fc from "fast-check";
import { expect, test } from "vitest";
import { RateLimit } from "../src/rate-limit.ts";

test("a burst passes at once, then as many as the rate gives", () => {
  const limit = new RateLimit(10, 5);
  const passed = (from: number, to: number): number => {
    let count = 0;
    for (let now = from; now < to; now++) if (limit.take(now)) count++;
    return count;
  };
  expect(passed(0, 100)).toBe(5);
  expect(passed(100, 10_100)).toBe(100);
});

test("silence fills the bucket, but never over its brim", () => {
  const limit = new RateLimit(10, 5);
  for (let i = 0; i < 5; i++) limit.take(0);
  expect(Array.from({ length: 8 }, () => limit.take(1_000_000))).toEqual([
    ...Array(5).fill(true),
    ...Array(3).fill(false),
  ]);
});

test("no stretch of time passes more than a burst and its rate", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50), { maxLength: 300 }), (gaps) => {
      const limit = new RateLimit(20, 4);
      const passed: number[] = [];
      let now = 0;
      for (const gap of gaps) {
        now += gap;
        if (limit.take(now)) passed.push(now);
      }
      for (let i = 0; i < passed.length; i++)
        for (let k = i; k < passed.length; k++)
          expect(k - i + 1).toBeLessThanOrEqual(4 + ((passed[k]! - passed[i]!) * 20) / 1000 + 1e-9);
    }),
    { numRuns: 30 },
  );
});
