/** Packets of a child that traps, and those that come while its SA does: whenever that is, they leave in their order. */
import { afterEach, expect, test, vi } from "vitest";
import { TunReader } from "../../src/dataplane/tun-reader.ts";
import { TunnelTable } from "../../src/dataplane/tunnel-table.ts";
import { anySelectors } from "../../src/ipsec/selector.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { installPair, MemorySite, settle } from "../support/memory-sites.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

/** The last worker of the first site has no pair of its own, where it has several. */
const connected = async (workers: number) => {
  const a = await MemorySite.start("127.0.0.2", { workers });
  const b = await MemorySite.start("127.0.0.3");
  const from = a.addTunnel(undefined, { hasChildren: true, queues: workers });
  const to = b.addTunnel();
  const child = a.plane.addChild(from.id, { worker: 0, traps: true });
  a.plane.setPolicies(from.id, [{ action: "protect", child, local: anySelectors, remote: anySelectors }]);
  const install = () => installPair([a, child], [b, to.id]);
  const inject = (packets: readonly Uint8Array[]): void => {
    for (const packet of packets) from.tuns[workers - 1]!.inject(packet);
  };
  return { a, b, to, install, inject, drops: () => a.plane.totals().out.drops };
};

/** Of one flow. */
const flow = (count: number): Uint8Array[] =>
  Array.from({ length: count }, (_, i) => ipPacket({ version: 4, length: 60 + i }));

/** Before the call number `n` from now on that looks for a pair, `happen`. Returns whether there was one. */
const atLook = (n: number, happen: () => void): (() => boolean) => {
  let looks = 0;
  const { current, fallback } = TunnelTable.prototype;
  const look = (): void => {
    if (looks++ === n) happen();
  };
  vi.spyOn(TunnelTable.prototype, "current").mockImplementation(function (this: TunnelTable, tunnel) {
    look();
    return current.call(this, tunnel);
  });
  vi.spyOn(TunnelTable.prototype, "fallback").mockImplementation(function (this: TunnelTable, tunnel) {
    look();
    return fallback.call(this, tunnel);
  });
  return () => looks > n;
};

/** Before the next read of a queue, `happen`. */
const atRead = (happen: () => void): void => {
  const { read } = TunReader.prototype;
  vi.spyOn(TunReader.prototype, "read").mockImplementationOnce(function (this: TunReader, ...what) {
    happen();
    return read.apply(this, what);
  });
};

test.each([1, 2])(
  "with %i workers, whenever the pair comes: none is lost, and none overtakes another",
  async (workers) => {
    const { a, b, to, install, inject, drops } = await connected(workers);
    const packets = flow(10);
    for (let look = 0, met = true; met; look++) {
      const pair = install();
      inject(packets.slice(0, 4));
      settle(a);
      inject(packets.slice(4));
      const wasMet = atLook(look, () => a.plane.use(pair.spiA));
      a.plane.step();
      met = wasMet();
      vi.restoreAllMocks();
      if (!met) a.plane.use(pair.spiA);
      settle(a, b);
      expect([look, to.tun.delivered(), drops()]).toEqual([look, packets, {}]);
      a.plane.remove(pair.spiA);
      b.plane.remove(pair.spiB);
      for (const { plane } of [a, b]) plane.poll();
      settle(a, b);
    }
  },
);

test("what came in the same round as its pair is sent in that round", async () => {
  const { a, b, to, install, inject } = await connected(1);
  const packets = flow(5);
  const pair = install();
  inject(packets.slice(0, 2));
  settle(a);
  inject(packets.slice(2));
  atRead(() => a.plane.use(pair.spiA));
  a.plane.step();
  settle(b);
  expect(to.tun.delivered()).toEqual(packets);
});

test("when no more can wait, what comes is dropped rather than sent before them, and counted", async () => {
  const { a, b, to, install, inject, drops } = await connected(2);
  const packets = flow(80);
  const pair = install();
  inject(packets.slice(0, 60));
  settle(a);
  inject(packets.slice(60));
  atRead(() => a.plane.use(pair.spiA));
  a.plane.step();
  settle(a, b);
  expect(to.tun.delivered()).toEqual(packets.slice(0, 64));
  expect(drops()).toEqual({ "no-sa": 16 });
  inject(packets);
  settle(a, b);
  expect(to.tun.delivered()).toEqual(packets);
});
