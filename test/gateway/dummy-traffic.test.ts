import { expect, test } from "vitest";
import { DummyTraffic, type Lengths } from "../../src/gateway/dummy-traffic.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const sentOver = (lengths: Lengths | undefined, ms: number): number[] => {
  const random = new SeededRandom(1);
  const dummies = new DummyTraffic((below) => random.integer(below));
  const sent: number[] = [];
  dummies.add(3, { lengths }, 40, 0);
  for (let now = 0; now <= ms; now += 20)
    dummies.run(now, (id, length) => {
      expect(id).toBe(3);
      sent.push(length);
    });
  return sent;
};

test("25 a second, of any length that a packet may have", () => {
  const sent = sentOver({ mtu: 1438, tfc: 0 }, 40_000);
  expect(sent).toHaveLength(1000);
  expect(Math.min(...sent)).toBeLessThan(60);
  expect(Math.min(...sent)).toBeGreaterThanOrEqual(20);
  expect(Math.max(...sent)).toBeGreaterThan(1400);
  expect(Math.max(...sent)).toBeLessThanOrEqual(1438);
});

test("where packets are padded, dummies are as long as they", () => {
  expect(new Set(sentOver({ mtu: 1438, tfc: 0x10000 }, 2_000))).toEqual(new Set([1438]));
  expect(new Set(sentOver({ mtu: 1438, tfc: 512 }, 8_000))).toEqual(new Set([512, 1024, 1438]));
});

test("none where nothing can be sent", () => {
  expect(sentOver(undefined, 1_000)).toEqual([]);
});
