import { expect, test } from "vitest";
import { benchSad } from "../../src/bench/sad.ts";

test("each work of each size has a row; what is wrong would have thrown before it was timed", async () => {
  const told: string[] = [];
  const rows = await benchSad({ sas: [1, 300], seconds: 0.01 }, ({ work, sas }, of) =>
    told.push(`${work} ${sas} of ${of}`),
  );
  expect(told).toEqual([
    "find 1 of 8",
    "replay 1 of 8",
    "install 1 of 8",
    "meet 1 of 8",
    "find 300 of 8",
    "replay 300 of 8",
    "install 300 of 8",
    "meet 300 of 8",
  ]);
  for (const { perSecond, ns, samples, bytesPerPair } of rows) {
    expect(perSecond).toBeGreaterThan(0);
    expect(ns * perSecond).toBeCloseTo(1e9, 0);
    expect(samples).toHaveLength(10);
    expect(bytesPerPair).toBeLessThanOrEqual(2 * 2048);
  }
});

test.each([{ sas: [0] }, { sas: [65_537] }, { sas: [1.5] }, { seconds: 0 }])("%j is refused", async (options) => {
  await expect(benchSad(options)).rejects.toMatchObject({ code: "ESPALIER_USAGE" });
});
