/** Scenarios of a tunnel that works: what hosts send arrives, is counted alike at both ends, and is not readable between them. */
import { expect, test } from "vitest";
import { suiteByName } from "../../src/crypto/suites.ts";
import { childSize } from "../../src/gateway/child-size.ts";
import { anySelectors, parseSelector } from "../../src/ipsec/selector.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { type TwoSites, twoSites } from "./two-sites.ts";

const ECHO = 0x0800;
const ECHO_REPLY = 0;
const CLEAR = Buffer.from("plain text of an echo request");

/** An echo request from A's site, or an answer to one, with a text that would be known again. */
const echo = (version: 4 | 6, length: number, isRequest: boolean): Uint8Array => {
  const ends = version === 4 ? ["10.1.0.2", "10.2.0.2"] : ["2001:db8:1::2", "2001:db8:2::2"];
  const [source, destination] = (isRequest ? ends : [...ends].reverse()) as [string, string];
  const protocol = version === 4 ? 1 : 58;
  const packet = ipPacket({
    version,
    length,
    source,
    destination,
    protocol,
    sourcePort: isRequest ? ECHO : ECHO_REPLY,
  });
  packet.set(CLEAR.subarray(0, length - 48), 48);
  return packet;
};

/** So many pings at once from A's site, each answered; all that was between the sites. */
const ping = ({ tunA, tunB, wire }: TwoSites, version: 4 | 6, length: number, count: number): Uint8Array[] => {
  const [request, reply] = [echo(version, length, true), echo(version, length, false)];
  for (let i = 0; i < count; i++) tunA.inject(request);
  const asked = wire.fromA();
  wire.toB(...asked);
  expect(tunB.delivered()).toEqual(new Array(count).fill(request));
  for (let i = 0; i < count; i++) tunB.inject(reply);
  const told = wire.fromB();
  wire.toA(...told);
  expect(tunA.delivered()).toEqual(new Array(count).fill(reply));
  return [...asked, ...told];
};

const expectCounted = ({ a, b, spiA, spiB, idA, idB }: TwoSites, count: number, bytes: number): void => {
  const both = {
    packetsIn: count,
    packetsOut: count,
    bytesIn: bytes,
    bytesOut: bytes,
    drops: {},
    seqIn: count,
    seqOut: count,
  };
  expect(a.plane.counters(spiA)).toEqual(both);
  expect(b.plane.counters(spiB)).toEqual(both);
  const way = { packets: count, bytes, drops: {} };
  expect(a.plane.tunnelCounters(idA)).toEqual({ in: way, out: way });
  expect(b.plane.tunnelCounters(idB)).toEqual({ in: way, out: way });
  expect(a.plane.totals()).toEqual({ in: way, out: way });
};

test.each([
  ["AES-CBC with SHA-1, IPv4 in IPv4", "aes128-sha1", 4, 4],
  ["AES-CBC-256 with SHA-512, IPv4 in IPv4", "aes256-sha512", 4, 4],
  ["AES-GCM-256, IPv6 in IPv4", "aes256gcm16", 4, 6],
  ["AES-GCM-128, IPv4 in IPv6", "aes128gcm16", 6, 4],
  ["ChaCha20-Poly1305, IPv6 in IPv6", "chacha20poly1305", 6, 6],
] as const)(
  "a route-based tunnel for everything, %s: five pings of 100 octets are five packets each way in every counter, and none is readable outside",
  async (_, suite, outer, inner) => {
    const sites = await twoSites({ suite: suiteByName(suite)!, outer });
    const seen = ping(sites, inner, 100, 5);
    expectCounted(sites, 5, 500);
    expect(seen).toHaveLength(10);
    for (const datagram of seen) expect(Buffer.from(datagram).includes(CLEAR.subarray(0, 8))).toBe(false);
  },
);

test("523 packets of IPv4 through IPv6: 523 are sealed, 523 sent, 523 received, 523 opened, and no error", async () => {
  const sites = await twoSites({ suite: suiteByName("aes256-sha1")!, outer: 6 });
  for (let sent = 0; sent < 523; sent += 100) ping(sites, 4, 100, Math.min(100, 523 - sent));
  expectCounted(sites, 523, 52_300);
  expect(sites.a.plane.usage(sites.spiA)).toMatchObject({ packetsOut: 523, seqOut: 523 });
});

test("AES-GCM-256 over IPv4, ten pings of 100 octets: ten packets each way, in a tunnel that takes 1446 octets", async () => {
  const suite = suiteByName("aes256gcm16")!;
  const sites = await twoSites({ suite });
  ping(sites, 4, 100, 10);
  expectCounted(sites, 10, 1000);
  const path = { local: { address: "192.0.2.1", port: 500 }, remote: { address: "192.0.2.2", port: 500 } };
  const sa = { suite, encap: false, mode: "tunnel", path, local: [anySelectors[0]!], tfcRefused: false } as const;
  const settings = { fragment: "before", df: "copy", tfc: { kind: "none" } } as const;
  expect(childSize(sa, settings, 1500).mtu).toEqual({ fits: 1446, takes: 1446 });
});

test("what an SA brought and its selectors do not hold is dropped and counted, though the peer sealed it", async () => {
  const sel = (text: string) => [parseSelector(text)!];
  const atB = { local: sel("10.2.0.0/16[icmp]"), remote: sel("10.1.0.0/16[icmp]") };
  const { a, b, spiA, spiB, tunA, tunB, wire } = await twoSites({ atB });
  const foreign = [
    ipPacket({ version: 4, source: "10.1.0.2", destination: "10.2.0.2", protocol: 6 }),
    ipPacket({ version: 4, source: "10.3.0.2", destination: "10.2.0.2", protocol: 1, sourcePort: ECHO }),
    ipPacket({ version: 4, source: "10.1.0.2", destination: "10.3.0.2", protocol: 1, sourcePort: ECHO }),
    echo(6, 100, true),
  ];
  for (const packet of [echo(4, 100, true), ...foreign]) tunA.inject(packet);
  wire.toB(...wire.fromA());
  expect(tunB.delivered()).toEqual([echo(4, 100, true)]);
  expect(a.plane.counters(spiA)).toMatchObject({ packetsOut: 5, drops: {} });
  expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: 1, seqIn: 5, drops: { policy: 4 } });
});

test("ESP for an SPI that nobody has is counted as such, control is told of one, and nothing else comes of it", async () => {
  const { a, b, tunA, tunB, spiB, wire } = await twoSites();
  tunA.inject(echo(4, 100, true));
  const [genuine] = wire.fromA();
  const stranger = genuine!.slice();
  new DataView(stranger.buffer).setUint32(0, spiB ^ 0x4000_0000);
  wire.toB(stranger, stranger);
  expect(tunB.delivered()).toEqual([]);
  expect(b.plane.totals().in).toEqual({ packets: 0, bytes: 0, drops: { "no-sa": 2 } });
  expect(b.plane.poll()).toMatchObject([{ kind: "unknown-spi", spi: (spiB ^ 0x4000_0000) >>> 0 }]);
  wire.toB(genuine!);
  expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: 1, drops: {} });
  expect(a.plane.totals().in.packets).toBe(0); // no answer went back
});
