/** SAs that come and go by the thousand cost a worker what changed, not what there is. */
import { afterEach, expect, test, vi } from "vitest";
import { OwnedSas } from "../../src/dataplane/owned-sas.ts";
import { Slots } from "../../src/dataplane/slots.ts";
import { TunnelTable } from "../../src/dataplane/tunnel-table.ts";
import { JOURNAL } from "../../src/dataplane/worker-board.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { installPair, MemorySite, settle } from "../support/memory-sites.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

const connected = async () => {
  const [a, b] = [
    await MemorySite.start("127.0.0.2", { workers: 2, slots: 4096 }),
    await MemorySite.start("127.0.0.3", { workers: 2, slots: 4096 }),
  ];
  const [atA, atB] = [a.addTunnel(), b.addTunnel()];
  const pair = installPair([a, atA.id], [b, atB.id]);
  a.plane.use(pair.spiA);
  b.plane.use(pair.spiB);
  settle(a, b);
  return { a, b, atA, atB, ...pair };
};

test("a removal is one entry of the journal for each worker: no table is read again, no other SA looked at", async () => {
  const { a, b, atA, atB } = await connected();
  const sweep = vi.spyOn(OwnedSas.prototype, "sweep");
  const forget = vi.spyOn(OwnedSas.prototype, "forget");
  const isLive = vi.spyOn(TunnelTable.prototype, "isLive");
  for (let round = 0; round < 300; round++) {
    const pair = installPair([a, atA.id], [b, atB.id]);
    a.plane.remove(pair.spiA);
    b.plane.remove(pair.spiB);
    a.plane.step();
    b.plane.step();
    expect(forget).toHaveBeenCalledTimes(4); // two records at each end, by their owner alone
    forget.mockClear();
  }
  expect(sweep).not.toHaveBeenCalled();
  expect(isLive).not.toHaveBeenCalled();
  atA.tun.inject(ipPacket({ version: 4 }));
  settle(a, b);
  expect(atB.tun.delivered()).toHaveLength(1);
});

test("a worker that missed more than the journal holds looks at everything, once", async () => {
  const { a, b, atA, atB } = await connected();
  const pairs = Array.from({ length: JOURNAL + 10 }, () => installPair([a, atA.id], [b, atB.id]));
  for (const { spiA } of pairs) {
    a.plane.use(spiA);
    atA.tun.inject(ipPacket({ version: 4 }));
    settle(a, b); // so that their keys are expanded
  }
  const last = installPair([a, atA.id], [b, atB.id]);
  a.plane.use(last.spiA);
  const sweep = vi.spyOn(OwnedSas.prototype, "sweep");
  for (const { spiA } of pairs) a.plane.remove(spiA);
  a.plane.step();
  expect(sweep).toHaveBeenCalledTimes(2); // each worker
  a.plane.step();
  expect(sweep).toHaveBeenCalledTimes(2);
  atB.tun.delivered();
  atA.tun.inject(ipPacket({ version: 4 }));
  settle(a, b);
  expect(atB.tun.delivered()).toHaveLength(1);
  a.plane.poll();
  expect(a.plane.tunnelCounters(atA.id).out.packets).toBe(pairs.length + 1);
});

test("slots are used again in the order they were freed, each by its worker", () => {
  const slots = new Slots(64, 3);
  const taken = Array.from({ length: 22 }, () => slots.reserve(0) & 63);
  expect(taken).toEqual(Array.from({ length: 22 }, (_, i) => i * 3));
  expect(slots.reserve(0)).toBe(0);
  for (const [revision, slot] of [30, 3, 27].entries()) slots.retire(slot, revision);
  expect(slots.reclaim((revision) => revision < 2)).toEqual([30, 3]);
  slots.release(9);
  expect([slots.reserve(0), slots.reserve(0), slots.reserve(0)].map((spi) => spi & 63)).toEqual([30, 3, 9]);
  expect(slots.reclaim(() => true)).toEqual([27]);
  expect(slots.reclaim(() => true)).toEqual([]);
});

test("events of thousands of pairs are all told, each once, in a few looks", async () => {
  const { a, b, atA, atB, spiA, spiB } = await connected();
  const pairs = Array.from({ length: 1500 }, () => installPair([a, atA.id], [b, atB.id]));
  for (const pair of pairs) {
    a.plane.use(pair.spiA);
    atA.tun.inject(ipPacket({ version: 4 }));
    settle(a, b);
    atB.tun.delivered();
  }
  const told = [b.plane.poll(), b.plane.poll(), b.plane.poll()].flat();
  expect(told.map(({ kind }) => kind)).toEqual(new Array(1500).fill("first-packet"));
  expect(new Set(told.map((event) => "spiIn" in event && event.spiIn)).size).toBe(1500);
  for (const pair of [...pairs, { spiA, spiB }]) b.plane.remove(pair.spiB);
  expect(b.plane.poll()).toEqual([]);
});
