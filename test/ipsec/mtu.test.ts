import { expect, test } from "vitest";
import { type Suite, suiteByName } from "../../src/crypto/suites.ts";
import {
  type Encapsulation,
  type Framing,
  innerMtu,
  mssFor,
  outerLength,
  overhead,
  transportLength,
  transportMtu,
} from "../../src/ipsec/mtu.ts";

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

/** IV, ICV and alignment of every transform there is: RFC 4106, 4309, 4543, 3686, 7634, 3602, 2410 with 2404 to 4868. */
const MACS: readonly (readonly [name: string, icvLength: number])[] = [
  ["sha1-96", 12],
  ["xcbc-96", 12],
  ["cmac-96", 12],
  ["sha256-128", 16],
  ["sha384-192", 24],
  ["sha512-256", 32],
];
const ICVS = [8, 12, 16];
const FRAMINGS: readonly (readonly [name: string, framing: Framing])[] = [
  ...["gcm", "ccm"].flatMap((name) =>
    ICVS.map((icvLength) => [`${name}-${icvLength}`, { ivLength: 8, icvLength, alignment: 4 }] as const),
  ),
  ["gmac", { ivLength: 8, icvLength: 16, alignment: 4 }],
  ["chacha20-poly1305", { ivLength: 8, icvLength: 16, alignment: 4 }],
  ...MACS.flatMap(([name, icvLength]) => [
    [`cbc ${name}`, { ivLength: 16, icvLength, alignment: 16 }] as const,
    [`ctr ${name}`, { ivLength: 8, icvLength, alignment: 4 }] as const,
    [`null ${name}`, { ivLength: 0, icvLength, alignment: 4 }] as const,
  ]),
];

/** As long as the packet gets, written as the wire has it: no closed formula, and no rounding trick. */
const wireLength = ({ ivLength, icvLength, alignment }: Framing, headers: number, payload: number): number => {
  let text = payload + 2;
  while (text % alignment !== 0) text++;
  return headers + 8 + ivLength + text + icvLength;
};

test.each(FRAMINGS)("%s: the inner MTU is the last length that fits, counted up one by one", (_, framing) => {
  for (const [encapsulation, headers, ip] of [
    [V4, 20, 20],
    [V4_NAT, 28, 20],
    [V6, 40, 40],
    [V6_NAT, 48, 40],
  ] as const)
    for (const mtu of OUTER) {
      let inner = 0;
      while (wireLength(framing, headers, inner + 1) <= mtu) inner++;
      expect(innerMtu(framing, encapsulation, mtu)).toBe(inner);
      expect(outerLength(framing, encapsulation, inner)).toBe(wireLength(framing, headers, inner));
      expect(transportMtu(framing, encapsulation, mtu)).toBe(inner + ip);
      expect(transportLength(framing, encapsulation, inner + ip)).toBe(wireLength(framing, headers, inner));
    }
});

test.each([
  ["1438 in 1500", innerMtu(suite("aes128-sha1"), V4, 1500), 1438],
  ["1342 in 1400", innerMtu(suite("aes128-sha1"), V4, 1400), 1342],
  ["1458 in 1500, transport mode, SHA-1", transportMtu(suite("aes256-sha1"), V4, 1500), 1458],
  ["1458 in 1500, transport mode, SHA-256", transportMtu(suite("aes256-sha256"), V4, 1500), 1458],
  ["1466 in 1500, transport mode, GCM", transportMtu(suite("aes256gcm16"), V4, 1500), 1466],
  ["1462 in 1500, transport mode on IPv6", transportMtu(suite("aes128-sha1"), V6, 1500), 1462],
  ["1418 within GRE on IPv6 with a key", transportMtu(suite("aes128-sha1"), V6, 1500) - 40 - 4, 1418],
])("the figure of a deployed gateway: %s", (_, computed, printed) => {
  expect(computed).toBe(printed);
});

test("IP options move the payload in transport mode: it is padded as if they were not there", () => {
  const header = 32;
  const most = transportMtu(suite("aes128-sha1"), V4, 1500, header);
  expect(most).toBe(header + 1422);
  expect(transportLength(suite("aes128-sha1"), V4, most, header)).toBe(1492);
  expect(transportLength(suite("aes128-sha1"), V4, most + 1, header)).toBeGreaterThan(1500);
});

test("no outer packet is longer than its length field can say, however large the MTU", () => {
  for (const [encapsulation, most] of [
    [V4, 65_535],
    [V6, 65_575],
  ] as const) {
    const inner = innerMtu(suite("aes256gcm16"), encapsulation, 70_000);
    expect(outerLength(suite("aes256gcm16"), encapsulation, inner)).toBeLessThanOrEqual(most);
    expect(outerLength(suite("aes256gcm16"), encapsulation, inner + 1)).toBeGreaterThan(most);
  }
});

test.each([
  [1456, 4, 1416],
  [1456, 6, 1396],
  [1438, 4, 1398],
  [40, 4, 0],
  [59, 6, 0],
] as const)("an MTU of %i leaves TCP on IPv%i a segment of %i octets", (mtu, family, mss) => {
  expect(mssFor(mtu, family)).toBe(mss);
});

test("31 octets in aes128-sha1 over IPv4 grow to 104", () => {
  expect(outerLength(suite("aes128-sha1"), V4, 31)).toBe(104);
});
