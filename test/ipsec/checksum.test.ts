import * as fc from "fast-check";
import { expect, test } from "vitest";
import { foldSum, sumOctets, updated, writeIpv4Checksum } from "../../src/ipsec/checksum.ts";
import { internetChecksum, isChecksummed } from "../support/internet-checksum.ts";

test("the sum of any octets, anywhere, is that of RFC 1071", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(5), (octets, before) => {
      const slab = new Uint8Array(before + octets.length + 3).fill(0xa5);
      slab.set(octets, before);
      expect(~foldSum(sumOctets(slab, before, octets.length)) & 0xffff).toBe(internetChecksum(octets));
    }),
  );
});

test("65,535 octets of ones do not overflow", () => {
  const octets = new Uint8Array(65_535).fill(0xff);
  expect(~foldSum(sumOctets(octets, 0, octets.length)) & 0xffff).toBe(internetChecksum(octets));
});

test("an updated checksum is one that verifies, whatever the words were", () => {
  const word = fc.integer({ min: 0, max: 0xffff });
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 30 }), word, fc.nat(), (words, after, index) => {
      const octets = Uint8Array.from([0x45, 0, 0, 0, ...words.flatMap((value) => [value >> 8, value & 255])]);
      const checksum = internetChecksum(octets);
      const i = index % words.length;
      const now = updated(checksum, words[i]!, after);
      octets.set([after >> 8, after & 255], 4 + i * 2);
      octets.set([now >> 8, now & 255], 2);
      expect(isChecksummed(octets)).toBe(true);
      expect(now).toBe(internetChecksum(octets.with(2, 0).with(3, 0)));
    }),
  );
});

test("the example of RFC 1624 §4: 0xDD2F with 0x5555 changed to 0x3285 becomes 0x0000, not 0xFFFF", () => {
  expect(updated(0xdd2f, 0x5555, 0x3285)).toBe(0);
});

test("a header checksum of IPv4, with options", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 60, maxLength: 60 }), fc.integer({ min: 5, max: 15 }), (octets, words) => {
      writeIpv4Checksum(octets, 0, words * 4);
      expect(isChecksummed(octets.subarray(0, words * 4))).toBe(true);
    }),
  );
});
