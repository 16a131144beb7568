import { expect, test } from "vitest";
import { searchRate } from "../../src/bench/rate-search.ts";

const searched = async (most: number, limit: number, longLimit = limit, sender = most) => {
  const asked: number[] = [];
  const run = (allowed: number) => async (rate: number) => {
    asked.push(rate);
    const offered = Math.min(rate, sender);
    return { rate, offered, isGood: offered <= allowed };
  };
  return { result: await searchRate(most, run(limit), run(longLimit)), asked };
};

test.each([1, 5_000, 60_000, 123_456, 199_999])("a limit of %i is found, not exceeded", async (limit) => {
  const { result, asked } = await searched(200_000, limit);
  expect(asked.length).toBeLessThan(30);
  if (limit > 2_000) {
    expect(result.isGood).toBe(true);
    expect(result.rate).toBeLessThanOrEqual(limit);
    expect(result.rate).toBeGreaterThan(limit - 200_000 / 2 ** 6);
  }
});

test("the long run has the last word", async () => {
  const { result } = await searched(200_000, 100_000, 80_000);
  expect(result).toMatchObject({ isGood: true });
  expect(result.rate).toBeLessThanOrEqual(80_000);
  expect(result.rate).toBeGreaterThan(70_000);
});

test("what nothing passes ends as a bad answer, not as an endless search", async () => {
  const { result, asked } = await searched(200_000, 0);
  expect(result.isGood).toBe(false);
  expect(asked.length).toBeLessThan(20);
});

test("a sender that cannot do more ends the search", async () => {
  const { result, asked } = await searched(200_000, 200_000, 200_000, 90_000);
  expect(asked).toHaveLength(2);
  expect(result).toMatchObject({ offered: 90_000, isGood: true });
});
