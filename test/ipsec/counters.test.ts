import { expect, test } from "vitest";
import { addTallies, Counters } from "../../src/ipsec/counters.ts";
import { VERDICTS, Verdict, verdictName } from "../../src/ipsec/verdict.ts";

test("verdicts are numbered without gaps, and their names are kebab-case and unique", () => {
  expect(VERDICTS.map(({ number }) => number)).toEqual(VERDICTS.map((_, i) => i));
  expect(new Set(VERDICTS.map(({ name }) => name)).size).toBe(VERDICTS.length);
  for (const { name } of VERDICTS) expect(name).toMatch(/^[a-z]+(-[a-z]+)*$/);
  expect(verdictName(Verdict.REPLAY)).toBe("replay");
});

test("every verdict has a counter of its own", () => {
  const counters = Counters.create(3);
  for (const { number } of VERDICTS) for (let i = 0; i <= number; i++) counters.count(1, number, 100);
  expect(VERDICTS.map(({ number }) => counters.get(1, number))).toEqual(VERDICTS.map((_, i) => i + 1));
  expect(counters.sum(1)).toBe((VERDICTS.length * (VERDICTS.length + 1)) / 2);
  expect(counters.bytes(1)).toBe(100); // of the one that passed
  expect([counters.sum(0), counters.sum(2)]).toEqual([0, 0]);
});

test("a tally names only reasons that occurred, and tallies add up", () => {
  const counters = Counters.create(3);
  counters.count(0, Verdict.PASS, 40);
  counters.count(0, Verdict.REPLAY, 0);
  counters.count(1, Verdict.REPLAY, 0);
  expect(counters.tally(0)).toEqual({ packets: 1, bytes: 40, drops: { replay: 1 } });
  const both = { packets: 1, bytes: 40, drops: { replay: 2 } };
  expect(addTallies([counters.tally(0), counters.tally(1)])).toEqual(both);
  counters.addTo(2, 0);
  counters.addTo(2, 1);
  expect(counters.tally(2)).toEqual(both);
});

test("blocks share no word, however many there are", () => {
  const counters = Counters.create(700);
  const blocks = Array.from({ length: 700 }, (_, block) => block);
  for (const block of blocks) {
    counters.add(block, Verdict.PASS, block + 1, 10 * block);
    counters.add(block, VERDICTS.length - 1, 2 * block + 1, 7);
  }
  const all = () =>
    blocks.map((block) => [counters.get(block, Verdict.PASS), counters.bytes(block), counters.sum(block)]);
  const expected = blocks.map((block) => [block + 1, 10 * block, 3 * block + 2]);
  expect(all()).toEqual(expected);
  counters.clear(65);
  expected[65] = [0, 0, 0];
  expect(all()).toEqual(expected);
});
