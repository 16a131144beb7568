/** Scenarios of packet sizes: what hosts send, how long the packet outside is, and what they are told when it does not fit. */
import { expect, test } from "vitest";
import { type Suite, suiteByName } from "../../src/crypto/suites.ts";
import { EspSession } from "../../src/dataplane/esp-session.ts";
import { childSize } from "../../src/gateway/child-size.ts";
import { PathMtuWatch, type SendingSa } from "../../src/gateway/path-mtu-watch.ts";
import { addressBytes } from "../../src/ip-address.ts";
import { writeTooBig } from "../../src/ipsec/icmp.ts";
import { parseSelector } from "../../src/ipsec/selector.ts";
import { ipv4PacketOf } from "../support/ip-headers.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { twoSites } from "./two-sites.ts";

const OUTER_IPV4 = 20;
const HERE = "192.0.2.1";
const THERE = "203.0.113.5";
const CBC_SHA1 = suiteByName("aes128-sha1")!;

/** Octets of the IPv4 packets outside that carry these. */
const outside = (suite: Suite, packets: readonly Uint8Array[], mode: "tunnel" | "transport" = "tunnel"): number[] => {
  const key = new Uint8Array(suite.keyLength).fill(7);
  const tunnel = { local: HERE, remote: THERE };
  const session = EspSession.open({ direction: "seal", suite, spi: 0x1000, key, mode, tunnel });
  const lengths = session.seal(packets).map(({ length }) => OUTER_IPV4 + length);
  session.close();
  return lengths;
};

const df = (length: number): Uint8Array =>
  ipv4PacketOf({ source: "10.1.0.2", destination: "10.2.0.2", dontFragment: true }, new Uint8Array(length - 20));

test("AES-CBC-128 with SHA-1 over IPv4: packets of 1421 to 1440 octets are 1480, 1496 or 1512 outside", () => {
  const inner = [1421, 1422, 1423, 1430, 1431, 1438, 1439, 1440];
  const packets = inner.map((length) => ipPacket({ version: 4, length }));
  expect(outside(CBC_SHA1, packets)).toEqual([1480, 1480, 1496, 1496, 1496, 1496, 1512, 1512]);
});

test("a ping of 100 octets in GRE in transport mode, AES-CBC with SHA-1: 124 before, 168 outside", () => {
  const gre = ipPacket({ version: 4, length: 124, protocol: 47, source: HERE, destination: THERE });
  expect(outside(CBC_SHA1, [gre], "transport")).toEqual([168]);
});

const SETTINGS = { fragment: "before", df: "copy", tfc: { kind: "none" } } as const;
const SA = {
  suite: CBC_SHA1,
  encap: false,
  mode: "tunnel",
  path: { local: { address: HERE, port: 500 }, remote: { address: THERE, port: 500 } },
  local: [parseSelector("10.1.0.0/16")!],
  tfcRefused: false,
} as const;

test("a tunnel over 1500 octets: a packet of 1438 goes in one of 1496, one of 1439 does not go, and its sender hears 1438", async () => {
  const { size, mtu } = childSize(SA, SETTINGS, 1500);
  expect(mtu).toEqual({ fits: 1438, takes: 1438 });
  const { a, spiA, tunA, wire } = await twoSites({ suite: CBC_SHA1 });
  a.plane.setSize(spiA, size);
  tunA.inject(df(1438));
  tunA.inject(df(1439));
  expect(wire.fromA().map(({ length }) => OUTER_IPV4 + length)).toEqual([1496]);
  expect(told(tunA.delivered())).toEqual([1438]);
  expect(a.plane.counters(spiA)).toMatchObject({ packetsOut: 1, drops: { "mtu-exceeded": 1 } });
});

/** The MTUs that ICMP messages of type 3 code 4 tell. */
const told = (packets: readonly Uint8Array[]): number[] =>
  packets.map((packet) => {
    expect([packet[9], packet[20], packet[21]]).toEqual([1, 3, 4]);
    return packet[26]! * 256 + packet[27]!;
  });

/** What a router whose next link takes `mtu` octets answers to an ESP packet of ours. */
const routerError = (esp: Uint8Array, mtu: number): Uint8Array => {
  const packet = ipv4PacketOf({ source: HERE, destination: THERE, protocol: 50, dontFragment: true }, esp);
  const slab = new Uint8Array(4000);
  slab.set(packet);
  const length = writeTooBig(slab, 0, packet.length, mtu, addressBytes("198.51.100.9"), 0, 3000);
  return slab.slice(3000, 3000 + length);
};

test("the path shrinks from 1500 to 1400 under a host that forbids fragments: three packets are lost in all, then 1342 passes", async () => {
  const { a, spiA, spiB, tunA, tunB, wire } = await twoSites({ suite: CBC_SHA1 });
  const watch = new PathMtuWatch();
  let now = 0;
  const resize = (): void => a.plane.setSize(spiA, childSize(SA, SETTINGS, watch.mtu(THERE, 1500, now)).size);
  resize();
  let link = 1500;
  let host = 1500; // what the host believes
  const send = (): "arrived" | "told" | "lost" => {
    tunA.inject(df(host));
    const sealed = wire.fromA();
    const answers = told(tunA.delivered());
    if (answers.length > 0) {
      host = answers[0]!;
      return "told";
    }
    const [esp] = sealed as [Uint8Array];
    if (OUTER_IPV4 + esp.length > link) {
      const sa: SendingSa = { local: HERE, remote: THERE, remotePort: 0, top: a.plane.counters(spiA)!.seqOut };
      const found = watch.take(routerError(esp, link), 4, (spi) => (spi === spiB ? sa : undefined), now);
      expect(found).toEqual({ news: "lowered", remote: THERE, mtu: link });
      resize();
      return "lost";
    }
    wire.toB(esp);
    return tunB.delivered().length === 1 ? "arrived" : "lost";
  };
  expect([send(), host]).toEqual(["told", 1438]); // at the entry
  expect([send(), send()]).toEqual(["arrived", "arrived"]);
  link = 1400;
  expect([send(), host]).toEqual(["lost", 1438]); // a router's answer lowers the SA's size
  expect([send(), host]).toEqual(["told", 1342]); // and ours the host's
  expect([send(), send()]).toEqual(["arrived", "arrived"]);
  expect(a.plane.counters(spiA)).toMatchObject({ packetsOut: 5, drops: { "mtu-exceeded": 2 } });

  // The path is as it was: what was learned is forgotten after ten minutes, and a larger packet is tried.
  link = 1500;
  host = 1438;
  now = 10 * 60_000;
  expect(watch.expired(now)).toEqual([THERE]);
  resize();
  expect([send(), host]).toEqual(["arrived", 1438]);
});

test("a router's error with another SPI, other addresses, or about a packet that was never sent changes nothing", async () => {
  const { a, spiA, spiB, tunA, wire } = await twoSites({ suite: CBC_SHA1 });
  const watch = new PathMtuWatch();
  expect(watch.mtu(THERE, 1500, 0)).toBe(1500);
  tunA.inject(df(1400));
  const [esp] = wire.fromA() as [Uint8Array];
  const sa: SendingSa = { local: HERE, remote: THERE, remotePort: 0, top: a.plane.counters(spiA)!.seqOut };
  const take = (packet: Uint8Array, local = HERE) =>
    watch.take(routerError(packet, 1400), 4, (spi) => (spi === spiB ? { ...sa, local } : undefined), 0)?.news;
  expect(take(esp.with(1, esp[1]! ^ 1))).toBe("unknown-sa");
  expect(take(esp, "192.0.2.2")).toBe("unknown-sa");
  expect(take(esp.with(4, 0x7f))).not.toBe("lowered");
  expect(watch.mtu(THERE, 1500, 0)).toBe(1500);
  expect(take(esp)).toBe("lowered");
  expect(watch.mtu(THERE, 1500, 0)).toBe(1400);
});
