import { expect, test } from "vitest";
import { systemClock } from "../../src/gateway/clock.ts";

test("one moment has one time of day, however often it is asked for", () => {
  const at = systemClock.now() + 3_600_000;
  const texts = new Set(Array.from({ length: 1000 }, () => systemClock.iso(at)));
  expect(texts.size).toBe(1);
});

test("the time of day is the wall clock's", () => {
  const told = Date.parse(systemClock.iso(systemClock.now()));
  expect(Math.abs(told - Date.now())).toBeLessThan(1000);
});
