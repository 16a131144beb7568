import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

test("each side's result says which build it is of, and not of whoever measured it", async () => {
  const made = (name: string, code: string): string => {
    const folder = mkdtempSync(join(tmpdir(), "espalier-turns-"));
    mkdirSync(join(folder, "dist/cli"), { recursive: true });
    writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "espalier", version: `9.${name}.0` }));
    writeFileSync(join(folder, "dist/cli/main.js"), code);
    writeFileSync(join(folder, "dist/cli/main.d.ts"), name);
    return folder;
  };
  const [one, same, other] = [made("1", "x"), made("2", "x"), made("3", "y")] as const;
  try {
    const turns = (a: string, b: string) => measureInTurns({ a, b, words: WORDS, rounds: 6 }, builds(1).ask);
    const [a, b] = await turns(one, other);
    expect([a.versions["espalier"], b.versions["espalier"]]).toEqual(["9.1.0", "9.3.0"]);
    expect(a.versions["build"]).toMatch(/^[0-9a-f]{12}$/);
    expect(b.versions["build"]).not.toBe(a.versions["build"]);
    expect(compareResults(a, b)).toMatchObject({
      builds: [`espalier 9.1.0, build ${a.versions["build"]}`, `espalier 9.3.0, build ${b.versions["build"]}`],
    });
    const [, again] = await turns(one, same);
    expect(again.versions["build"]).toBe(a.versions["build"]);
  } finally {
    for (const folder of [one, same, other]) rmSync(folder, { recursive: true });
  }
});

test("in turns every figure is judged that each round has", async () => {
  const ask: Ask = async (folder) => {
    const loadedP99Ms = folder === "a" ? 2 : 3;
    return JSON.stringify({ peer: "self", gbps: 5, loadedP99Ms, cpuPerGbit: 0.1, ndrPps: null });
  };
  const [a, b] = await measureInTurns({ a: "a", b: "b", words: ["tunnel"], rounds: 8 }, ask);
  expect(compareResults(a, b).rows).toMatchObject([
    { metric: "gbps", verdict: "noise" },
    { metric: "cpuPerGbit", verdict: "noise" },
    { metric: "loadedP99Ms", verdict: "worse" },
  ]);
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
