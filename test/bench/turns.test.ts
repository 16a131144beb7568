import { expect, test } from "vitest";
import { compareResults } from "../../src/bench/compare.ts";
import { type Ask, measureInTurns } from "../../src/bench/turns.ts";

const WORDS = ["esp", "--size", "64"];

/** Builds on a machine that drifts by a third; `b` is faster by so much. */
const builds = (faster: number): { ask: Ask; asked: string[] } => {
  const asked: string[] = [];
  const ask: Ask = async (folder, words) => {
    expect(words).toEqual(WORDS);
    const drift = 1 + 0.3 * Math.sin(asked.length / 3);
    asked.push(folder);
    const pps = 1e6 * drift * (folder === "b" ? faster : 1) * (1 + 0.001 * (asked.length % 3));
    return JSON.stringify([{ suite: "x", direction: "seal", size: 64, pps, samples: [1, 2, 3] }]);
  };
  return { ask, asked };
};

test("the sides take turns and change places, and a sample is a round", async () => {
  const { ask, asked } = builds(1);
  const [a, b] = await measureInTurns({ a: "a", b: "b", words: WORDS, rounds: 6 }, ask);
  expect(asked.join("")).toBe("abbaabbaabba");
  expect(a.rows[0]!.samples.runs).toHaveLength(1);
  expect(a.rows[0]!.samples.runs[0]).toHaveLength(6);
  expect(a.settings).toMatchObject({ turns: b.settings["turns"], build: "a", rounds: 6 });
});

test("half as much again is seen through a drift of a third; nothing is not", async () => {
  const verdict = async (faster: number) => {
    const [a, b] = await measureInTurns({ a: "a", b: "b", words: WORDS, rounds: 12 }, builds(faster).ask);
    return compareResults(a, b);
  };
  expect(await verdict(1.5)).toMatchObject({ paired: true, rows: [{ verdict: "better" }] });
  expect(await verdict(1)).toMatchObject({ paired: true, rows: [{ verdict: "noise" }] });
});

test.each([
  [{ words: ["speed"] }, /expected a command of bench/],
  [{ rounds: 5 }, /rounds: expected a whole number from 6 to 1000, not 5/],
])("%j is refused", async (wrong, message) => {
  await expect(measureInTurns({ a: "a", b: "b", words: WORDS, rounds: 6, ...wrong }, builds(1).ask)).rejects.toThrow(
    message,
  );
});

test("a folder without a build is said", async () => {
  await expect(measureInTurns({ a: "/nonexistent", b: "b", words: WORDS, rounds: 6 })).rejects.toMatchObject({
    code: "ESPALIER_USAGE",
    message: "/nonexistent has no dist/cli/main.js",
  });
});

test("idle tunnels are rows of both sides", async () => {
  const ask: Ask = async (folder) =>
    JSON.stringify({ tunnels: 9, initiator: { cpuPercent: folder === "a" ? 8 : 4 }, responder: { cpuPercent: 5 } });
  const words = ["ike", "--tunnels", "9"];
  const [a, b] = await measureInTurns({ a: "a", b: "b", words, rounds: 7 }, ask);
  expect(compareResults(a, b)).toMatchObject({
    kind: "idle",
    rows: [
      { what: { side: "initiator" }, verdict: "better" },
      { what: { side: "responder" }, verdict: "noise" },
    ],
  });
});

test("a build that answers with something else, or leaves out a row, is said", async () => {
  const turns = (ask: Ask) => measureInTurns({ a: "a", b: "b", words: WORDS, rounds: 6 }, ask);
  await expect(turns(async () => "[]")).rejects.toThrow("a did not answer with rows of bench esp");
  await expect(turns(async () => "Usage:")).rejects.toThrow(/^what a printed is no JSON/);
  const row = { suite: "x", direction: "seal", size: 64, pps: 1 };
  let asked = 0;
  const fewer: Ask = async () => JSON.stringify(asked++ === 0 ? [row] : [row, row]);
  await expect(turns(fewer)).rejects.toThrow("round 1: row 2 has no pps");
});
