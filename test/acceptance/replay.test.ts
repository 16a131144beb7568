/** Scenarios of anti-replay (RFC 4303 §3.4.3): captured packets that come late, twice, or changed, through the whole inbound path. */
import { expect, test } from "vitest";
import { suiteByName } from "../../src/crypto/suites.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { type TwoSites, twoSites } from "./two-sites.ts";

/** Packet `i` is its length. */
const packet = (i: number): Uint8Array => ipPacket({ version: 4, length: 60 + (i % 1000) });

/** What A seals, captured: the first has sequence number 1. */
const capture = ({ tunA, wire }: TwoSites, count: number): Uint8Array[] => {
  const captured: Uint8Array[] = [];
  for (let i = 1; i <= count; i++) {
    tunA.inject(packet(i));
    if (i % 50 === 0 || i === count) captured.push(...wire.fromA());
  }
  return captured;
};

const drops = ({ b, spiB }: TwoSites) => b.plane.counters(spiB)?.drops;

test.each([
  [32, "aes128-sha256"],
  [64, "aes128-sha1"],
  [128, "aes256gcm16"],
  [256, "chacha20poly1305"],
  [512, "aes128ctr-sha1"],
  [1024, "aes256gcm16"],
  [4096, "aes128gcm16"],
])(
  "window %i: one less late is taken once, as late as it and later are dropped, as is every repeat, and the SA stays up",
  async (window, suite) => {
    const sites = await twoSites({ window, suite: suiteByName(suite)! });
    const { b, spiB, tunB, wire } = sites;
    const captured = capture(sites, window + 10);
    const at = (sequence: number): Uint8Array => captured[sequence - 1]!;
    const top = window + 5;
    wire.toB(at(top));
    for (const [late, verdict] of [
      [window - 1, "taken"],
      [window - 1, "replay"],
      [window, "replay"],
      [window + 1, "replay"],
      [0, "replay"],
      [1, "taken"],
      [1, "replay"],
    ] as const) {
      const before = drops(sites)?.["replay"] ?? 0;
      tunB.delivered();
      wire.toB(at(top - late));
      expect([late, tunB.delivered().length, (drops(sites)?.["replay"] ?? 0) - before]).toEqual(
        verdict === "taken" ? [late, 1, 0] : [late, 0, 1],
      );
    }
    wire.toB(at(top + 1), at(top + 5));
    expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: 5, seqIn: top + 5, drops: { replay: 5 } });
  },
);

test("all captured packets are sent again, in order and backwards: not one is delivered twice", async () => {
  const sites = await twoSites({ window: 64 });
  const { b, spiB, tunB, wire } = sites;
  const captured = capture(sites, 300);
  wire.toB(...captured);
  expect(tunB.delivered()).toHaveLength(300);
  wire.toB(...captured);
  wire.toB(...[...captured].reverse());
  expect(tunB.delivered()).toEqual([]);
  expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: 300, seqIn: 300, drops: { replay: 600 } });
});

test("without a window old packets are taken, however late and however often", async () => {
  const sites = await twoSites({ window: 0 });
  const { tunB, wire } = sites;
  const captured = capture(sites, 200);
  wire.toB(captured[199]!, captured[0]!, captured[0]!, captured[100]!);
  expect(tunB.delivered()).toEqual([packet(200), packet(1), packet(1), packet(101)]);
  expect(drops(sites)).toEqual({});
});

test("packets that wait elsewhere while 100 others pass them are lost to a window of 64 and not to one of 1024", async () => {
  const lost = async (window: number) => {
    const sites = await twoSites({ window });
    const captured = capture(sites, 1000);
    // Every tenth takes the slow way.
    const order = captured
      .map((datagram, i) => ({ datagram, at: i % 10 === 0 ? i + 100.5 : i }))
      .sort((one, other) => one.at - other.at);
    sites.wire.toB(...order.map(({ datagram }) => datagram));
    const { packetsIn, drops: reasons } = sites.b.plane.counters(sites.spiB)!;
    expect(packetsIn + (reasons["replay"] ?? 0)).toBe(1000);
    return reasons["replay"] ?? 0;
  };
  // Of those the last is 91 late, and the others, behind which fewer packets are left, less.
  expect(await lost(1024)).toBe(0);
  expect(await lost(64)).toBeGreaterThan(80);
});

test("a forged packet far ahead fails its ICV, is no replay, and does not move the window", async () => {
  const sites = await twoSites({ window: 64 });
  const { b, spiB, wire } = sites;
  const captured = capture(sites, 10);
  wire.toB(captured[0]!);
  const forged = captured[1]!.slice();
  new DataView(forged.buffer).setUint32(4, 2_000_000_000);
  wire.toB(forged, forged);
  expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: 1, seqIn: 1, drops: { "integ-error": 2 } });
  wire.toB(...captured.slice(1));
  expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: 10, seqIn: 10, drops: { "integ-error": 2 } });
});

test("dummy packets, next header 59, are discarded in silence and counted apart", async () => {
  const { a, b, idA, tunB, spiB, wire } = await twoSites();
  a.plane.sendDummy(idA, 200);
  a.plane.sendDummy(idA, 0);
  wire.toB(...wire.fromA());
  expect(tunB.delivered()).toEqual([]);
  expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: 0, seqIn: 2, drops: { dummy: 2 } });
});

test("with ESN, across 2^32: what is late within the window is taken, what is later fails the ICV of its next turn", async () => {
  const before = 2 ** 32 - 40;
  const sites = await twoSites({ window: 64, esn: true, sequence: before });
  const { b, spiB, tunB, wire } = sites;
  const captured = capture(sites, 70);
  for (const i of [69, 6, 6, 5]) wire.toB(captured[i]!); // 0, 63, 63 and 64 late
  expect(tunB.delivered()).toEqual([packet(70), packet(7)]);
  expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: 2, seqIn: before + 70 });
  expect(drops(sites)).toEqual({ replay: 1, "integ-error": 1 });
  wire.toB(...captured);
  expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: 64, seqIn: before + 70 });
});
