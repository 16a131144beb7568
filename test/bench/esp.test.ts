/** In threads of their own, so this needs `npm run build` first. How fast it is does not matter here. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { buildCeiling } from "../../src/bench/ceiling-build.ts";
import type * as EspModule from "../../src/bench/esp.ts";
import type { EspBenchOptions, EspBenchRow } from "../../src/bench/esp-rows.ts";
import { meanOctets } from "../../src/bench/inner-packets.ts";
import type { EngineName } from "../../src/crypto/engine.ts";
import { driverByName, suitesDoneBy } from "../../src/crypto/select-engine.ts";

const BUILT = resolve(import.meta.dirname, "../../dist/bench/esp.js");
const isBuilt = existsSync(BUILT);
const reason = isBuilt ? "" : " (skipped: dist/ is not built)";
const SHORT = 0.02;

const measured = async (options: EspBenchOptions): Promise<EspBenchRow[]> => {
  const { benchEsp } = (await import(BUILT)) as typeof EspModule;
  return benchEsp({ seconds: SHORT, ceiling: false, ...options });
};

const ROW = {
  suite: expect.any(String),
  direction: expect.stringMatching(/^(seal|open)$/),
  size: expect.any(Number),
  workers: expect.any(Number),
  sas: expect.any(Number),
  train: 1,
  batch: 64,
  engine: expect.any(String),
  esn: expect.any(Boolean),
  window: expect.any(Number),
  seconds: expect.any(Number),
  packets: expect.any(Number),
  pps: expect.any(Number),
  gbps: expect.any(Number),
  cpuNsPerPacket: expect.any(Number),
  drops: 0,
  ceiling: null,
  ceilingPps: null,
  share: null,
  cyclesPerPacket: null,
  enginePps: null,
  engineShare: null,
  samples: expect.any(Array),
  ceilingSamples: [],
  alsoSamples: { cpuNsPerPacket: expect.any(Array) },
};

const checkRows = (rows: readonly EspBenchRow[], seconds: number): void => {
  for (const row of rows) {
    expect(row).toEqual(ROW);
    expect(row.packets).toBeGreaterThan(0);
    expect(row.packets % 64).toBe(0);
    expect(row.seconds).toBeGreaterThanOrEqual(seconds);
    expect(row.pps).toBeCloseTo(row.packets / row.seconds, 3);
    expect(row.gbps).toBeCloseTo((row.packets * meanOctets(row.size, 64) * 8) / row.seconds / 1e9, 6);
    expect(row.samples).toHaveLength(5);
  }
};

const ENGINES: readonly EngineName[] = ["node", "ipsec-mb", "openssl"];

describe.each(ENGINES)("engine %s", (engine) => {
  const missing = isBuilt ? driverByName(engine).unavailable() : "dist/ is not built";

  test.skipIf(missing !== undefined)(
    `a suite of every cipher passes all packets, sealing and opening, with two workers${missing === undefined ? "" : ` (skipped: ${missing})`}`,
    async () => {
      const done = suitesDoneBy(engine); // all of them are in esp-load.test.ts, without threads
      const suites = done
        .filter((suite, i) => done.findIndex(({ cipher }) => cipher === suite.cipher) === i)
        .map(({ name }) => name);
      const rows = await measured({ suites, engines: [engine], sizes: [100], workers: [2] });
      expect(rows.map((row) => `${row.suite} ${row.workers} ${row.direction}`)).toEqual(
        suites.flatMap((suite) => ["seal", "open"].map((direction) => `${suite} 2 ${direction}`)),
      );
      expect(new Set(rows.map((row) => row.engine))).toEqual(new Set([engine]));
      checkRows(rows, SHORT);
    },
    120_000,
  );
});

test.skipIf(!isBuilt)(`a row of 0.2 s, and defaults${reason}`, async () => {
  const rows = await measured({ suites: ["aes256gcm16"], seconds: 0.2 }); // with one worker
  expect(rows.map(({ size, direction }) => `${size} ${direction}`)).toEqual([
    "64 seal",
    "64 open",
    "1400 seal",
    "1400 open",
  ]);
  checkRows(rows, 0.2);
});

test.skipIf(!isBuilt)(
  `many SAs, extended numbers, the least window, the least and the greatest packets${reason}`,
  async () => {
    const rows = await measured({
      suites: ["aes256gcm16", "aes256-sha512"],
      engines: ["node"],
      sizes: [28, 9000],
      workers: [2],
      sas: [1000],
      windows: [64],
      esn: true,
    });
    expect(rows).toHaveLength(8);
    expect(rows[0]).toMatchObject({ sas: 1000, window: 64, esn: true, workers: 2 });
    checkRows(rows, SHORT);
  },
);

test.skipIf(!isBuilt)(`each row is told as soon as it is there${reason}`, async () => {
  const { benchEsp } = (await import(BUILT)) as typeof EspModule;
  const told: string[] = [];
  const rows = await benchEsp(
    { suites: ["aes128gcm16"], engines: ["node"], sizes: [64], seconds: SHORT, ceiling: false },
    (row, of) => told.push(`${row.direction} of ${of}`),
  );
  expect(told).toEqual(["seal of 2", "open of 2"]);
  expect(rows).toHaveLength(2);
});

test.skipIf(!isBuilt)(`an engine that does not exist is refused before anything is measured${reason}`, async () => {
  await expect(measured({ engines: ["node", "quantum" as EngineName] })).rejects.toMatchObject({
    code: "ESPALIER_USAGE",
    message: "no engine is called quantum",
  });
});

describe("beside the ceiling", () => {
  const missing = isBuilt ? driverByName("ipsec-mb").unavailable() : "dist/ is not built";
  const program = missing === undefined ? buildCeiling() : new Error(missing);
  const why = program instanceof Error ? ` (skipped: ${program.message})` : "";

  test.skipIf(program instanceof Error)(
    `suites of every kind have their share, and C seals as node:crypto does${why}`,
    async () => {
      const { benchEsp } = (await import(BUILT)) as typeof EspModule;
      const said: string[] = [];
      const suites = [
        "aes128gcm16",
        "aes256gcm16",
        "chacha20poly1305",
        "aes128-sha1",
        "aes256-sha256",
        "aes128-sha512",
      ];
      const options = { suites, engines: ["ipsec-mb" as const], sizes: [100], sas: [3], seconds: 0.05 };
      const rows = await benchEsp(
        options,
        () => {},
        (line) => said.push(line),
      );
      expect(said.filter((line) => !line.startsWith("no cycles"))).toEqual([]);
      expect(rows).toHaveLength(suites.length * 2);
      for (const { pps, ceiling, ceilingPps, share, samples, ceilingSamples, enginePps, engineShare } of rows) {
        expect(samples).toHaveLength(5);
        expect(ceilingSamples).toHaveLength(5);
        expect(enginePps).toBeGreaterThan(0);
        expect(engineShare).toBeGreaterThan(0);
        expect(ceiling).toBe("libIPSec_MB in C");
        expect(ceilingPps).toBeGreaterThan(pps / 10);
        expect(share).toBeGreaterThan(0);
      }
    },
  );

  test.skipIf(!isBuilt)(`what has none says so once${reason}`, async () => {
    const { benchEsp } = (await import(BUILT)) as typeof EspModule;
    const said: string[] = [];
    const options = {
      suites: ["aes128gcm16"],
      engines: ["node" as const],
      sizes: [64, "imix" as const],
      seconds: SHORT,
    };
    const rows = await benchEsp(
      options,
      () => {},
      (line) => said.push(line),
    );
    expect(said.filter((line) => !line.startsWith("no cycles"))).toEqual([
      "no ceiling: there is nothing to measure the engine node beside",
    ]);
    expect(rows.map(({ share }) => share)).toEqual([null, null, null, null]);
    for (const { engineShare } of rows) expect(engineShare).toBeGreaterThan(0);
  });
});
