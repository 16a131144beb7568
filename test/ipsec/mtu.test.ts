import { expect, test } from "vitest";
import { type Suite, suiteByName } from "../../src/crypto/suites.ts";
import { type Encapsulation, innerMtu, outerLength, overhead } from "../../src/ipsec/mtu.ts";

const suite = (name: string): Suite => suiteByName(name)!;
const V4: Encapsulation = { family: 4, udp: false };
const V4_NAT: Encapsulation = { family: 4, udp: true };
const V6: Encapsulation = { family: 6, udp: false };
const V6_NAT: Encapsulation = { family: 6, udp: true };

/** Suites that espalier does not have, for the rows that need them. */
const TRIPLE_DES_SHA1: Suite = { ...suite("aes128-sha1"), name: "3des-sha1", ivLength: 8, alignment: 8 };
const NULL_SHA256: Suite = { ...suite("aes128-sha256"), name: "null-sha256", ivLength: 0, alignment: 4 };

const OUTER = [1500, 1492, 1400, 1280, 9000];

const ROWS: readonly (readonly [Suite, Encapsulation, least: number, most: number, mtus: readonly number[]])[] = [
  [suite("aes256gcm16"), V4, 54, 57, [1446, 1438, 1346, 1226, 8946]],
  [suite("chacha20poly1305"), V4_NAT, 62, 65, [1438, 1430, 1338, 1218, 8938]],
  [suite("aes128gcm16"), V6, 74, 77, [1426, 1418, 1326, 1206, 8926]],
  [suite("aes256gcm16"), V6_NAT, 82, 85, [1418, 1410, 1318, 1198, 8918]],
  [suite("aes128-sha1"), V4, 58, 73, [1438, 1422, 1342, 1214, 8942]],
  [suite("aes256-sha1"), V4_NAT, 66, 81, [1422, 1422, 1326, 1214, 8926]],
  [suite("aes128-sha1"), V6, 78, 93, [1422, 1406, 1310, 1198, 8910]],
  [suite("aes128-sha1"), V6_NAT, 86, 101, [1406, 1406, 1310, 1182, 8910]],
  [suite("aes128-sha256"), V4, 62, 77, [1438, 1422, 1326, 1214, 8926]],
  [suite("aes256-sha256"), V4_NAT, 70, 85, [1422, 1422, 1326, 1198, 8926]],
  [suite("aes128-sha256"), V6, 82, 97, [1406, 1406, 1310, 1198, 8910]],
  [suite("aes128-sha256"), V6_NAT, 90, 105, [1406, 1390, 1310, 1182, 8910]],
  [suite("aes128-sha384"), V4, 70, 85, [1422, 1422, 1326, 1198, 8926]],
  [suite("aes256-sha512"), V4, 78, 93, [1422, 1406, 1310, 1198, 8910]],
  [TRIPLE_DES_SHA1, V4, 50, 57, [1446, 1438, 1350, 1230, 8950]],
  [NULL_SHA256, V4, 46, 49, [1454, 1446, 1354, 1234, 8954]],
];

test.each(ROWS)("$name over %o: overhead %i to %i, inner MTUs %j", (row, encapsulation, least, most, mtus) => {
  expect(overhead(row, encapsulation)).toEqual({ least, most });
  expect(OUTER.map((mtu) => innerMtu(row, encapsulation, mtu))).toEqual(mtus);
});

test.each(ROWS)(
  "%o over %o: the inner MTU is the largest packet that fits, and overheads stay in their range",
  (row, encapsulation, least, most) => {
    for (let mtu = 200; mtu < 1600; mtu++) {
      const inner = innerMtu(row, encapsulation, mtu);
      expect(outerLength(row, encapsulation, inner)).toBeLessThanOrEqual(mtu);
      expect(outerLength(row, encapsulation, inner + 1)).toBeGreaterThan(mtu);
      const grown = outerLength(row, encapsulation, mtu) - mtu;
      expect(grown >= least && grown <= most).toBe(true);
    }
  },
);

test("a path too small for any packet has an inner MTU of 0", () => {
  expect(innerMtu(suite("aes128-sha256"), V6_NAT, 60)).toBe(0);
});

test.each([
  [1421, 1480],
  [1422, 1480],
  [1423, 1496],
  [1430, 1496],
  [1431, 1496],
  [1438, 1496],
  [1439, 1512],
  [1440, 1512],
])("aes128-sha1 over IPv4: an inner packet of %i octets becomes %i", (inner, outer) => {
  expect(outerLength(suite("aes128-sha1"), V4, inner)).toBe(outer);
});

test("31 octets in aes128-sha1 over IPv4 grow to 104", () => {
  expect(outerLength(suite("aes128-sha1"), V4, 31)).toBe(104);
});
