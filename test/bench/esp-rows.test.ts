import { expect, test } from "vitest";
import { DEFAULT_SUITES, type EspBenchOptions, espTasks } from "../../src/bench/esp-rows.ts";
import { suiteByName } from "../../src/crypto/suites.ts";

test("without options: three suites, two sizes, both directions, one worker", () => {
  const tasks = espTasks({});
  expect(tasks).toHaveLength(12);
  expect([...new Set(tasks.map(({ suite }) => suite.name))]).toEqual(DEFAULT_SUITES);
  expect(tasks[0]).toEqual({
    suite: suiteByName("aes256gcm16"),
    direction: "seal",
    size: 64,
    workers: 1,
    sas: 1,
    train: 1,
    engine: "auto",
    esn: false,
    window: 1024,
    batch: 64,
    seconds: 1,
  });
});

test("a mix of sizes is a size", () => {
  expect(
    espTasks({ sizes: ["imix", 64], directions: ["seal"], suites: ["aes128gcm16"] }).map(({ size }) => size),
  ).toEqual(["imix", 64]);
});

test("lists are combined, each with each", () => {
  const tasks = espTasks({
    suites: ["aes256gcm16", "aes128-sha256"],
    directions: ["open"],
    sizes: [64, 100, 1400],
    workers: [1, 2],
    sas: [1, 10],
    engines: ["node", "noble"],
    windows: [64, 4096],
    trains: [1, 16],
    batches: [1, 256],
    esn: true,
  });
  expect(tasks).toHaveLength(2 * 3 * 2 * 2 * 2 * 2 * 2 * 2);
  expect(new Set(tasks.map((task) => JSON.stringify(task))).size).toBe(tasks.length);
});

const WRONG: readonly (readonly [EspBenchOptions, RegExp])[] = [
  [{ suites: ["aes"] }, /no suite is called aes/],
  [{ directions: ["both" as "open"] }, /a direction is seal or open/],
  [{ sizes: [27] }, /size: expected a whole number from 28 to 9000, not 27/],
  [{ sizes: [9001] }, /size/],
  [{ sizes: [64.5] }, /size/],
  [{ workers: [0] }, /workers: expected a whole number from 1 to 64/],
  [{ workers: [65] }, /workers/],
  [{ sas: [0] }, /sas/],
  [{ sas: [1, 40_000], workers: [1, 2] }, /80000 SAs are too many/],
  [{ windows: [31] }, /window: expected a whole number from 32 to 4096/],
  [{ trains: [0] }, /train: expected a whole number from 1 to 256/],
  [{ batches: [0] }, /batch: expected a whole number from 1 to 256/],
  [{ batches: [257] }, /batch/],
  [{ batches: [64, 256], sizes: [64, 9000] }, /do not fit a worker's memory/],
  [{ seconds: 0 }, /seconds: expected 0.01 to 600/],
  [{ seconds: Number.NaN }, /seconds/],
  [{ suites: [] }, /leaves nothing to measure/],
];

test.each(WRONG)("%j is refused", (options, message) => {
  expect(() => espTasks(options)).toThrow(
    expect.objectContaining({ code: "ESPALIER_USAGE", message: expect.stringMatching(message) }),
  );
});
