import { expect, test } from "vitest";
import { suitesDoneBy } from "../../src/crypto/select-engine.ts";
import { SUITES } from "../../src/crypto/suites.ts";
import { EspalierError } from "../../src/errors.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { installPair, MemorySite, settle } from "../support/memory-sites.ts";

const connected = async (options: Parameters<typeof installPair>[2] = {}, workers = 1) => {
  const a = await MemorySite.start("127.0.0.2", { workers });
  const b = await MemorySite.start("127.0.0.3", { workers });
  const [tunnelA, tunnelB] = [a.addTunnel(), b.addTunnel()];
  const pair = installPair([a, tunnelA.id], [b, tunnelB.id], options);
  return { a, b, tunnelA, tunnelB, ...pair };
};

test.each(
  suitesDoneBy("node")
    .filter((_, i) => i % 5 === 0 || SUITES[i]?.ivLength === 16)
    .map((suite) => ({ suite })),
)("dummies among packets are dropped in silence and counted: $suite.name", async ({ suite }) => {
  const { a, b, spiA, spiB, tunnelA, tunnelB } = await connected({ suite, esn: true });
  a.plane.use(spiA);
  const packet = ipPacket({ version: 4 });
  for (const length of [0, 20, 1438, 9000]) {
    a.plane.sendDummy(tunnelA.id, length);
    tunnelA.tun.inject(packet);
    settle(a, b);
  }
  expect(tunnelB.tun.delivered()).toEqual([packet, packet, packet, packet]);
  expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: 4, seqIn: 8, drops: { dummy: 4 } });
  expect(a.plane.counters(spiA)).toMatchObject({ packetsOut: 4, seqOut: 8, drops: { dummy: 4 } });
  expect(a.plane.totals().out).toEqual({ packets: 4, bytes: 4 * packet.length, drops: {} }); // none of them came in
});

test("the worker that has a pair sends them; where none has, none is sent", async () => {
  const { a, b, spiA, spiB, tunnelA } = await connected({ resource: 1 }, 2);
  a.plane.sendDummy(tunnelA.id, 100);
  settle(a, b);
  expect(b.plane.counters(spiB)?.drops).toEqual({});
  a.plane.use(spiA);
  a.plane.sendDummy(tunnelA.id, 100);
  settle(a, b);
  expect(b.plane.counters(spiB)?.drops).toEqual({ dummy: 1 });
});

test("a dummy that no buffer takes is a mistake of the caller", async () => {
  const { a, tunnelA } = await connected();
  for (const length of [-1, 1.5, 9473]) expect(() => a.plane.sendDummy(tunnelA.id, length)).toThrow(EspalierError);
});
