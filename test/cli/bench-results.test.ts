/** What a command keeps with `--out`, really measured: of each kind but those that need root, which test/interop has. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { BenchResult } from "../../src/bench/result.ts";
import { ROW_SHAPES } from "../../src/bench/result.ts";
import { runCommand } from "../../src/cli/program.ts";
import { complaintAbout } from "../support/result-schema.ts";

const PROGRAM = resolve(import.meta.dirname, "../../dist/cli/program.js");
const isBuilt = existsSync(PROGRAM);
const reason = isBuilt ? "" : " (skipped: dist/ is not built)";

const directory = mkdtempSync(join(tmpdir(), "espalier-results-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const espalier = async (words: readonly string[], run = runCommand) => {
  const said = { out: "", err: "" };
  const status = await run(["bench", ...words], {
    out: (text) => {
      said.out += text;
    },
    err: (text) => {
      said.err += text;
    },
    columns: undefined,
    colour: true,
    environment: {},
  });
  return { status, ...said };
};

const ESP = "--suite aes256gcm16 --direction seal --size 64 --seconds 0.02 --engine node --no-ceiling";
const MEASURED = [
  ["spd", "spd --policies 10 --list hosts --family ipv4 --seconds 0.01", 2],
  ["sad", "sad --sas 1 --seconds 0.01", 2],
  ["esp", `esp ${ESP}`, 2],
  ["ike", "ike --kex x25519 --seconds 0.1 --concurrency 2 --transport memory", 2],
  ["idle", "ike --tunnels 2 --idle 1 --runs 1", 1],
] as const;

test.skipIf(!isBuilt).each(MEASURED)(`a result of the kind %s${reason}`, async (kind, words, runs) => {
  const program = (await import(PROGRAM)) as { runCommand: typeof runCommand };
  const { status, out, err } = await espalier([...words.split(" "), "--out", "-", "--json"], program.runCommand);
  expect(status, err).toBe(0);
  const result = JSON.parse(out) as BenchResult;
  expect(complaintAbout(result)).toBeUndefined();
  expect(result).toMatchObject({ kind, settings: { runs } });
  expect(result.rows.length).toBeGreaterThan(0);
  for (const { what, samples, floorPercent } of result.rows) {
    expect(Object.keys(what)).toEqual(expect.arrayContaining([...ROW_SHAPES[kind].what]));
    expect(samples.runs).toHaveLength(runs);
    expect(samples.runs.flat().length).toBeGreaterThanOrEqual(2);
    expect(floorPercent === null ? 1 : 2).toBe(runs);
  }
  if (typeof result.rows[0]!.figures["cpuNsPerPacket"] === "number")
    expect(result.rows[0]!.also).toMatchObject([{ metric: "cpuNsPerPacket", better: "less" }]);
  const [kept, bare] = [join(directory, `${kind}.json`), join(directory, `${kind}-rows.json`)];
  writeFileSync(kept, out);
  writeFileSync(bare, err.slice(err.search(/^[[{]/m)));
  const compared = await espalier(["compare", kept, bare]);
  expect(compared.status, compared.err).toBe(0);
  expect(compared.out).toContain("beware: B is rows alone: its machine, versions and load are not known");
  expect(compared.out).not.toContain("rows that only one has");
});

test("with --out - the result has the standard output for itself, and the table goes beside it", async () => {
  const { status, out, err } = await espalier(["sad", "--sas", "1", "--seconds", "0.01", "--out", "-", "--runs", "1"]);
  expect(status).toBe(0);
  expect(complaintAbout(JSON.parse(out))).toBeUndefined();
  expect(err).toMatch(/pairs of SAs.*\n.*find/s);
});
