/** ICMP errors inside tunnels (RFC 4301 §6.2): what routers behind a gateway report of packets that came by an SA goes back by it. */
import { expect, test } from "vitest";
import { parseSelector, type TrafficSelector } from "../../src/ipsec/selector.ts";
import { icmpError } from "../support/icmp-errors.ts";
import { ipPacket, type PacketOptions } from "../support/ip-packets.ts";
import { installPair, MemorySite, settle } from "../support/memory-sites.ts";

const sel = (...texts: string[]): TrafficSelector[] => texts.map((text) => parseSelector(text)!);
const LOCAL = sel("10.1.0.0/16[udp/1000]", "2001:db8:1::/48");
const REMOTE = sel("10.2.0.0/16[udp/2000]", "2001:db8:2::/48");
const ROUTER = { 4: "10.9.9.9", 6: "2001:db8:9::9" } as const;

/** A packet of B's site to A's, which some router behind A cannot forward. */
const toA = (version: 4 | 6, more: Partial<PacketOptions> = {}): Uint8Array => {
  const ends = version === 4 ? ["10.2.0.7", "10.1.0.3"] : ["2001:db8:2::7", "2001:db8:1::3"];
  const [source, destination] = ends as [string, string];
  return ipPacket({ version, source, destination, sourcePort: 2000, destinationPort: 1000, ...more });
};

const connected = async (passAtA = true, passAtB = true) => {
  const [a, b] = [await MemorySite.start("127.0.0.2"), await MemorySite.start("127.0.0.3")];
  const [tunnelA, tunnelB] = [a.addTunnel(), b.addTunnel()];
  a.plane.setIcmpErrors(tunnelA.id, passAtA);
  b.plane.setIcmpErrors(tunnelB.id, passAtB);
  const { spiA, spiB } = installPair([a, tunnelA.id], [b, tunnelB.id], { local: LOCAL, remote: REMOTE });
  a.plane.use(spiA);
  b.plane.use(spiB);
  return { a, b, spiA, spiB, tunA: tunnelA.tun, tunB: tunnelB.tun };
};

test.each([4, 6] as const)(
  "IPv%i: an error from any router goes back by the SA that brought what it quotes",
  async (version) => {
    const { a, b, spiA, spiB, tunA, tunB } = await connected();
    const errors = [0, 1, 2].map((code) => icmpError({ source: ROUTER[version], about: toA(version), code }));
    for (const error of errors) tunA.inject(error);
    settle(a, b);
    expect(tunB.delivered()).toEqual(errors);
    expect(a.plane.counters(spiA)).toMatchObject({ packetsOut: 3, drops: {} });
    expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: 3, drops: {} });
  },
);

test("an error about what no such SA could have brought is dropped and counted, on either side", async () => {
  const { a, b, spiA, spiB, tunA, tunB } = await connected();
  const wrong = [
    icmpError({ source: ROUTER[4], about: toA(4, { sourcePort: 2001 }) }),
    icmpError({ source: ROUTER[4], about: toA(4, { source: "10.3.0.7" }) }),
    icmpError({ source: ROUTER[4], about: toA(4, { destination: "10.3.0.3" }) }),
    icmpError({ source: ROUTER[4], about: toA(4), destination: "10.2.0.8" }),
    icmpError({ source: ROUTER[4], about: toA(4), quoted: 20 }), // shows no ports
    icmpError({ source: ROUTER[4], about: toA(4), type: 5 }), // a redirect
    ipPacket({ version: 4, source: ROUTER[4], destination: "10.2.0.7", protocol: 1, sourcePort: 0x0800 }),
    icmpError({ source: ROUTER[6], about: toA(6, { destination: "2001:db8:3::3" }) }),
  ];
  for (const error of wrong) tunA.inject(error);
  settle(a, b);
  expect(tunB.delivered()).toEqual([]);
  expect(a.plane.counters(spiA)?.drops).toEqual({ policy: wrong.length });
  expect(b.plane.counters(spiB)?.packetsIn).toBe(0);
});

test("where a child takes them by their own addresses alone, none leaves, and none is let in", async () => {
  const error = icmpError({ source: ROUTER[4], about: toA(4) });
  const strictSender = await connected(false, true);
  strictSender.tunA.inject(error);
  settle(strictSender.a, strictSender.b);
  expect(strictSender.a.plane.counters(strictSender.spiA)?.drops).toEqual({ policy: 1 });
  await MemorySite.stopAll();

  const strictReceiver = await connected(true, false);
  const held = icmpError({ source: "2001:db8:1::1", about: toA(6) }); // its own address is within the selectors
  for (const packet of [error, held]) strictReceiver.tunA.inject(packet);
  settle(strictReceiver.a, strictReceiver.b);
  expect(strictReceiver.tunB.delivered()).toEqual([held]);
  expect(strictReceiver.b.plane.counters(strictReceiver.spiB)?.drops).toEqual({ policy: 1 });
});

/** Both sites with the same two children, told apart by their port, and policies that end with `last`. */
const policed = async (last: readonly { readonly action: "discard" }[] = []) => {
  const sites = [await MemorySite.start("127.0.0.2"), await MemorySite.start("127.0.0.3")] as const;
  const nets = [sel("10.1.0.0/16"), sel("10.2.0.0/16")] as const;
  const ports = [sel("10.1.0.0/16[udp/1000]"), sel("10.2.0.0/16[udp/2000]")] as const;
  const ends = sites.map((site, i) => {
    const { id, tun } = site.addTunnel(undefined, { hasChildren: true });
    const [voice, data] = [site.plane.addChild(id), site.plane.addChild(id)];
    const list = (child: number, sides: readonly [TrafficSelector[], TrafficSelector[]]) =>
      ({ action: "protect", child, local: sides[i]!, remote: sides[1 - i]! }) as const;
    const rest = last.map(({ action }) => ({ action, local: sel("0.0.0.0/0"), remote: sel("0.0.0.0/0") }));
    site.plane.setPolicies(id, [list(voice, ports), list(data, nets), ...rest]);
    return { site, id, tun, voice, data };
  });
  const [a, b] = ends as [(typeof ends)[number], (typeof ends)[number]];
  const pair = (one: number, other: number, sides: readonly [TrafficSelector[], TrafficSelector[]]) => {
    const spis = installPair([a.site, one], [b.site, other], { local: sides[0], remote: sides[1] });
    a.site.plane.use(spis.spiA);
    b.site.plane.use(spis.spiB);
    return spis;
  };
  return { a, b, voice: pair(a.voice, b.voice, ports), data: pair(a.data, b.data, nets) };
};

test("among policies each error goes to the child of what it quotes, though all of them look alike", async () => {
  const { a, b, voice, data } = await policed();
  const about = [toA(4), toA(4, { sourcePort: 7 }), toA(4, { protocol: 6 }), toA(4), toA(4, { source: "10.3.0.1" })];
  const errors = about.map((packet, i) =>
    icmpError({ source: ROUTER[4], about: packet, quoted: 28 + i, ...(i < 4 ? {} : { destination: "10.3.0.1" }) }),
  );
  for (const error of errors) a.tun.inject(error);
  settle(a.site, b.site);
  expect(b.tun.delivered()).toEqual(errors.slice(0, 4));
  expect(b.site.plane.counters(voice.spiB)).toMatchObject({ packetsIn: 2, drops: {} });
  expect(b.site.plane.counters(data.spiB)).toMatchObject({ packetsIn: 2, drops: {} });
  expect(a.site.plane.tunnelCounters(a.id).out.drops).toEqual({ "no-policy": 1 });
});

test("an error brings up no SA, and one that a policy discards stays discarded", async () => {
  const { a, b, voice, data } = await policed();
  a.site.plane.remove(voice.spiA);
  a.tun.inject(icmpError({ source: ROUTER[4], about: toA(4) }));
  settle(a.site, b.site);
  expect(a.site.plane.tunnelCounters(a.voice).out.drops).toEqual({ "no-sa": 1 });
  expect(b.site.plane.counters(data.spiB)?.packetsIn).toBe(0);
  await MemorySite.stopAll();

  const strict = await policed([{ action: "discard" }]);
  strict.a.tun.inject(icmpError({ source: ROUTER[4], about: toA(4) }));
  settle(strict.a.site, strict.b.site);
  expect(strict.a.site.plane.tunnelCounters(strict.a.id).out.drops).toEqual({ "policy-discard": 1 });
});

test("one that came on the SA of another child than that of what it quotes is dropped", async () => {
  const { a, b, data } = await policed();
  // Its first policy protects with `voice` what it quotes; A's list has changed, B's has not.
  const net = { local: sel("10.1.0.0/16"), remote: sel("10.2.0.0/16") };
  a.site.plane.setPolicies(a.id, [{ action: "protect", child: a.data, ...net }]);
  a.tun.inject(icmpError({ source: ROUTER[4], about: toA(4) }));
  settle(a.site, b.site);
  expect(b.tun.delivered()).toEqual([]);
  expect(b.site.plane.counters(data.spiB)?.drops).toEqual({ "no-policy": 1 });
});
