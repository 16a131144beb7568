import * as fc from "fast-check";
import { expect, test } from "vitest";
import { addressBytes } from "../../src/ip-address.ts";
import { writeTooBig } from "../../src/ipsec/icmp.ts";
import { readIcmpError } from "../../src/ipsec/icmp-quote.ts";
import { internetChecksum } from "../support/internet-checksum.ts";
import { ipPacket } from "../support/ip-packets.ts";

const SPI = 0x4c1d1e90;
const SEQ = 223;
const ESP = [0x4c, 0x1d, 0x1e, 0x90, 0, 0, 0, 223];

/** An outer packet of ours. */
const sent = (version: 4 | 6, udp: boolean, length = 1500, esp: readonly number[] = ESP): Uint8Array => {
  const packet = ipPacket({ version, length, protocol: udp ? 17 : 50, sourcePort: 4500, destinationPort: 61_000 });
  const header = version === 4 ? 20 : 40;
  if (udp) new DataView(packet.buffer).setUint16(header + 4, length - header);
  packet.set(esp, header + (udp ? 8 : 0));
  return packet;
};

/** What a raw socket gives of the error that a router sends about it. */
const error = (packet: Uint8Array, mtu: number): Uint8Array => {
  const version = packet[0]! >> 4 === 4 ? 4 : 6;
  const slab = new Uint8Array(12_000);
  slab.set(packet);
  const router = addressBytes(version === 4 ? "198.51.100.1" : "2001:db8:9::1");
  const length = writeTooBig(slab, 0, packet.length, mtu, router, 0, 10_000);
  return slab.slice(version === 4 ? 10_000 : 10_040, 10_000 + length);
};

/** An IPv4 message cut to `quoted` octets of the packet, with another type, code or MTU, and a right checksum. */
const resent = (message: Uint8Array, { type = 3, code = 4, mtu = 1400, quoted = message.length - 28 }): Uint8Array => {
  const short = message.slice(0, 28 + quoted);
  const view = new DataView(short.buffer);
  view.setUint16(2, short.length);
  short.set([type, code, 0, 0], 20);
  view.setUint16(26, mtu);
  view.setUint16(22, internetChecksum(short.subarray(20)));
  return short;
};

test.each([
  ["ESP over IPv4", 4, false],
  ["ESP in UDP over IPv4", 4, true],
  ["ESP over IPv6", 6, false],
  ["ESP in UDP over IPv6", 6, true],
] as const)("an error about %s names the SA and the MTU", (_, version, udp) => {
  expect(readIcmpError(error(sent(version, udp), 1400), version)).toEqual({
    family: version,
    tooBig: true,
    type: version === 4 ? 3 : 2,
    code: version === 4 ? 4 : 0,
    mtu: 1400,
    length: 1500,
    source: addressBytes(version === 4 ? "10.1.0.1" : "2001:db8:1::1"),
    destination: addressBytes(version === 4 ? "10.2.0.1" : "2001:db8:2::1"),
    udp,
    sourcePort: udp ? 4500 : 0,
    destinationPort: udp ? 61_000 : 0,
    spi: SPI,
    lowSeq: SEQ,
  });
});

test("a router that quotes the least, 8 octets, is understood about ESP, and about ESP in UDP shows the ports alone", () => {
  const about = (udp: boolean, quoted: number) => readIcmpError(resent(error(sent(4, udp), 1400), { quoted }), 4);
  expect(about(false, 28)).toMatchObject({ spi: SPI, lowSeq: SEQ, mtu: 1400 });
  expect(about(false, 27)).toBeUndefined();
  const ports = { udp: true, sourcePort: 4500, destinationPort: 61_000, spi: 0, lowSeq: 0, mtu: 1400, length: 1500 };
  expect(about(true, 28)).toMatchObject(ports);
  expect(about(true, 35)).toMatchObject(ports);
  expect(about(true, 27)).toBeUndefined();
  expect(about(true, 36)).toMatchObject({ spi: SPI, lowSeq: SEQ, udp: true });
});

test.each([
  [1500, 1492],
  [1492, 1006],
  [9000, 8166],
  [600, 508],
  [68, 68],
])("a router that names no MTU for a packet of %i octets means the next plateau, %i", (length, mtu) => {
  expect(readIcmpError(resent(error(sent(4, false, length), 1400), { mtu: 0 }), 4)).toMatchObject({ length, mtu });
});

test("other reasons of unreachable are told apart, and have no MTU", () => {
  const message = resent(error(sent(4, true), 1400), { code: 3 });
  expect(readIcmpError(message, 4)).toMatchObject({ tooBig: false, type: 3, code: 3, mtu: 0, spi: SPI });
});

test.each([
  ["a time exceeded", resent(error(sent(4, false), 1400), { type: 11, code: 0 }), 4],
  ["an echo reply", resent(error(sent(4, false), 1400), { type: 0, code: 0 }), 4],
  ["a wrong checksum", error(sent(4, false), 1400).with(22, 0), 4],
  ["a cut message", error(sent(4, false), 1400).subarray(0, 100), 4],
  ["a quote of IKE", error(sent(4, true, 1500, [0, 0, 0, 0, 1, 2, 3, 4]), 1400), 4],
  ["a quote of a TCP packet", error(ipPacket({ version: 4, protocol: 6, length: 1500 }), 1400), 4],
  ["a quote of a later fragment", error(ipPacket({ version: 4, protocol: 50, fragmentOffset: 8 }), 1400), 4],
  ["a quote of another IP version", error(sent(6, false), 1400), 4],
  ["an echo of ICMPv6", Uint8Array.of(128, 0, ...error(sent(6, false), 1400).subarray(2)), 6],
] as const)("%s is nothing to us", (_, message, family) => {
  expect(readIcmpError(message, family)).toBeUndefined();
});

test("any octets are read without an error, and give an SPI only from within them", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.constantFrom(4 as const, 6 as const), (octets, family) => {
      const quoted = readIcmpError(octets, family);
      if (quoted !== undefined) expect(quoted.spi > 255 || (quoted.udp && family === 4)).toBe(true);
    }),
    { numRuns: 2000 },
  );
});

test("a true error with any octet changed is read without an error", () => {
  for (const family of [4, 6] as const) {
    const message = error(sent(family, true), 1400);
    for (let i = 0; i < 90; i++)
      for (const value of [0, 1, 0x7f, 0xff]) expect(() => readIcmpError(message.with(i, value), family)).not.toThrow();
  }
});
