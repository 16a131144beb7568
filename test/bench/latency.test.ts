import { expect, test } from "vitest";
import { readPings } from "../../src/bench/latency.ts";

const line = (ms: number): string => `64 bytes from 10.2.0.2: icmp_seq=1 ttl=62 time=${ms} ms`;

/** Echoes of 0.1 ms, 0.2 ms and so on that came back, of so many. */
const pings = (came: number, sent: number) =>
  readPings(
    [
      ...Array.from({ length: came }, (_, i) => line((i + 1) / 10)),
      "",
      `${sent} packets transmitted, ${came} received, ${100 - (100 * came) / sent}% packet loss, time 1250ms`,
    ].join("\n"),
  )!;

test("quantiles of echoes that all came back", () => {
  const { p50, p99, lossPercent, curve } = pings(100, 100);
  expect(p50).toBeCloseTo(5.05, 9);
  expect(p99).toBeCloseTo(9.901, 9);
  expect(lossPercent).toBe(0);
  expect(curve.at(0)).toEqual([0, 0.1]);
  expect(curve.at(-1)).toEqual([1, 10]);
});

test("what was lost is the slowest: the median is of all, and 99 % did not come back", () => {
  const { p50, p99, lossPercent, curve } = pings(80, 101);
  expect(p50).toBeCloseTo(5.1, 9);
  expect(p99).toBeNull();
  expect(lossPercent).toBeCloseTo((21 / 101) * 100, 9);
  const ms = curve.map(([, value]) => value);
  expect(ms).toEqual([...ms].sort((a, b) => a - b));
  expect(curve.at(-1)).toEqual([0.79, 8]);
});

test("one lost of a thousand leaves the 99 %", () => {
  const { p99, lossPercent } = pings(999, 1000);
  expect(p99).toBeCloseTo(99.0, 1);
  expect(lossPercent).toBeCloseTo(0.1, 9);
});

test("one of many came back, or none", () => {
  expect(pings(1, 10)).toEqual({ p50: null, p99: null, lossPercent: 90, curve: [[0, 0.1]] });
  expect(pings(0, 10)).toEqual({ p50: null, p99: null, lossPercent: 100, curve: [] });
  expect(readPings("ping: connect: Network is unreachable")).toBeUndefined();
});
