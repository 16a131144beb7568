import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Fragmenter } from "../../src/ipsec/fragment.ts";
import { isChecksummed } from "../support/internet-checksum.ts";
import { type Ipv4Header, ipv4PacketOf } from "../support/ip-headers.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { reassemble } from "../support/reassembly.ts";

const payloadOf = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 167) >> 3);

/** The fragments of a packet, or undefined when it is not fragmented. */
const fragments = (packet: Uint8Array, mtu: number): Uint8Array[] | undefined => {
  const slab = new Uint8Array(200_000).fill(0xa5);
  slab.set(packet, 64);
  const fragmenter = new Fragmenter();
  if (!fragmenter.begin(slab, 64, packet.length, mtu)) return undefined;
  slab.fill(0, 64, 64 + (packet[0]! & 15) * 4); // the header is not needed any more
  return Array.from({ length: fragmenter.count }, (_, k) => {
    const to = 100_001;
    slab.fill(0xa5, to);
    const length = fragmenter.write(slab, k, to);
    expect(length).toBe(fragmenter.length(k));
    expect(slab[to - 1]).toBe(0xa5);
    expect(slab[to + length]).toBe(0xa5);
    return slab.slice(to, to + length);
  });
};

const headerLength = (packet: Uint8Array): number => (packet[0]! & 15) * 4;
const flagsAndOffset = (packet: Uint8Array): number => packet[6]! * 256 + packet[7]!;

test("1500 octets on an MTU of 1400 are 1396 + 124, the second at offset 172 * 8", () => {
  const pieces = fragments(ipv4PacketOf({}, payloadOf(1480)), 1400)!;
  expect(pieces.map((piece) => piece.length)).toEqual([1396, 124]);
  expect(pieces.map(flagsAndOffset)).toEqual([0x2000, 172]);
});

test.each<readonly [length: number, mtu: number, lengths: readonly number[]]>([
  [1500, 1438, [1436, 84]],
  [1500, 1500, [1500]],
  [1501, 1500, [1500, 21]],
  [1500, 1342, [1340, 180]],
  [9000, 1400, [1396, 1396, 1396, 1396, 1396, 1396, 744]],
  [100, 28, [28, 28, 28, 28, 28, 28, 28, 28, 28, 28]],
  [2791, 1407, [1404, 1407]],
  [2792, 1407, [1404, 1404, 24]],
  [101, 36, [36, 36, 36, 36, 36, 21]],
])("%i octets on an MTU of %i are %j", (length, mtu, lengths) => {
  expect(fragments(ipv4PacketOf({}, payloadOf(length - 20)), mtu)?.map((piece) => piece.length)).toEqual(lengths);
});

test.each<readonly [string, Uint8Array, number]>([
  ["forbids it", ipv4PacketOf({ dontFragment: true }, payloadOf(1480)), 1400],
  ["has no room for 8 octets", ipv4PacketOf({}, payloadOf(1480)), 27],
  ["has options and no room for 8 octets", ipv4PacketOf({ options: new Uint8Array(40) }, payloadOf(100)), 67],
  ["is of IPv6", ipPacket({ version: 6, length: 1500 }), 1400],
])("no fragments of a packet that %s", (_, packet, mtu) => {
  expect(fragments(packet, mtu)).toBeUndefined();
});

const RECORD_ROUTE = [7, 7, 4, 0, 0, 0, 0]; // not copied
const SECURITY = [130, 4, 1, 2]; // copied
const ROUTER_ALERT = [148, 4, 0, 0]; // copied
const NOP = [1];
const END = [0];

test.each<readonly [string, options: readonly number[], later: readonly number[]]>([
  ["none", [], []],
  ["none to copy", [...RECORD_ROUTE, ...END], []],
  ["one to copy", [...ROUTER_ALERT], [...ROUTER_ALERT]],
  ["copied ones behind another", [...RECORD_ROUTE, ...NOP, ...SECURITY], [...SECURITY]],
  ["two to copy", [...SECURITY, ...NOP, ...NOP, ...ROUTER_ALERT, ...END, ...END], [...SECURITY, ...ROUTER_ALERT]],
  ["one of 3 octets to copy", [131, 3, 4, ...END], [131, 3, 4, 0]],
  ["one that runs over the header", [130, 40, 1, 2], []],
  ["one without a length", [130, 0, 1, 2], []],
  ["a lone octet at the end", [...NOP, ...NOP, ...NOP, 130], []],
])("options, %s: %j, and of later fragments %j", (_, options, later) => {
  const packet = ipv4PacketOf({ options: Uint8Array.from(options) }, payloadOf(1000));
  const [first, ...others] = fragments(packet, 400)!;
  expect([...first!.slice(20, headerLength(first!))]).toEqual(options);
  for (const other of others) expect([...other.slice(20, headerLength(other))]).toEqual(later);
  expect(reassemble([first!, ...others])?.payload).toEqual(payloadOf(1000));
});

const option = fc.oneof(
  fc.constant(NOP),
  fc
    .tuple(fc.integer({ min: 2, max: 255 }), fc.uint8Array({ maxLength: 12 }))
    .map(([type, data]) => [type, data.length + 2, ...data]),
);
const optionsOf = fc.array(option, { maxLength: 4 }).map((options) => {
  const octets = options.flat().slice(0, 40);
  return Uint8Array.from({ length: Math.ceil(octets.length / 4) * 4 }, (_, i) => octets[i] ?? 0);
});
const anyPacket = fc
  .record({
    options: optionsOf,
    length: fc.integer({ min: 0, max: 4000 }),
    tos: fc.nat(255),
    ttl: fc.integer({ min: 1, max: 255 }),
    protocol: fc.nat(255),
    id: fc.nat(0xffff),
  })
  .map(({ length, ...header }) => ({ header: header satisfies Ipv4Header, payload: payloadOf(length) }));

test("a host puts any packet together again from its fragments, in any order, and not from fewer", () => {
  fc.assert(
    fc.property(
      anyPacket,
      fc.integer({ min: 68, max: 1600 }),
      fc.infiniteStream(fc.nat()),
      ({ header, payload }, mtu, draw) => {
        const packet = ipv4PacketOf(header, payload);
        const pieces = fragments(packet, mtu)!;
        pieces.forEach((piece, k) => {
          expect(piece.length).toBeLessThanOrEqual(mtu);
          expect(isChecksummed(piece.subarray(0, headerLength(piece)))).toBe(true);
          expect(piece.slice(12, 20)).toEqual(packet.slice(12, 20));
          expect([piece[1], piece[8], piece[9]]).toEqual([header.tos, header.ttl, header.protocol]);
          // as long as it can be: 8 octets more would not fit
          if (k < pieces.length - 1) expect(piece.length + 8).toBeGreaterThan(mtu);
        });
        const order = pieces.map((piece) => ({ piece, at: draw.next().value })).sort((a, b) => a.at - b.at);
        const arrived = order.map(({ piece }) => piece);
        const whole = reassemble(arrived)!;
        expect(whole.payload).toEqual(payload);
        expect(whole.header.slice(20)).toEqual(packet.slice(20, headerLength(packet)));
        if (arrived.length > 1) expect(reassemble(arrived.slice(1))).toBeUndefined();
      },
    ),
  );
});

test("fragments are fragmented again, and still make up the packet", () => {
  fc.assert(
    fc.property(
      anyPacket,
      fc.integer({ min: 300, max: 1600 }),
      fc.integer({ min: 68, max: 300 }),
      (packet, mtu, less) => {
        const pieces = fragments(ipv4PacketOf(packet.header, packet.payload), mtu)!;
        expect(reassemble(pieces.flatMap((piece) => fragments(piece, less)!))?.payload).toEqual(packet.payload);
      },
    ),
    { numRuns: 50 },
  );
});

test("the first fragment may be written where the packet lies, when the others are", () => {
  const packet = ipv4PacketOf({}, payloadOf(1480));
  const slab = new Uint8Array(4000);
  slab.set(packet);
  const fragmenter = new Fragmenter();
  fragmenter.begin(slab, 0, packet.length, 1400);
  const second = fragmenter.write(slab, 1, 2000);
  const first = fragmenter.write(slab, 0, 0);
  expect([slab.slice(0, first), slab.slice(2000, 2000 + second)]).toEqual(fragments(packet, 1400));
});
