import fc from "fast-check";
import { expect, test } from "vitest";
import { formatDuration, parseDuration } from "../../src/config/duration.ts";

test.each([
  ["30s", 30_000],
  ["1h", 3_600_000],
  ["24h", 86_400_000],
  ["500ms", 500],
  ["1h30m", 5_400_000],
  ["1.5s", 1500],
  ["2d", 172_800_000],
  [" 10m ", 600_000],
  ["15", 15_000],
  [30, 30_000],
  [0.5, 500],
  [0, 0],
])("%j is %d ms", (text, milliseconds) => {
  expect(parseDuration(text)).toBe(milliseconds);
});

test.each([
  "",
  "s",
  "5y",
  "-3s",
  "1 h",
  "1h 30m",
  "1e3",
  "h1",
  -1,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  null,
  true,
  [],
])("%j is no duration", (value) => {
  expect(parseDuration(value)).toBeUndefined();
});

test("what is formatted is read as the same time", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 40 * 86_400_000 }), (milliseconds) => {
      expect(parseDuration(formatDuration(milliseconds))).toBe(milliseconds);
    }),
  );
});
