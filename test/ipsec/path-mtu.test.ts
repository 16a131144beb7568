import * as fc from "fast-check";
import { expect, test } from "vitest";
import { PathMtu, QUOTABLE, wasSentLately } from "../../src/ipsec/path-mtu.ts";

const MINUTE = 60_000;
const path = (options: Partial<ConstructorParameters<typeof PathMtu>[0]> = {}): PathMtu =>
  new PathMtu({ linkMtu: 1500, family: 4, ...options });

test("a believable error lowers the MTU for ten minutes, then a larger packet is tried again", () => {
  const mtu = path();
  expect(mtu.mtu(0)).toBe(1500);
  expect(mtu.learn({ mtu: 1400, length: 1496, lowSeq: 90 }, 100, 1000)).toBe("lowered");
  expect(mtu.mtu(1000)).toBe(1400);
  expect(mtu.expiresAt).toBe(1000 + 10 * MINUTE);
  expect(mtu.mtu(999 + 10 * MINUTE)).toBe(1400);
  expect(mtu.mtu(1000 + 10 * MINUTE)).toBe(1500);
  expect(mtu.expiresAt).toBe(Number.POSITIVE_INFINITY);
});

test("each bottleneck further on lowers it once more, and begins the ten minutes anew", () => {
  const mtu = path();
  mtu.learn({ mtu: 1400, length: 1496, lowSeq: 90 }, 100, 0);
  expect(mtu.learn({ mtu: 1300, length: 1392, lowSeq: 150 }, 200, 9 * MINUTE)).toBe("lowered");
  expect(mtu.mtu(10 * MINUTE)).toBe(1300);
  expect(mtu.mtu(19 * MINUTE)).toBe(1500);
});

test.each([
  ["a packet that would have fitted", { mtu: 1496, length: 1496, lowSeq: 90 }, "implausible"],
  ["a packet longer than the link takes", { mtu: 1400, length: 1501, lowSeq: 90 }, "implausible"],
  ["a packet not sent yet", { mtu: 1400, length: 1496, lowSeq: 101 }, "implausible"],
  ["packet 0, which there is not", { mtu: 1400, length: 1496, lowSeq: 0 }, "implausible"],
  ["less than any path takes", { mtu: 575, length: 1496, lowSeq: 90 }, "below-floor"],
  ["the least that is believed", { mtu: 576, length: 1496, lowSeq: 90 }, "lowered"],
  ["the last packet", { mtu: 1400, length: 1496, lowSeq: 100 }, "lowered"],
  ["the first packet", { mtu: 1400, length: 1496, lowSeq: 1 }, "lowered"],
])("an error about %s: %o is %s", (_, quoted, news) => {
  const mtu = path();
  expect(mtu.learn(quoted, 100, 0)).toBe(news);
  expect(mtu.mtu(0)).toBe(news === "lowered" ? quoted.mtu : 1500);
});

test("on IPv6 nothing below 1280 is believed", () => {
  const mtu = path({ family: 6 });
  expect(mtu.learn({ mtu: 1279, length: 1496, lowSeq: 1 }, 1, 0)).toBe("below-floor");
  expect(mtu.learn({ mtu: 1280, length: 1496, lowSeq: 1 }, 1, 0)).toBe("lowered");
});

test("an echo of what is known already does not hold it for longer", () => {
  const mtu = path();
  mtu.learn({ mtu: 1400, length: 1496, lowSeq: 90 }, 100, 0);
  expect(mtu.learn({ mtu: 1400, length: 1496, lowSeq: 91 }, 100, 5 * MINUTE)).toBe("not-lower");
  expect(mtu.mtu(10 * MINUTE)).toBe(1500);
});

test("a sender of errors that has seen our packets can lower the MTU a few times a minute, not in a flood", () => {
  const mtu = path();
  const news = Array.from({ length: 100 }, (_, i) => mtu.learn({ mtu: 1400 - i, length: 1496, lowSeq: 90 }, 100, i));
  expect(news.filter((one) => one === "lowered")).toHaveLength(8);
  expect(news.filter((one) => one === "rate-limited")).toHaveLength(92);
});

test("another link forgets what was learned of the old path", () => {
  const mtu = path();
  mtu.learn({ mtu: 1400, length: 1496, lowSeq: 90 }, 100, 0);
  mtu.setLinkMtu(1500);
  expect(mtu.mtu(0)).toBe(1400);
  mtu.setLinkMtu(9000);
  expect(mtu.mtu(0)).toBe(9000);
});

test("a number is one of the last packets exactly when counting back from the top meets it", () => {
  const model = (low: number, top: number): boolean => {
    for (let back = 0; back < 40; back++) if (top - back >= 1 && (top - back) % 2 ** 32 === low) return true;
    return false;
  };
  const around = fc.integer({ min: -20, max: 20 });
  const tops = fc.constantFrom(30, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 5, 2 ** 40);
  fc.assert(
    fc.property(tops, around, around, (base, up, down) => {
      const top = base + up;
      const low = (((top - down) % 2 ** 32) + 2 ** 32) % 2 ** 32;
      expect(wasSentLately(low, top)).toBe(model(low, top));
    }),
  );
  expect(wasSentLately(1, QUOTABLE)).toBe(true);
  expect(wasSentLately(1, QUOTABLE + 1)).toBe(false);
});

test("whatever comes in, the MTU is within its bounds, and only a new error or the time changes it", () => {
  const error = fc.record({ mtu: fc.nat(2000), length: fc.nat(2000), lowSeq: fc.nat(50), after: fc.nat(3 * MINUTE) });
  fc.assert(
    fc.property(fc.array(error, { maxLength: 40 }), (errors) => {
      const mtu = path();
      let now = 0;
      let learned = 1500;
      let since = 0;
      for (const { after, ...quoted } of errors) {
        now += after;
        if (now >= since + 10 * MINUTE) learned = 1500;
        expect(mtu.mtu(now)).toBe(learned);
        if (mtu.learn(quoted, 40, now) === "lowered") {
          expect(quoted.mtu).toBeLessThan(learned);
          learned = quoted.mtu;
          since = now;
        }
        expect(mtu.mtu(now)).toBe(learned);
        expect(learned >= 576 && learned <= 1500).toBe(true);
      }
    }),
  );
});
