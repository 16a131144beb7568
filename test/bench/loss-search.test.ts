import fc from "fast-check";
import { expect, test } from "vitest";
import { type LossGoal, type LossSearch, NDR, PDR, searchLossRates } from "../../src/bench/loss-search.ts";
import { seeded } from "../../src/bench/statistics.ts";

const SEARCH: LossSearch = {
  most: 1_000_000,
  least: 1000,
  goals: [NDR, PDR],
  short: 1,
  long: 10,
  limit: 1000,
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

const rateOf = (rates: readonly { goal: LossGoal; rate: number | null }[], goal: LossGoal): number =>
  rates.find((each) => each.goal === goal)!.rate!;

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
  const { rates } = await searchLossRates({ ...SEARCH, goals: [NDR] }, async (rate, seconds) => {
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

test.each([900_000, 1_000_000])(
  "a tunnel that does all that a sender of %i can is not said to be at its own end",
  async (most) => {
    const { rates, trials } = await searchLossRates({ ...SEARCH, most }, tunnel(2_000_000));
    expect(trials.every(({ lossPercent }) => lossPercent === 0)).toBe(true);
    for (const { rate, isSendersLimit } of rates) {
      expect(isSendersLimit).toBe(true);
      expect(rate).toBeGreaterThan(most * 0.97);
    }
  },
);

test("a limit of the tunnel is not the sender's", async () => {
  const { rates } = await searchLossRates(SEARCH, tunnel(700_000));
  expect(rates.map(({ isSendersLimit }) => isSendersLimit)).toEqual([false, false]);
});

test.each([1, 2, 3, 5, 8])("stray loss in short trial %i is forgiven", async (stray) => {
  const limit = 600_000;
  const honest = tunnel(limit);
  let shorts = 0;
  const { rates } = await searchLossRates({ ...SEARCH, goals: [NDR] }, async (rate, seconds) => {
    if (seconds === 1 && ++shorts === stray) return { offered: rate, lossPercent: 0.01 };
    return honest(rate);
  });
  expect(rateOf(rates, NDR)).toBeGreaterThan(limit * 0.97);
  expect(rateOf(rates, NDR)).toBeLessThanOrEqual(limit);
});

test("what only long trials show is stepped back from, ever faster, and then approached again", async () => {
  const short = tunnel(800_000);
  const long = tunnel(300_000);
  const { rates, trials } = await searchLossRates({ ...SEARCH, goals: [NDR] }, async (rate, seconds) =>
    seconds === 1 ? short(rate) : long(rate),
  );
  expect(rateOf(rates, NDR)).toBeGreaterThan(300_000 * 0.94);
  expect(rateOf(rates, NDR)).toBeLessThanOrEqual(300_000);
  expect(trials.filter(({ seconds }) => seconds === 10).length).toBeLessThan(25);
});

test("the run of a rate is the last good long one at it", async () => {
  let runs = 0;
  const honest = tunnel(200_000);
  const { rates } = await searchLossRates(SEARCH, async (rate, seconds) => ({
    ...(await honest(rate)),
    asked: `${rate} for ${seconds} s`,
    run: ++runs,
  }));
  for (const { rate, run, goal } of rates) {
    expect(run).toMatchObject({ asked: `${rate} for 10 s` });
    expect(run!.lossPercent).toBeLessThanOrEqual(goal.lossPercent);
  }
});

test.each([0, 5, 12, 60, 80])(
  "%i seconds are not exceeded: what they do not suffice for is not known",
  async (limit) => {
    const { rates, trials } = await searchLossRates({ ...SEARCH, limit }, tunnel(200_000));
    expect(trials.reduce((sum, { seconds }) => sum + seconds, 0)).toBeLessThanOrEqual(limit);
    for (const { rate, run } of rates) expect(rate === null).toBe(run === undefined);
    if (limit < 30) expect(rates.map(({ rate }) => rate)).toEqual([null, null]);
  },
);

test("whatever is lost when, the search ends, and its rates stand on long runs", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer(),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.integer({ min: 1, max: 1_000_000 }),
      async (seed, restless, most) => {
        const random = seeded(seed);
        const search = { ...SEARCH, most, least: Math.max(1, most / 200) };
        const { rates, trials } = await searchLossRates(search, async (rate) => ({
          offered: rate,
          lossPercent: random() < restless ? 10 * random() ** 8 : 0,
        }));
        for (const { rate, goal } of rates) {
          const long = trials.filter((trial) => trial.rate === rate && trial.seconds === search.long);
          const good = long.filter(({ lossPercent }) => lossPercent <= goal.lossPercent);
          if (rate !== null && rate > 0) expect(good.length * 2).toBeGreaterThan(long.length);
        }
      },
    ),
    { numRuns: 300 },
  );
});

test("a goal that takes all its time leaves the other its own", async () => {
  const honest = tunnel(200_000);
  const { rates } = await searchLossRates({ ...SEARCH, limit: 100 }, async (rate) => {
    const tried = await honest(rate);
    return { ...tried, lossPercent: rate < 50_000 ? 0 : Math.max(1, tried.lossPercent) };
  });
  expect(rateOf(rates, NDR)).toBeGreaterThan(0);
  expect(rateOf(rates, NDR)).toBeLessThan(50_000);
});
