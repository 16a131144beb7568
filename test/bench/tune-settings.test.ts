/** What tune tries: the values, their order, and where it begins. */
import { cpus } from "node:os";
import { expect, test } from "vitest";
import { memorySpaceOf, settingsOf, spaceOf } from "../../src/bench/tune-settings.ts";
import { allCandidates } from "../../src/bench/tune-space.ts";

const SUITE = "aes256gcm16";

test("what decides the most is tried first, as the time may be over before the last", () => {
  expect(Object.keys(spaceOf(SUITE, {}).values)).toEqual(["engine", "workers", "batch", "poll", "sas"]);
});

test("it begins with what is configured, also where that is unusual", () => {
  const configured = { workers: 3, batch: 100, poll: "spin", engine: "node", sas: 2 } as const;
  const { start, values } = spaceOf(SUITE, configured);
  expect(start).toEqual(configured);
  expect(values["workers"]).toEqual(expect.arrayContaining([1, 3, cpus().length]));
  expect(values["batch"]).toContain(100);
});

test("as many pairs of SAs as workers is what auto means: it is not tried twice", () => {
  const { start } = spaceOf(SUITE, { workers: 2, sas: 2 });
  expect(start["sas"]).toBe("auto");
  for (const { workers, sas } of allCandidates(spaceOf(SUITE, { workers: 4 })))
    expect(sas === "auto" || Number(sas) < Number(workers)).toBe(true);
});

test("values that were asked for are tried alone; what does not go together is a mistake", () => {
  const { values, start } = spaceOf(SUITE, { workers: 1 }, { workers: [4, 8], sas: [2] });
  expect(values).toMatchObject({ workers: [4, 8], sas: [2] });
  expect(start).toMatchObject({ workers: 4, sas: 2 });
  expect(() => spaceOf(SUITE, {}, { workers: [1], sas: [2] })).toThrow("of these settings no two go together");
});

test("in memory there is no waiting and one pair a worker", () => {
  const { values, start, dearest } = memorySpaceOf(spaceOf(SUITE, {}));
  expect(Object.keys(values)).toEqual(["engine", "workers", "batch"]);
  expect(Object.keys(start)).toEqual(["workers", "batch", "engine"]);
  expect(dearest).toEqual(["workers", "batch", "engine"]);
  expect(settingsOf({ workers: 2, batch: 64, engine: "node" }, SUITE, "node")).toEqual({
    workers: 2,
    batch: 64,
    engine: "node",
  });
});
