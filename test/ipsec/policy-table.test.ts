import * as fc from "fast-check";
import { expect, test } from "vitest";
import { addressBytes, familyOf } from "../../src/ip-address.ts";
import { Fields } from "../../src/ipsec/ip.ts";
import { NO_POLICY, type Policy, PolicyAction } from "../../src/ipsec/policy.ts";
import { compilePolicies, MAX_RULES } from "../../src/ipsec/policy-compiler.ts";
import { PolicyTable } from "../../src/ipsec/policy-table.ts";
import { anySelectors, parseSelector, type TrafficSelector } from "../../src/ipsec/selector.ts";
import { firstMatch } from "../support/first-match.ts";
import { SeededRandom } from "../support/seeded-random.ts";

interface Packet {
  readonly protocol: number;
  readonly local: Uint8Array;
  readonly remote: Uint8Array;
  readonly localPort: number | undefined;
  readonly remotePort: number | undefined;
}

const tableOf = (policies: readonly Policy[]): PolicyTable => new PolicyTable(compilePolicies(policies));

const asked = (table: PolicyTable, { protocol, local, remote, localPort = -1, remotePort = -1 }: Packet): number => {
  const slab = Uint8Array.from([0xa5, ...local, ...remote]);
  const fields = new Fields();
  fields.addressLength = local.length;
  fields.protocol = protocol;
  fields.sourceAt = 1;
  fields.destinationAt = 1 + local.length;
  fields.sourcePort = localPort;
  fields.destinationPort = remotePort;
  const outbound = table.findOutbound(slab, fields);
  fields.sourceAt = 1 + local.length;
  fields.destinationAt = 1;
  fields.sourcePort = remotePort;
  fields.destinationPort = localPort;
  expect(table.findInbound(slab, fields)).toBe(outbound); // the same packet the other way round
  return outbound;
};

const expected = (policies: readonly Policy[], { protocol, local, remote, localPort, remotePort }: Packet): number =>
  firstMatch(policies, protocol, { address: local, port: localPort }, { address: remote, port: remotePort });

const protect = (local: string, remote: string, child = 0): Policy => ({
  action: PolicyAction.PROTECT,
  child,
  local: [parseSelector(local)!],
  remote: [parseSelector(remote)!],
});

const packet = (local: string, remote: string, protocol = 6, localPort?: number, remotePort?: number): Packet => ({
  protocol,
  local: addressBytes(local),
  remote: addressBytes(remote),
  localPort,
  remotePort,
});

test("the first entry that selects the packet says what becomes of it, and none means discard", () => {
  const list = [
    { ...protect("10.1.0.0/16", "10.2.0.0/24[tcp/22]"), action: PolicyAction.BYPASS },
    protect("10.1.0.0/16", "10.2.0.0/16"),
    { ...protect("10.1.0.7/32", "10.2.0.0/15"), action: PolicyAction.DISCARD },
    protect("2001:db8:1::/48", "2001:db8:2::/48"),
  ];
  const table = tableOf(list);
  expect(asked(table, packet("10.1.0.7", "10.2.0.9", 6, 40_000, 22))).toBe(0);
  expect(asked(table, packet("10.1.0.7", "10.2.0.9", 6, 40_000, 23))).toBe(1);
  expect(asked(table, packet("10.1.0.7", "10.2.0.9", 17, 40_000, 22))).toBe(1);
  expect(asked(table, packet("10.1.0.7", "10.3.0.9", 6, 1, 1))).toBe(2);
  expect(asked(table, packet("10.1.0.8", "10.3.0.9", 6, 1, 1))).toBe(NO_POLICY);
  expect(asked(table, packet("2001:db8:1::1", "2001:db8:2:3::4"))).toBe(3);
  expect(asked(table, packet("2001:db8:2::1", "2001:db8:1::1"))).toBe(NO_POLICY);
});

test("later fragments show no ports: entries with any or OPAQUE ports take them, ranges do not", () => {
  const [anyPort] = anySelectors;
  const opaque: TrafficSelector = { ...anyPort!, startPort: 0xffff, endPort: 0 };
  const zeroTo: TrafficSelector = { ...anyPort!, protocol: 17, startPort: 0, endPort: 0xfffe };
  const entry = (remote: TrafficSelector): Policy => ({ action: 2, child: 0, local: [anyPort!], remote: [remote] });
  const fragment = packet("10.1.0.1", "10.2.0.1", 17);
  const whole = packet("10.1.0.1", "10.2.0.1", 17, 0, 0);
  expect(asked(tableOf([entry(zeroTo), entry(opaque), entry(anyPort!)]), fragment)).toBe(1);
  expect(asked(tableOf([entry(zeroTo), entry(opaque), entry(anyPort!)]), whole)).toBe(0);
  expect(asked(tableOf([entry(zeroTo), entry(anyPort!)]), fragment)).toBe(1);
  expect(asked(tableOf([entry(opaque)]), whole)).toBe(NO_POLICY);
  expect(asked(tableOf([entry(zeroTo)]), fragment)).toBe(NO_POLICY);
});

test("ICMP is selected by type and code", () => {
  const icmp = (startPort: number, endPort: number): TrafficSelector[] => [
    { ...anySelectors[0]!, protocol: 1, startPort, endPort },
  ];
  const echo: Policy = { action: 2, child: 0, local: icmp(0x0800, 0x08ff), remote: icmp(0x0800, 0x08ff) };
  const table = tableOf([echo]);
  expect(asked(table, packet("10.0.0.1", "10.0.0.2", 1, 0x0800, 0x0800))).toBe(0);
  expect(asked(table, packet("10.0.0.1", "10.0.0.2", 1, 0x0000, 0x0000))).toBe(NO_POLICY);
  expect(asked(table, packet("10.0.0.1", "10.0.0.2", 17, 0x0800, 0x0800))).toBe(NO_POLICY);
});

test("selectors of two protocols in one entry select nothing together", () => {
  const list = [{ ...protect("10.0.0.0/8[udp]", "10.0.0.0/8[tcp]") }, protect("10.0.0.0/8[tcp]", "10.0.0.0/8")];
  expect(asked(tableOf(list), packet("10.0.0.1", "10.0.0.2", 6, 1, 1))).toBe(1);
  expect(asked(tableOf(list), packet("10.0.0.1", "10.0.0.2", 17, 1, 1))).toBe(NO_POLICY);
});

test("no entries: everything is discarded", () => {
  expect(asked(tableOf([]), packet("10.0.0.1", "10.0.0.2"))).toBe(NO_POLICY);
  expect(asked(tableOf([]), packet("::1", "::2"))).toBe(NO_POLICY);
});

// Few values on each axis, so that selectors meet, nest, touch, overlap or are empty; the ends of each axis among them.
const V4 = [
  "0.0.0.0",
  "10.0.0.0",
  "10.0.0.1",
  "10.0.0.255",
  "10.0.1.0",
  "192.168.0.0",
  "255.255.255.254",
  "255.255.255.255",
];
const V6 = [
  "::",
  "::1",
  "2001:db8::",
  "2001:db8::1",
  "2001:db8:0:1::",
  "2001:db8::ffff:ffff",
  "fe80::",
  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
];
const PROTOCOLS = [0, 1, 6, 17, 47, 255];
const PORTS = [0, 1, 22, 23, 1000, 0xfffe, 0xffff];
const ANY_PORTS = { startPort: 0, endPort: 0xffff };
const OPAQUE = { startPort: 0xffff, endPort: 0 };

const span = <T>(values: readonly T[]): fc.Arbitrary<readonly [T, T]> =>
  fc
    .tuple(fc.nat(values.length - 1), fc.nat(values.length - 1))
    .map(([a, b]) => [values[Math.min(a, b)]!, values[Math.max(a, b)]!] as const);

const ports = fc.oneof(
  fc.constant(ANY_PORTS),
  fc.constant(OPAQUE),
  span(PORTS).map(([startPort, endPort]) => ({ startPort, endPort })),
);
const selector: fc.Arbitrary<TrafficSelector> = fc
  .tuple(fc.oneof(span(V4), span(V6)), fc.constantFrom(...PROTOCOLS), ports)
  .map(([[first, last], protocol, range]) => ({
    protocol,
    ...range,
    first: addressBytes(first),
    last: addressBytes(last),
  }));
const selectors = fc.array(selector, { minLength: 1, maxLength: 3 });
const policy: fc.Arbitrary<Policy> = fc.record({
  action: fc.constantFrom(...Object.values(PolicyAction)),
  child: fc.constant(0),
  local: selectors,
  remote: selectors,
});
const port = fc.option(fc.constantFrom(...PORTS), { nil: undefined });
const anyPacket: fc.Arbitrary<Packet> = fc
  .tuple(fc.constantFrom(V4, V6), fc.nat(7), fc.nat(7), fc.constantFrom(...PROTOCOLS), port, port)
  .map(([addresses, l, r, protocol, localPort, remotePort]) =>
    packet(addresses[l]!, addresses[r]!, protocol, localPort, remotePort),
  );

test("any list and any packet: the same entry as asking one after the other", () => {
  fc.assert(
    fc.property(
      fc.array(policy, { maxLength: 40 }),
      fc.array(anyPacket, { minLength: 1, maxLength: 40 }),
      (list, packets) => {
        const table = tableOf(list);
        for (const one of packets) expect(asked(table, one)).toBe(expected(list, one));
      },
    ),
    { numRuns: 400 },
  );
});

const randomAddress = (random: SeededRandom, family: 4 | 6): string =>
  family === 4
    ? `10.${random.integer(4)}.${random.integer(8)}.${random.integer(256)}`
    : `2001:db8:${random.integer(4)}:${random.integer(8)}::${random.integer(256).toString(16)}`;

test.each([33, 1023, 1024, 1025, 3000])("%i entries, with random prefixes, ports and protocols", (count) => {
  const random = new SeededRandom(count);
  const side = (family: 4 | 6): string => {
    const lengths = family === 4 ? [8, 16, 22, 24, 30, 32] : [32, 48, 64, 120, 128];
    const suffix = random.pick(["", "", "[tcp]", "[udp/53]", "[tcp/80-90]"]);
    return `${randomAddress(random, family)}/${random.pick(lengths)}${suffix}`;
  };
  const list = Array.from({ length: count }, (_, i) => {
    const family = i % 3 === 0 ? 6 : 4;
    return protect(side(family), side(family), i);
  });
  const table = tableOf(list);
  let found = 0;
  for (let i = 0; i < 500; i++) {
    const family = i % 2 === 0 ? 4 : 6;
    const one = packet(
      randomAddress(random, family),
      randomAddress(random, family),
      random.pick([6, 17, 1]),
      random.pick([undefined, 53, 85, 40_000]),
      random.pick([undefined, 53, 85, 40_000]),
    );
    expect(familyOf(randomAddress(random, family))).toBe(family);
    const index = asked(table, one);
    expect(index).toBe(expected(list, one));
    if (index !== NO_POLICY) found++;
  }
  expect(found).toBeGreaterThan(50);
});

test("an entry behind thousands of others is found, and so is the last", () => {
  const list = Array.from({ length: 10_000 }, (_, i) => protect(`10.${i >> 8}.${i & 255}.0/24`, "0.0.0.0/0", i));
  const table = tableOf(list);
  for (const i of [0, 31, 32, 1023, 1024, 5000, 9999])
    expect(asked(table, packet(`10.${i >> 8}.${i & 255}.9`, "192.0.2.1", 6, 1, 1))).toBe(i);
});

test("more pairs of selectors than a table takes are refused", () => {
  const many = Array.from({ length: 257 }, () => anySelectors[0]!);
  expect(() => compilePolicies([{ action: 2, child: 0, local: many, remote: many }])).toThrow(`${MAX_RULES}`);
});
