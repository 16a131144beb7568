import * as fc from "fast-check";
import { expect, test } from "vitest";
import { clampMss } from "../../src/dataplane/mss-clamp.ts";
import { mssFor } from "../../src/ipsec/mtu.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { ACK, partialChecksum, SYN, tcpChecksum, tcpOf, tcpPacket } from "../support/tcp-packets.ts";

const MSS4 = mssFor(1456, 4);
const MSS6 = mssFor(1456, 6);
const mss = (value: number): number[] => [2, 4, value >> 8, value & 255];
const SACK = [4, 2];
const NOP = [1];
const TIMESTAMPS = [8, 10, 1, 2, 3, 4, 0, 0, 0, 0];
const WINDOW_SCALE = [3, 3, 7];
/** Padded to a multiple of 4 octets with END. */
const options = (...parts: readonly (readonly number[])[]): number[] => {
  const octets = parts.flat();
  while (octets.length % 4 !== 0) octets.push(0);
  return octets;
};

/** The packet after clamping, from anywhere in a slab; undefined when it was left alone. */
const clamped = (packet: Uint8Array, { mss4 = MSS4, mss6 = MSS6, summed = true } = {}): Uint8Array | undefined => {
  const slab = new Uint8Array(packet.length + 20).fill(0xa5);
  slab.set(packet, 7);
  const changed = clampMss(slab, 7, packet.length, mss4, mss6, summed);
  const now = slab.slice(7, 7 + packet.length);
  expect([...slab.subarray(0, 7), ...slab.subarray(7 + packet.length)].every((octet) => octet === 0xa5)).toBe(true);
  if (!changed) expect(now).toEqual(packet);
  return changed ? now : undefined;
};

test.each([
  [4, SYN, "SYN", 1416],
  [4, SYN | ACK, "SYN-ACK", 1416],
  [6, SYN, "SYN", 1396],
  [6, SYN | ACK, "SYN-ACK", 1396],
] as const)("IPv%i, flags %i, a %s with 1460 octets announces %i on a path of 1456", (version, flags, _, expected) => {
  const at = version === 4 ? 20 : 40;
  const common = options(mss(1460), SACK, TIMESTAMPS, NOP, WINDOW_SCALE);
  const now = clamped(tcpPacket(version, tcpOf(flags, common)))!;
  expect(now).toEqual(tcpPacket(version, tcpOf(flags, options(mss(expected), SACK, TIMESTAMPS, NOP, WINDOW_SCALE))));
  expect(tcpChecksum(now, at)).toBe(0);
});

test("of two clamps on the way the lower one wins", () => {
  const once = clamped(tcpPacket(4, tcpOf(SYN, mss(1460))), { mss4: 1300 })!;
  expect(clamped(once, { mss4: 1416 })).toBeUndefined();
  expect(clamped(once, { mss4: 1200 })).toEqual(tcpPacket(4, tcpOf(SYN, mss(1200))));
});

test.each<readonly [string, Uint8Array]>([
  ["an MSS that fits", tcpPacket(4, tcpOf(SYN, mss(1416)))],
  ["a smaller MSS", tcpPacket(6, tcpOf(SYN, mss(1220)))],
  ["no options", tcpPacket(4, tcpOf(SYN, []))],
  ["no MSS among them", tcpPacket(4, tcpOf(SYN, options(SACK, WINDOW_SCALE)))],
  ["an MSS behind the end of the list", tcpPacket(4, tcpOf(SYN, options([0], NOP, NOP, NOP, mss(1460))))],
  ["an MSS of 3 octets", tcpPacket(4, tcpOf(SYN, [2, 3, 200, 0]))],
  ["an MSS that is cut by the end of the header", tcpPacket(4, tcpOf(SYN, [1, 1, 2, 4], [9, 9]))],
  ["an option without a length", tcpPacket(4, tcpOf(SYN, [...[8, 0, 1, 1], ...mss(1460)]))],
  ["an option that runs over the header", tcpPacket(4, tcpOf(SYN, [...[8, 60, 1, 1], ...mss(1460)]))],
  ["an MSS in the middle of a connection", tcpPacket(4, tcpOf(ACK, mss(1460)))],
  ["a later fragment", ipPacket({ version: 4, protocol: 6, fragmentOffset: 185 })],
  ["UDP", ipPacket({ version: 4, protocol: 17 })],
  ["a header that is not there", tcpPacket(4, tcpOf(SYN, mss(1460))).subarray(0, 36)],
  ["an IPv6 header that is not TCP", ipPacket({ version: 6, protocol: 59 })],
])("%s stays as it is", (_, packet) => {
  expect(clamped(packet)).toBeUndefined();
});

test("a version that has no limit is left alone", () => {
  expect(clamped(tcpPacket(4, tcpOf(SYN, mss(1460))), { mss4: 0 })).toBeUndefined();
  expect(clamped(tcpPacket(6, tcpOf(SYN, mss(1460))), { mss6: 0 })).toBeUndefined();
});

test("TCP is found behind IPv6 extension headers", () => {
  const extensions = [60, 0, 1, 4, 0, 0, 0, 0, 6, 1, ...new Array<number>(14).fill(0)];
  expect(clamped(tcpPacket(6, tcpOf(SYN, mss(1460)), extensions))).toEqual(
    tcpPacket(6, tcpOf(SYN, mss(MSS6)), extensions),
  );
});

const filler = fc.constantFrom(NOP, SACK, WINDOW_SCALE, TIMESTAMPS);
const header = fc.record({
  version: fc.constantFrom(4 as const, 6 as const),
  before: fc.array(filler, { maxLength: 2 }),
  behind: fc.array(filler, { maxLength: 1 }),
  announced: fc.integer({ min: 0, max: 0xffff }),
  limit: fc.integer({ min: 1, max: 0xffff }),
  payload: fc.array(fc.nat(255), { maxLength: 5 }),
});

test("whatever surrounds the option, odd offsets too, the packet is the one the sender would have made", () => {
  fc.assert(
    fc.property(header, ({ version, before, behind, announced, limit, payload }) => {
      const made = (value: number): Uint8Array =>
        tcpPacket(version, tcpOf(SYN, options(...before, mss(value), ...behind), payload));
      const now = clamped(made(announced), { mss4: limit, mss6: limit });
      expect(now).toEqual(announced > limit ? made(limit) : undefined);
    }),
    { numRuns: 500 },
  );
});

test("a checksum that a device completes later holds the pseudo-header alone, and is not touched", () => {
  fc.assert(
    fc.property(header, ({ version, before, behind, announced, limit, payload }) => {
      const at = version === 4 ? 20 : 40;
      const made = (value: number): Uint8Array => {
        const packet = tcpPacket(version, tcpOf(SYN, options(...before, mss(value), ...behind), payload));
        const sum = partialChecksum(packet, at);
        return packet.with(at + 16, sum >> 8).with(at + 17, sum & 255);
      };
      const now = clamped(made(announced), { mss4: limit, mss6: limit, summed: false });
      expect(now).toEqual(announced > limit ? made(limit) : undefined);
    }),
  );
});

test("any octets are taken without an error and without a change of length", () => {
  const start = fc.constantFrom(0x45, 0x46, 0x4f, 0x60);
  fc.assert(
    fc.property(start, fc.uint8Array({ minLength: 39, maxLength: 120 }), fc.boolean(), (first, octets, summed) => {
      const slab = new Uint8Array(200).fill(0xa5);
      slab.set([first, ...octets]);
      slab[first === 0x60 ? 6 : 9] = 6;
      clampMss(slab, 0, octets.length + 1, 500, 500, summed);
      expect(slab.subarray(octets.length + 1).every((octet) => octet === 0xa5)).toBe(true);
    }),
    { numRuns: 2000 },
  );
});
