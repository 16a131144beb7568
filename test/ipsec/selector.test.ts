import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toHex } from "../../src/bytes.ts";
import {
  anySelectors,
  containsPacket,
  covers,
  equalSelectors,
  formatSelector,
  intersect,
  MAX_SELECTORS,
  narrow,
  parseSelector,
  type TrafficSelector,
} from "../../src/ipsec/selector.ts";

/*
 * The slow model. A packet of a very small internet: one of 8 addresses of either family, one of 3 protocols, one of a few ports or
 * none: every bound that a selector has below is among them. A selector selects packets one by one, by the words of RFC 4301
 * §4.4.1.1; sets of packets do the rest.
 */
interface Packet {
  readonly protocol: number;
  readonly address: Uint8Array;
  readonly port: number | undefined;
}

const PORTS = [0, 1, 2, 3, 65534, 65535, undefined];
const address = (length: number, n: number): Uint8Array => {
  const bytes = new Uint8Array(length);
  bytes[0] = n < 4 ? 10 : 11; // a carry across the octets lies between
  bytes[length - 1] = n < 4 ? 252 + n : n;
  return bytes;
};
const PACKETS: readonly Packet[] = [4, 16].flatMap((length) =>
  [0, 1, 2, 3, 4, 5, 6, 7].flatMap((n) =>
    [1, 6, 17].flatMap((protocol) => PORTS.map((port) => ({ protocol, address: address(length, n), port }))),
  ),
);

const selects = (selector: TrafficSelector, packet: Packet): boolean => {
  if (selector.first.length !== packet.address.length) return false;
  if (toHex(packet.address) < toHex(selector.first) || toHex(packet.address) > toHex(selector.last)) return false;
  if (selector.protocol !== 0 && selector.protocol !== packet.protocol) return false;
  if (selector.startPort === 0 && selector.endPort === 65535) return true; // ANY, which includes OPAQUE
  if (selector.startPort === 65535 && selector.endPort === 0) return packet.port === undefined; // OPAQUE
  return packet.port !== undefined && packet.port >= selector.startPort && packet.port <= selector.endPort;
};

const selectedBy = (selectors: readonly TrafficSelector[]): number[] =>
  PACKETS.flatMap((packet, n) => (selectors.some((selector) => selects(selector, packet)) ? [n] : []));

const selector: fc.Arbitrary<TrafficSelector> = fc
  .record({
    length: fc.constantFrom(4, 16),
    protocol: fc.constantFrom(0, 0, 1, 6, 17),
    ports: fc.oneof(
      fc.constant([0, 65535] as const),
      fc.constant([65535, 0] as const),
      fc.tuple(fc.constantFrom(0, 1, 2, 3, 65534, 65535), fc.constantFrom(0, 1, 2, 3, 65534, 65535)), // empty ones too
    ),
    from: fc.integer({ min: 0, max: 7 }),
    to: fc.integer({ min: 0, max: 7 }),
  })
  .map(({ length, protocol, ports, from, to }) => ({
    protocol,
    startPort: ports[0],
    endPort: ports[1],
    first: address(length, from),
    last: address(length, to),
  }));

const list = fc.array(selector, { maxLength: 5 });
const RUNS = { numRuns: 500, seed: 1 };

describe("selectors as sets of packets, against a slow model", () => {
  it("contain the packets that the model selects", () => {
    fc.assert(
      fc.property(selector, (a) => {
        const contained = PACKETS.flatMap((packet, n) => (containsPacket(a, packet) ? [n] : []));
        expect(contained).toEqual(selectedBy([a]));
      }),
      RUNS,
    );
  });

  it("intersect in the packets of both", () => {
    fc.assert(
      fc.property(selector, selector, (a, b) => {
        const both = intersect(a, b);
        const ofB = new Set(selectedBy([b]));
        const expected = selectedBy([a]).filter((n) => ofB.has(n));
        expect(selectedBy(both === undefined ? [] : [both])).toEqual(expected);
        if (both !== undefined) expect(expected).not.toHaveLength(0);
      }),
      RUNS,
    );
  });

  it("cover another whose packets are all theirs", () => {
    fc.assert(
      fc.property(selector, selector, (a, b) => {
        const theirs = selectedBy([b]);
        fc.pre(theirs.length > 0);
        const ours = new Set(selectedBy([a]));
        expect(covers(a, b)).toBe(theirs.every((n) => ours.has(n)));
      }),
      RUNS,
    );
  });

  it("narrow to the packets of offer and policy", () => {
    fc.assert(
      fc.property(list, list, (offered, policy) => {
        const narrowed = narrow(offered, policy);
        const allowed = new Set(selectedBy(policy));
        expect(selectedBy(narrowed)).toEqual(selectedBy(offered).filter((n) => allowed.has(n)));
      }),
      RUNS,
    );
  });

  it("narrow to selectors of which none is part of another, each within one offer and one rule", () => {
    fc.assert(
      fc.property(list, list, (offered, policy) => {
        const narrowed = narrow(offered, policy);
        narrowed.forEach((a, i) => {
          expect(narrowed.some((b, j) => i !== j && covers(b, a))).toBe(false);
          expect(offered.some((offer) => covers(offer, a))).toBe(true);
          expect(policy.some((rule) => covers(rule, a))).toBe(true);
        });
      }),
      RUNS,
    );
  });
});

const selectors = (...texts: string[]): TrafficSelector[] => texts.map((text) => parseSelector(text)!);
const narrowed = (offered: string[], policy: string[]): string[] =>
  narrow(selectors(...offered), selectors(...policy)).map(formatSelector);

describe("narrowing", () => {
  it("gives a subset of a wide offer", () => {
    expect(narrowed(["any4", "any6"], ["10.1.0.0/24", "2001:db8::/32"])).toEqual(["10.1.0.0/24", "2001:db8::/32"]);
  });

  it("gives the offer where the policy is wider, in the order of the offer", () => {
    expect(narrowed(["10.2.0.0/24", "10.1.0.0/24"], ["any4"])).toEqual(["10.2.0.0/24", "10.1.0.0/24"]);
  });

  it("gives nothing where nothing is shared", () => {
    expect(narrowed(["10.1.0.0/24"], ["10.2.0.0/24"])).toEqual([]);
    expect(narrowed(["any6"], ["any4"])).toEqual([]);
    expect(narrowed(["any4[tcp]"], ["any4[udp]"])).toEqual([]);
    expect(narrowed([], ["any4"])).toEqual([]);
  });

  it("takes protocol and ports from the narrower side", () => {
    expect(narrowed(["10.0.0.0/8[tcp]"], ["10.1.0.0/16[tcp/443]"])).toEqual(["10.1.0.0/16[tcp/443]"]);
    expect(narrowed(["10.0.0.0/8[tcp/80-500]"], ["10.1.0.0/16[tcp/443-900]"])).toEqual(["10.1.0.0/16[tcp/443-500]"]);
  });

  it("drops the triggering packet where the range around it is accepted too", () => {
    expect(narrowed(["10.1.0.5[tcp/443]", "10.1.0.0/24"], ["10.1.0.0/16"])).toEqual(["10.1.0.0/24"]);
    expect(narrowed(["10.1.0.5[tcp/443]", "10.9.0.0/24"], ["10.1.0.0/16"])).toEqual(["10.1.0.5[tcp/443]"]);
  });

  it("gives no more than a Child SA can have", () => {
    const offered = Array.from({ length: 255 }, (_, n) => parseSelector(`10.0.0.${n}-10.0.1.${n}`)!);
    const policy = Array.from({ length: 16 }, (_, n) => parseSelector(`any4[tcp/${n}]`)!);
    expect(narrow(offered, policy)).toHaveLength(MAX_SELECTORS);
  });
});

describe("selectors as text", () => {
  it.each([
    "0.0.0.0/0",
    "::/0",
    "10.1.0.0/24",
    "2001:db8::/32",
    "192.0.2.1",
    "10.0.0.1-10.0.0.9",
    "2001:db8::1-2001:db8::9",
    "10.1.0.0/24[tcp]",
    "10.1.0.0/24[tcp/443]",
    "10.1.0.0/24[udp/1000-2000]",
    "10.1.0.0/24[udp/opaque]",
    "192.0.2.1[gre]",
    "192.0.2.1[99]",
    "192.0.2.1[99/7]",
    "10.0.0.0/8[icmp/8]",
    "10.0.0.0/8[icmp/3-5]",
    "10.0.0.0/8[icmp/3/1]",
    "::/0[icmpv6/1/0-2/7]",
  ])("%s is read and shown the same", (text) => {
    expect(formatSelector(parseSelector(text)!)).toBe(text);
  });

  it.each([
    ["any4", "0.0.0.0/0"],
    ["any6", "::/0"],
    ["10.1.0.7/24", "10.1.0.0/24"],
    ["10.0.0.0-10.0.0.255", "10.0.0.0/24"],
    ["192.0.2.1/32[47]", "192.0.2.1[gre]"],
    ["any4[TCP/any]", "0.0.0.0/0[tcp]"],
    ["any4[any]", "0.0.0.0/0"],
    ["any6[ipv6-icmp/128]", "::/0[icmpv6/128]"],
    [" 10.0.0.1 - 10.0.0.2 ", "10.0.0.1-10.0.0.2"],
  ])("%s is shown as %s", (text, shown) => {
    expect(formatSelector(parseSelector(text)!)).toBe(shown);
  });

  it.each([
    "",
    "any",
    "10.1.0.0/33",
    "10.1.0/24",
    "10.0.0.9-10.0.0.1",
    "10.0.0.1-::1",
    "10.0.0.1-10.0.0.2-10.0.0.3",
    "any4[tcp/65536]",
    "any4[tcp/9-1]",
    "any4[any/443]",
    "any4[gre/1]",
    "any4[256]",
    "any4[nothing]",
    "any4[icmp/256]",
    "any4[tcp",
    "any4[]",
  ])("%j is none", (text) => {
    expect(parseSelector(text)).toBeUndefined();
  });

  it("survive being shown and read", () => {
    fc.assert(
      fc.property(selector, (a) => {
        const empty = a.startPort > a.endPort && !(a.startPort === 65535 && a.endPort === 0);
        fc.pre(
          !empty && Buffer.compare(a.first, a.last) <= 0 && (a.protocol !== 0 || a.endPort - a.startPort === 65535),
        );
        expect(equalSelectors(parseSelector(formatSelector(a))!, a)).toBe(true);
      }),
      RUNS,
    );
  });

  it("know the whole of both families", () => {
    expect(anySelectors.map(formatSelector)).toEqual(["0.0.0.0/0", "::/0"]);
  });
});
