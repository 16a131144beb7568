import { expect, test } from "vitest";
import { untilRest } from "../../src/bench/move-datagrams.ts";

test("what still queues is waited for, and then no longer than nothing comes", async () => {
  let looks = 0;
  await untilRest(() => Math.min(++looks, 6));
  expect(looks).toBeGreaterThan(8);
});

test("what never rests is not waited for longer than two seconds", async () => {
  let looks = 0;
  let now = 0;
  const clock = (): number => {
    now += 100;
    return now;
  };
  await untilRest(() => ++looks, clock);
  expect(looks).toBeLessThan(30);
});
