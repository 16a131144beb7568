import { expect, test } from "vitest";
import { checkedSettings, type TunnelBenchOptions } from "../../src/bench/tunnel-options.ts";
import { searchRates } from "../../src/bench/tunnel-search.ts";

/** Datagrams through a tunnel that carries so many a second, from a sender that can send so many. */
const searched = async (options: TunnelBenchOptions, tunnel: number, sender: number) => {
  const asked: { seconds: number; rate: number | undefined }[] = [];
  const found = await searchRates(checkedSettings(options), async (seconds, rate) => {
    asked.push({ seconds, rate });
    const sent = Math.min(rate ?? sender, sender);
    const packets = Math.min(sent, tunnel) * seconds;
    return {
      ...{ seconds, bytes: packets * 64, packets, offered: sent * seconds, retransmits: null, outOfOrder: 0 },
      ...{
        lossPercent: (1 - packets / (sent * seconds)) * 100,
        samples: [],
        cpu: 1,
        spent: { ours: 1, others: 0, kernel: 0, stolen: 0, wall: 1 },
      },
    };
  });
  return { found, asked };
};

test("without a goal nothing is searched", async () => {
  expect(await searched({ udp: 64, rate: 1000 }, 1e5, 3e5)).toEqual({ found: undefined, asked: [] });
});

test("the row is about the PDR, by the last long trial at it", async () => {
  const { found } = await searched({ udp: 64, ndr: true, seconds: 2 }, 1e5, 3e5);
  expect(found!.ndrPps).toBeGreaterThan(0.95e5);
  expect(found!.ndrPps).toBeLessThanOrEqual(1e5);
  expect(found!.pdrPps).toBeGreaterThanOrEqual(found!.ndrPps!);
  expect(found).toMatchObject({ rate: found!.pdrPps, run: { seconds: 2 }, atLeast: [] });
  expect(found!.run!.offered! / 2).toBe(found!.rate);
});

test("with a loss that is allowed neither NDR nor PDR is said", async () => {
  const { found } = await searched({ udp: 64, maxLoss: 10, seconds: 2 }, 1e5, 3e5);
  expect(found).toMatchObject({ ndrPps: null, pdrPps: null });
  expect(found!.rate).toBeGreaterThan(1.05e5);
  expect(found!.run!.lossPercent).toBeLessThanOrEqual(10);
});

test("a sender that is slower than the tunnel: the figures are at least so much", async () => {
  expect((await searched({ udp: 64, ndr: true }, 1e6, 1e5)).found!.atLeast).toEqual(["pps", "ndrPps", "pdrPps"]);
  expect((await searched({ udp: 64, maxLoss: 1 }, 1e6, 1e5)).found!.atLeast).toEqual(["pps"]);
});

test.each([1, 2, 5, 30])(
  "trials of %i s take 16 s and seven times as long at most, whatever is lost",
  async (seconds) => {
    for (const tunnel of [1, 3_000, 1e5, 2.9e5]) {
      const { asked } = await searched({ udp: 64, ndr: true, seconds }, tunnel, 3e5);
      expect(asked.slice(1).reduce((sum, run) => sum + run.seconds, 0)).toBeLessThanOrEqual(16 + 7 * seconds);
    }
  },
);

test("where none is good the row is about the lowest rate, and has no run yet", async () => {
  const { found } = await searched({ udp: 64, ndr: true, seconds: 1 }, 1, 3e5);
  expect(found).toMatchObject({ rate: 1500, run: undefined, ndrPps: 0, pdrPps: 0 });
});
