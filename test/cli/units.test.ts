import { expect, test } from "vitest";
import { octets, packets, span } from "../../src/cli/units.ts";

test.each([
  [0, "0 B", "0"],
  [999, "999 B", "999"],
  [1000, "1.00 kB", "1.00 k"],
  [9994, "9.99 kB", "9.99 k"],
  [9996, "10.0 kB", "10.0 k"],
  [99_960, "100 kB", "100 k"],
  [999_499, "999 kB", "999 k"],
  [999_500, "1.00 MB", "1.00 M"],
  [3_210_987_654, "3.21 GB", "3.21 G"],
  [2 ** 53, "9.01 PB", "9.01 P"],
])("%d", (value, ofOctets, ofPackets) => {
  expect(octets(value)).toBe(ofOctets);
  expect(packets(value)).toBe(ofPackets);
});

test.each([
  [-5, "now"],
  [0.5, "now"],
  [59, "59 s"],
  [61, "1 min 1 s"],
  [3600, "1 h"],
  [7384, "2 h 3 min"],
  [86_400 * 9 + 3601, "9 d 1 h"],
])("%d s", (seconds, text) => {
  expect(span(seconds)).toBe(text);
});
