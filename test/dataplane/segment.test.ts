/** Segmentation and checksum completion against the slow model, and what is refused. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { fold } from "../../src/dataplane/checksum.ts";
import { Segmenter, Wish } from "../../src/dataplane/segment.ts";
import { scalarSum, summedSlab } from "../../src/dataplane/slab-sum.ts";
import { cutSlowly, onesSum, type SuperOptions, superPacket } from "../support/super-packets.ts";

const HEADER_AT = 16;
const PACKET_AT = 64;
const SEGMENT_AT = 80 * 1024;
const summed = summedSlab(160 * 1024);
const slab = new Uint8Array(summed.slab);
const segmenter = new Segmenter(slab, summed.sum);

const put = (header: Uint8Array, packet: Uint8Array): void => {
  slab.fill(0xee);
  slab.set(header, HEADER_AT);
  slab.set(packet, PACKET_AT);
};

/** All segments, each written at a place of its own behind a copy of its payload. */
const cut = (header: Uint8Array, packet: Uint8Array): Uint8Array[] | undefined => {
  put(header, packet);
  if (segmenter.wish(HEADER_AT) !== Wish.SEGMENTS || !segmenter.begin(HEADER_AT, PACKET_AT, packet.length))
    return undefined;
  const { headerLength, segmentSize } = segmenter;
  return Array.from({ length: segmenter.count }, (_, k) => {
    const payload = packet.slice(headerLength + k * segmentSize, headerLength + (k + 1) * segmentSize);
    slab.fill(0xdd, SEGMENT_AT);
    slab.set(payload, SEGMENT_AT + headerLength);
    const length = segmenter.write(k, SEGMENT_AT);
    expect(length).toBe(segmenter.length(k));
    expect([slab[SEGMENT_AT - 1], slab[SEGMENT_AT + length]]).toEqual([0xee, 0xdd]); // nothing written outside
    return slab.slice(SEGMENT_AT, SEGMENT_AT + length);
  });
};

const octets = (most: number) =>
  fc.oneof(
    fc.uint8Array({ maxLength: most }),
    fc.tuple(fc.nat(most), fc.nat(255)).map(([length, value]) => new Uint8Array(length).fill(value)),
  );

const options = (payload: fc.Arbitrary<Uint8Array>, segmentSize: fc.Arbitrary<number>): fc.Arbitrary<SuperOptions> =>
  fc.record({
    version: fc.constantFrom(4 as const, 6 as const),
    protocol: fc.constantFrom("tcp" as const, "udp" as const),
    payload,
    segmentSize,
    ipOptions: fc.nat(10).map((n) => n * 4),
    tcpOptions: fc.nat(10).map((n) => n * 4),
    extensions: fc.constantFrom(0, 0, 8, 32),
    id: fc.oneof(fc.nat(0xffff), fc.constant(0xffff)),
    seq: fc.oneof(fc.nat(0xffff_ffff), fc.constant(0xffff_ff00)),
    flags: fc.nat(255),
  });

test("a super-packet becomes the segments of the slow model: TCP and UDP, IPv4 and IPv6, options, any size", () => {
  const any = options(octets(4000), fc.integer({ min: 1, max: 1500 }));
  fc.assert(
    fc.property(any, (given) => {
      fc.pre(given.payload.length / given.segmentSize < 200);
      const { header, packet, shape } = superPacket(given);
      expect(cut(header, packet)).toEqual(cutSlowly(packet, given, shape));
    }),
    { numRuns: 400 },
  );
});

test("the longest super-packets of both IP versions", () => {
  for (const version of [4, 6] as const)
    for (const protocol of ["tcp", "udp"] as const) {
      const headers = (version === 4 ? 20 : 40) + (protocol === "tcp" ? 32 : 8);
      const payload = Uint8Array.from({ length: 65535 + (version === 6 ? 40 : 0) - headers }, (_, i) => i * 7);
      const given = { version, protocol, payload, segmentSize: 1347 };
      const { header, packet, shape } = superPacket(given);
      expect(cut(header, packet)).toEqual(cutSlowly(packet, given, shape));
    }
});

test("a packet without segmentation gets its checksum completed, and nothing else", () => {
  fc.assert(
    fc.property(options(octets(1500), fc.constant(0)), (given) => {
      const { header, packet, shape } = superPacket(given);
      put(header, packet);
      expect(segmenter.wish(HEADER_AT)).toBe(Wish.CHECKSUM);
      expect(segmenter.complete(HEADER_AT, PACKET_AT, packet.length)).toBe(true);
      const [expected] = cutSlowly(packet, { ...given, segmentSize: 65536 }, shape);
      expect(slab.slice(PACKET_AT, PACKET_AT + packet.length)).toEqual(expected);
    }),
  );
});

test("the sum of any octets at any even place is that of the slow model, with vectors and without", () => {
  const swapped = (sum: number) => ((sum & 255) << 8) | (sum >> 8);
  for (const sum of [summed.sum, scalarSum(slab)])
    fc.assert(
      fc.property(fc.nat(70), octets(3000), (half, bytes) => {
        slab.fill(0xff);
        slab.set(bytes, half * 2);
        expect(swapped(fold(sum(half * 2, bytes.length))) % 0xffff).toBe(onesSum(bytes) % 0xffff);
      }),
    );
});

test("a sum of 64 KiB of the largest words does not overflow", () => {
  slab.fill(0xff);
  for (const sum of [summed.sum, scalarSum(slab)]) expect(sum(0, 65_600) >>> 0).toBe(0xffff * 32_800);
});

const tcp4 = { version: 4, protocol: "tcp", payload: new Uint8Array(3000), segmentSize: 1000 } as const;

const REFUSED: readonly (readonly [string, (header: Uint8Array, packet: Uint8Array) => void])[] = [
  ["a segment size of 0", (header) => header.fill(0, 4, 6)],
  ["no checksum to complete", (header) => header.fill(0, 0, 1)],
  ["TCP over IPv6 that is IPv4", (header) => header.fill(4, 1, 2)],
  ["UDP that is TCP", (header) => header.fill(5, 1, 2)],
  ["UDP by its header, TCP by its packet", (header) => header.set([5, 0, 0], 1) ?? header.set([6], 8)],
  ["UDP fragmentation", (header) => header.fill(3, 1, 2)],
  ["TCP with ECN, which was not asked for", (header) => header.fill(0x81, 1, 2)],
  ["an unknown kind", (header) => header.fill(9, 1, 2)],
  ["a checksum in another place", (header) => header.fill(14, 8, 9)],
  ["a transport header elsewhere", (header) => header.fill(24, 6, 7)],
  ["a transport header behind the packet", (header) => header.fill(0xff, 6, 8)],
  ["a total length that is not its length", (_, packet) => packet.fill(1, 2, 3)],
  ["a fragment", (_, packet) => packet.fill(0x20, 6, 7)],
  ["another protocol", (_, packet) => packet.fill(17, 9, 10)],
  ["a TCP header too short", (_, packet) => packet.fill(0x40, 32, 33)],
  ["no IP", (_, packet) => packet.fill(0x55, 0, 1)],
];

test.each(REFUSED)("is refused: %s", (_, spoil) => {
  const { header, packet } = superPacket(tcp4);
  spoil(header, packet);
  expect(cut(header, packet)).toBe(undefined);
});

test("is refused: headers longer than can be kept, TCP options behind the end", () => {
  const long = superPacket({ ...tcp4, version: 6, extensions: 240 });
  expect(cut(long.header, long.packet)).toBe(undefined);
  const short = superPacket({ ...tcp4, payload: new Uint8Array(0), tcpOptions: 0 });
  short.packet[32] = 0xf0;
  expect(cut(short.header, short.packet)).toBe(undefined);
});

test("a checksum outside the packet is refused", () => {
  const { header, packet } = superPacket({ ...tcp4, segmentSize: 0 });
  for (const [start, offset] of [
    [packet.length, 0],
    [0xffff, 0xffff],
    [20, packet.length - 21],
    [21, 0],
  ] as const) {
    new DataView(header.buffer).setUint16(6, start, true);
    new DataView(header.buffer).setUint16(8, offset, true);
    put(header, packet);
    expect(segmenter.complete(HEADER_AT, PACKET_AT, packet.length)).toBe(false);
  }
});
