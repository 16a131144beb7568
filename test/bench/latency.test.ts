import { expect, test } from "vitest";
import { readPings } from "../../src/bench/latency.ts";

const line = (ms: number): string => `64 bytes from 10.2.0.2: icmp_seq=1 ttl=62 time=${ms} ms`;

test("quantiles of what came back, and the share that did not", () => {
  const times = Array.from({ length: 100 }, (_, i) => line((i + 1) / 10));
  const latency = readPings(
    [...times, "", "125 packets transmitted, 100 received, 20% packet loss, time 1250ms"].join("\n"),
  );
  expect(latency).toMatchObject({ count: 100, worst: 10 });
  expect(latency?.p50).toBeCloseTo(5.05, 9);
  expect(latency?.p99).toBeCloseTo(9.9, 1);
  expect(latency?.lossPercent).toBeCloseTo(20, 9);
  const ms = latency!.curve.map(([, value]) => value);
  expect(ms).toEqual([...ms].sort((a, b) => a - b));
  expect(latency!.curve.at(0)).toEqual([0, 0.1]);
  expect(latency!.curve.at(-1)).toEqual([1, 10]);
});

test("nothing came back", () => {
  expect(readPings("10 packets transmitted, 0 received, 100% packet loss")).toBeUndefined();
});
