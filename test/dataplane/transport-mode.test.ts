/** Transport mode (RFC 4303 §3.1.1): what goes behind the hosts' own header, and the header that comes back. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { SUITES, type Suite } from "../../src/crypto/suites.ts";
import { EspSession, type EspSessionOptions } from "../../src/dataplane/esp-session.ts";
import { addressBytes } from "../../src/ip-address.ts";
import { transportLength } from "../../src/ipsec/mtu.ts";
import { parseSelector, type TrafficSelector } from "../../src/ipsec/selector.ts";
import { ipv4PacketOf } from "../support/ip-headers.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { installPair, MemorySite, settle } from "../support/memory-sites.ts";

const ENDS = {
  4: { here: "192.0.2.1", there: "198.51.100.2" },
  6: { here: "2001:db8:a::1", there: "2001:db8:b::2" },
} as const;

const keyOf = ({ keyLength }: Suite): Uint8Array => Uint8Array.from({ length: keyLength }, (_, i) => i * 7 + 1);

const sessions = (suite: Suite, family: 4 | 6, options: Partial<EspSessionOptions> = {}) => {
  const { here, there } = ENDS[family];
  const common = { suite, spi: 0x1234_5678, key: keyOf(suite), mode: "transport" as const, ...options };
  return {
    sealer: EspSession.open({ ...common, direction: "seal", tunnel: { local: here, remote: there } }),
    opener: EspSession.open({ ...common, direction: "open", tunnel: { local: there, remote: here } }),
  };
};

const hostPacket = (family: 4 | 6, length: number, protocol = 17): Uint8Array =>
  ipPacket({ version: family, length, protocol, source: ENDS[family].here, destination: ENDS[family].there });

/** Of what arrives: the header is the receiver's, all behind it the sender's. */
const expectArrived = (arrived: Uint8Array | undefined, sent: Uint8Array, family: 4 | 6): void => {
  const header = family === 4 ? 20 : 40;
  expect(arrived?.length).toBe(sent.length);
  expect(Buffer.compare(arrived!.subarray(header), sent.subarray(header))).toBe(0);
  if (family === 6) {
    expect([...arrived!.subarray(0, 8)]).toEqual([
      0x60,
      0,
      0,
      0,
      (sent.length - 40) >> 8,
      (sent.length - 40) & 255,
      sent[6],
      64,
    ]);
    expect(arrived!.subarray(8, 40)).toEqual(sent.subarray(8, 40));
  } else {
    const { here: source, there: destination } = ENDS[4];
    const options = { source, destination, protocol: sent[9]!, id: 0, dontFragment: true };
    expect(Buffer.compare(arrived!, ipv4PacketOf(options, sent.subarray(20)))).toBe(0); // its checksum too
  }
};

test.each(SUITES.flatMap((suite) => ([4, 6] as const).map((family) => ({ name: suite.name, suite, family }))))(
  "$name, IPv$family: what is sealed opens as it was, at every length",
  ({ suite, family }) => {
    const { sealer, opener } = sessions(suite, family);
    const header = family === 4 ? 20 : 40;
    const packets = [0, 1, 2, 3, 4, 7, 8, 13, 14, 15, 16, 17, 100, 1400].map((payload) =>
      hostPacket(family, header + payload),
    );
    const sealed = sealer.seal(packets);
    expect(sealed.map((packet) => packet.length + header)).toEqual(
      packets.map(({ length }) => transportLength(suite, { family, udp: false }, length)),
    );
    opener.open(sealed).forEach(({ packet }, n) => {
      expectArrived(packet, packets[n]!, family);
    });
    sealer.close();
    opener.close();
  },
);

const GCM = SUITES.find(({ name }) => name === "aes256gcm16")!;

test.each([1, 4, 6, 41, 47, 59, 89, 132])("protocol %i arrives as it was, but 59, which is a dummy", (protocol) => {
  const { sealer, opener } = sessions(GCM, 4);
  const packet = hostPacket(4, 60, protocol);
  const [opened] = opener.open(sealer.seal([packet]));
  if (protocol === 59) expect(opened).toEqual({ verdict: "dummy" });
  else expectArrived(opened?.packet, packet, 4);
});

test("fragments, IPv4 options and extension headers of IPv6 are refused (RFC 4301 §7)", () => {
  const { sealer } = sessions(GCM, 4);
  const { here: source, there: destination } = ENDS[4];
  const payload = new Uint8Array(64);
  for (const odd of [{ moreFragments: true }, { offset: 64 }, { options: Uint8Array.of(1, 1, 1, 1) }])
    expect(() => sealer.seal([ipv4PacketOf({ source, destination, ...odd }, payload)])).toThrow(/unsup-transport/);
  const six = sessions(GCM, 6).sealer;
  for (const next of [0, 43, 44, 60]) expect(() => six.seal([hostPacket(6, 120, next)])).toThrow(/unsup-transport/);
});

test("whatever the hosts send, it arrives or is refused whole: protocol, class and length", () => {
  const { sealer, opener } = sessions(GCM, 6);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 40, max: 200 }), (protocol, length) => {
      fc.pre(![0, 43, 44, 59, 60].includes(protocol));
      const packet = hostPacket(6, length, protocol);
      expectArrived(opener.open(sealer.seal([packet]))[0]?.packet, packet, 6);
    }),
    { numRuns: 200 },
  );
});

test("what its selectors do not hold is dropped, either way", () => {
  const gre = (address: string): TrafficSelector => parseSelector(`${address}[gre]`)!;
  const { here, there } = ENDS[4];
  const { sealer } = sessions(GCM, 4, { selectors: { local: [gre(here)], remote: [gre(there)] } });
  expect(() => sealer.seal([hostPacket(4, 60, 17)])).toThrow(/policy/);
  expect(() => sealer.seal([ipPacket({ version: 4, protocol: 47, source: "10.0.0.1" })])).toThrow(/policy/);
  const anything = sessions(GCM, 4).sealer;
  const { opener } = sessions(GCM, 4, { selectors: { local: [gre(there)], remote: [gre(here)] } });
  expect(
    opener.open(anything.seal([hostPacket(4, 60, 17), hostPacket(4, 60, 47)])).map(({ verdict }) => verdict),
  ).toEqual(["policy", "pass"]);
});

test("both ends are needed, and UDP is refused", () => {
  const options = { direction: "seal", suite: GCM, spi: 300, key: keyOf(GCM), mode: "transport" } as const;
  expect(() => EspSession.open(options)).toThrow(/needs both ends/);
  expect(() => EspSession.open({ ...options, tunnel: { local: "::1", remote: "::2" }, encap: true })).toThrow(/UDP/);
});

test.skipIf(process.getuid?.() !== 0)("two planes carry it as IP protocol 50 (needs root)", async () => {
  const [a, b] = [
    await MemorySite.start("127.0.0.2", { raw: true }),
    await MemorySite.start("127.0.0.3", { raw: true }),
  ];
  const [atA, atB] = [a.addTunnel(), b.addTunnel(undefined, { vnetHdr: true })];
  const host = (address: string): TrafficSelector[] => [parseSelector(address)!];
  const pair = installPair([a, atA.id], [b, atB.id], {
    encap: false,
    mode: "transport",
    local: host("127.0.0.2"),
    remote: host("127.0.0.3"),
  });
  a.plane.use(pair.spiA);
  const packets = Array.from({ length: 200 }, (_, i) =>
    ipPacket({ version: 4, source: "127.0.0.2", destination: "127.0.0.3", length: 60 + i, protocol: 47 }),
  );
  for (const packet of packets) atA.tun.inject(packet);
  atA.tun.inject(ipPacket({ version: 4, source: "127.0.0.2", destination: "127.0.0.3", fragmentOffset: 20 }));
  settle(a, b);
  const arrived = atB.tun.delivered();
  expect(arrived.map((packet) => Buffer.from(packet.subarray(30)).toString("hex"))).toEqual(
    packets.map((packet) => Buffer.from(packet.subarray(20)).toString("hex")),
  );
  expect([...arrived[0]!.subarray(22, 30)]).toEqual([...addressBytes("127.0.0.2"), ...addressBytes("127.0.0.3")]);
  expect(a.plane.counters(pair.spiA)).toMatchObject({ packetsOut: 200, drops: { "unsup-transport": 1 } });
  expect(b.plane.counters(pair.spiB)).toMatchObject({ packetsIn: 200, drops: {} });
});
