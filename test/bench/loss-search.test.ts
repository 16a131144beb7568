import { expect, test } from "vitest";
import { type LossGoal, type LossSearch, NDR, PDR, searchLossRates } from "../../src/bench/loss-search.ts";
import { seeded } from "../../src/bench/statistics.ts";

const SEARCH: LossSearch = {
  most: 1_000_000,
  least: 1000,
  goals: [NDR, PDR],
  short: 1,
  long: 10,
  precision: 0.02,
  repeats: 3,
};

/** A tunnel that loses nothing up to `limit`, and beyond it what is too much; `sender`: all that is ever offered. */
const tunnel =
  (limit: number, sender = Number.POSITIVE_INFINITY) =>
  async (rate: number) => {
    const offered = Math.min(rate, sender);
    return { offered, lossPercent: Math.max(0, (1 - limit / offered) * 100) };
  };

const rateOf = (rates: readonly { goal: LossGoal; rate: number }[], goal: LossGoal): number =>
  rates.find((each) => each.goal === goal)!.rate;

test.each([5_000, 80_000, 333_333, 999_000])(
  "a limit of %i packets/s: NDR just below, PDR up to 0.5 % above",
  async (limit) => {
    const { rates, trials } = await searchLossRates(SEARCH, tunnel(limit));
    expect(rateOf(rates, NDR)).toBeLessThanOrEqual(limit);
    expect(rateOf(rates, NDR)).toBeGreaterThan(limit * 0.93);
    expect(rateOf(rates, PDR)).toBeLessThanOrEqual(limit * 1.00503);
    expect(rateOf(rates, PDR)).toBeGreaterThan(limit * 0.97);
    expect(rateOf(rates, PDR)).toBeGreaterThanOrEqual(rateOf(rates, NDR));
    expect(trials.length).toBeLessThan(30);
    expect(trials.every(({ rate }) => rate > 0 && rate <= SEARCH.most)).toBe(true);
  },
);

test("the trials of one goal serve the other: the second takes fewer", async () => {
  const { trials } = await searchLossRates(SEARCH, tunnel(200_000));
  const count = (goal: LossGoal): number =>
    trials.filter((trial) => trial.goal === goal.name && trial.seconds === 1).length;
  expect(count(NDR)).toBeLessThan(count(PDR));
});

test("a moment of somebody else in one long trial of three is forgiven", async () => {
  const limit = 100_000;
  let longs = 0;
  const honest = tunnel(limit);
  const { rates } = await searchLossRates({ ...SEARCH, goals: [NDR] }, async (rate, ...rest) => {
    const [seconds = 0] = rest;
    if (seconds === 10 && longs++ === 0) return { offered: rate, lossPercent: 3 };
    return honest(rate);
  });
  expect(rateOf(rates, NDR)).toBeGreaterThan(limit * 0.97);
});

test("what loses some at every rate has no NDR, but a PDR", async () => {
  const random = seeded(1);
  const { rates } = await searchLossRates({ ...SEARCH, most: 100_000 }, async (rate) => ({
    offered: rate,
    lossPercent: rate > 50_000 ? 20 : 0.1 + 0.2 * random(),
  }));
  expect(rateOf(rates, NDR)).toBe(0);
  expect(rateOf(rates, PDR)).toBeGreaterThan(45_000);
});

test("a sender at its end is said: the tunnel may do more", async () => {
  const { rates } = await searchLossRates({ ...SEARCH, goals: [NDR] }, tunnel(500_000, 90_000));
  expect(rates[0]).toMatchObject({ isSendersLimit: true });
  expect(rates[0]!.rate).toBeLessThanOrEqual(90_000);
});
