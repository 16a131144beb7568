import * as fc from "fast-check";
import { expect, test } from "vitest";
import { addressBytes } from "../../src/ip-address.ts";
import { MAX_ICMP, MAX_ICMPV6, mayAnswer, writeTooBig } from "../../src/ipsec/icmp.ts";
import { isChecksummed } from "../support/internet-checksum.ts";
import { ipv4PacketOf } from "../support/ip-headers.ts";
import { ipPacket, type PacketOptions } from "../support/ip-packets.ts";

const GATEWAY = { 4: addressBytes("192.0.2.1"), 6: addressBytes("2001:db8:ff::1") } as const;
const AT = 3;
const TO = 10_000;

const answer = (packet: Uint8Array, mtu: number): Uint8Array => {
  const slab = new Uint8Array(12_000).fill(0xa5);
  slab.set(packet, AT);
  const version = packet[0]! >> 4 === 4 ? 4 : 6;
  const length = writeTooBig(slab, AT, packet.length, mtu, GATEWAY[version], 0, TO);
  expect(slab.slice(AT, AT + packet.length)).toEqual(packet);
  expect(slab[TO - 1]).toBe(0xa5);
  expect(slab[TO + length]).toBe(0xa5);
  return slab.slice(TO, TO + length);
};

const number = (octets: Uint8Array, at: number, length: number): number =>
  octets.subarray(at, at + length).reduce((value, octet) => value * 256 + octet, 0);

test.each([
  [1500, 1438],
  [1500, 1342],
  [9000, 8942],
  [600, 576],
  [548, 500],
  [100, 68],
])(
  "an IPv4 packet of %i octets for an MTU of %i: type 3 code 4, with as much of the packet as 576 octets take",
  (length, mtu) => {
    const packet = ipPacket({ version: 4, length });
    const icmp = answer(packet, mtu);
    expect(icmp.length).toBe(Math.min(MAX_ICMP, length + 28));
    expect(number(icmp, 2, 2)).toBe(icmp.length);
    expect([icmp[0], icmp[1], icmp[8], icmp[9]]).toEqual([0x45, 0xc0, 64, 1]);
    expect(icmp.slice(12, 16)).toEqual(GATEWAY[4]);
    expect(icmp.slice(16, 20)).toEqual(packet.slice(12, 16));
    expect(isChecksummed(icmp.subarray(0, 20))).toBe(true);
    expect(isChecksummed(icmp.subarray(20))).toBe(true);
    expect([icmp[20], icmp[21], number(icmp, 24, 2), number(icmp, 26, 2)]).toEqual([3, 4, 0, mtu]);
    expect(icmp.slice(28)).toEqual(packet.slice(0, icmp.length - 28));
  },
);

test.each([
  [1500, 1438, 1438],
  [1500, 1218, 1280],
  [9000, 8910, 8910],
  [1232, 1280, 1280],
])(
  "an IPv6 packet of %i octets for an MTU of %i: Packet Too Big with %i, never less than 1280",
  (length, mtu, told) => {
    const packet = ipPacket({ version: 6, length });
    const icmp = answer(packet, mtu);
    expect(icmp.length).toBe(Math.min(MAX_ICMPV6, length + 48));
    expect(number(icmp, 4, 2)).toBe(icmp.length - 40);
    expect([icmp[0], icmp[6], icmp[7]]).toEqual([0x60, 58, 64]);
    expect(icmp.slice(8, 24)).toEqual(GATEWAY[6]);
    expect(icmp.slice(24, 40)).toEqual(packet.slice(8, 24));
    const pseudo = [...icmp.subarray(8, 40), 0, 0, ...icmp.subarray(4, 6), 0, 0, 0, 58];
    expect(isChecksummed(Uint8Array.from([...pseudo, ...icmp.subarray(40)]))).toBe(true);
    expect([icmp[40], icmp[41], number(icmp, 44, 4)]).toEqual([2, 0, told]);
    expect(icmp.slice(48)).toEqual(packet.slice(0, icmp.length - 48));
  },
);

const viewOf = ({ buffer, byteOffset, length }: Uint8Array): DataView => new DataView(buffer, byteOffset, length);

const answered = (options: PacketOptions): boolean => {
  const packet = ipPacket(options);
  return mayAnswer(packet, viewOf(packet), 0, packet.length);
};
/** Type and code where ports would be. */
const icmp = (version: 4 | 6, type: number): PacketOptions => ({
  version,
  protocol: version === 4 ? 1 : 58,
  sourcePort: type << 8,
});

test.each<readonly [string, PacketOptions, boolean]>([
  ["UDP", { version: 4 }, true],
  ["TCP", { version: 4, protocol: 6 }, true],
  ["an echo request", icmp(4, 8), true],
  ["an echo reply", icmp(4, 0), true],
  ["unreachable", icmp(4, 3), false],
  ["source quench", icmp(4, 4), false],
  ["redirect", icmp(4, 5), false],
  ["time exceeded", icmp(4, 11), false],
  ["parameter problem", icmp(4, 12), false],
  ["an ICMP packet that hides its type", { version: 4, protocol: 1, length: 22 }, false],
  ["a first fragment", { version: 4, fragmentOffset: 0x2000 }, true],
  ["a later fragment", { version: 4, fragmentOffset: 185 }, false],
  ["to a multicast group", { version: 4, destination: "224.0.0.5" }, false],
  ["to everybody", { version: 4, destination: "255.255.255.255" }, false],
  ["from nobody", { version: 4, source: "0.0.0.0" }, false],
  ["from a multicast group", { version: 4, source: "239.1.1.1" }, false],
  ["from loopback", { version: 4, source: "127.0.0.1" }, false],
  ["IPv6 UDP", { version: 6 }, true],
  ["an ICMPv6 echo request", icmp(6, 128), true],
  ["a neighbour solicitation", icmp(6, 135), true],
  ["ICMPv6 unreachable", icmp(6, 1), false],
  ["Packet Too Big", icmp(6, 2), false],
  ["an unknown ICMPv6 error", icmp(6, 100), false],
  ["an ICMPv6 redirect", icmp(6, 137), false],
  ["IPv6 from nobody", { version: 6, source: "::" }, false],
  ["IPv6 from loopback", { version: 6, source: "::1" }, false],
  ["IPv6 from a multicast group", { version: 6, source: "ff02::1" }, false],
  ["IPv6 to a multicast group, for its path MTU", { version: 6, destination: "ff05::1:3" }, true],
])("%s is answered: %o %s", (_, options, expected) => {
  expect(answered(options)).toBe(expected);
});

test("no answer of ours is answered, whatever it is about", () => {
  const anything = fc.record({
    version: fc.constantFrom(4 as const, 6 as const),
    length: fc.integer({ min: 48, max: 3000 }),
    protocol: fc.nat(255),
    mtu: fc.nat(0xffff),
  });
  fc.assert(
    fc.property(anything, ({ version, length, protocol, mtu }) => {
      const told = answer(ipPacket({ version, length, protocol }), mtu);
      expect(mayAnswer(told, viewOf(told), 0, told.length)).toBe(false);
    }),
  );
});

test("options of the packet are quoted with it", () => {
  const packet = ipv4PacketOf({ options: Uint8Array.of(7, 7, 4, 0, 0, 0, 0, 0) }, new Uint8Array(1400).fill(1));
  expect(answer(packet, 1000).slice(28)).toEqual(packet.slice(0, 548));
});
