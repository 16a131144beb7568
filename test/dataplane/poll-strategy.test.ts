/** When a worker sleeps and when it looks again, with a processor whose clock the test sets. */
import { expect, test } from "vitest";
import { PollStrategy, type PollStrategyName } from "../../src/dataplane/poll-strategy.ts";

const START = 0x7fff_ff00; // the clock passes its sign in the middle

const played = (name: PollStrategyName) => {
  const state = { now: START, yields: 0, taken: 0 };
  const strategy = new PollStrategy(name, {
    now: () => state.now | 0,
    yield: () => {
      state.yields++;
      state.now += state.taken;
    },
  });
  /** No work for `pause` µs: how many looks there were before it slept. Then work. */
  const pause = (length: number): number => {
    const end = state.now + length;
    let looks = 0;
    while (state.now < end && strategy.looks()) {
      looks++;
      state.now += 2;
    }
    state.now = Math.max(state.now, end);
    strategy.worked();
    return looks;
  };
  return { state, strategy, pause };
};

test("sleep always sleeps, spin never does", () => {
  const sleeper = played("sleep");
  const spinner = played("spin");
  for (const length of [10, 10, 10_000]) {
    expect(sleeper.pause(length)).toBe(0);
    expect(spinner.pause(length)).toBe(length / 2);
  }
});

test("adaptive sleeps until short pauses have shown that looking pays", () => {
  const { pause } = played("adaptive");
  expect(pause(100)).toBe(0);
  let last = 0;
  for (let i = 0; i < 5; i++) last = pause(100);
  expect(last).toBe(50);
});

test("adaptive looks for no longer than its window, and no more once long pauses have shown that it does not pay", () => {
  const { pause, state } = played("adaptive");
  for (let i = 0; i < 50; i++) pause(100);
  const looks = pause(10_000);
  expect(looks).toBeGreaterThan(100);
  expect(looks).toBeLessThan(200);
  for (let i = 0; i < 20; i++) pause(10_000);
  const before = state.yields;
  expect(pause(10_000)).toBe(0);
  expect(state.yields).toBe(before);
});

test("of a request and its answer the pause between them is looked through, whatever the time to the next", () => {
  const { pause } = played("adaptive");
  for (let i = 0; i < 100; i++) {
    pause(150);
    pause(10_000);
  }
  expect(pause(150)).toBe(75);
});

test("work that was there at once teaches nothing", () => {
  const { pause } = played("adaptive");
  for (let i = 0; i < 1000; i++) pause(0);
  expect(pause(100)).toBe(0);
});

test("when others want the processor it sleeps, and only much later looks again", () => {
  const { pause, state } = played("adaptive");
  for (let i = 0; i < 50; i++) pause(100);
  state.taken = 3000;
  expect(pause(10_000)).toBeLessThan(4);
  state.taken = 0;
  let slept = 0;
  while (pause(100) === 0) slept++;
  expect(slept).toBeGreaterThan(500);
});
