import fc from "fast-check";
import { expect, test } from "vitest";
import { addressBytes } from "../../src/ip-address.ts";
import { containsPacket, MAX_SELECTORS, type TrafficSelector } from "../../src/ipsec/selector.ts";
import { passesFrontIn, passesFrontOut, SPD_FRONT, Spd } from "../../src/ipsec/spd.ts";
import { ipPacket, type PacketOptions } from "../support/ip-packets.ts";

const range = (first: string, last: string, more: Partial<TrafficSelector> = {}): TrafficSelector => ({
  protocol: 0,
  startPort: 0,
  endPort: 65535,
  first: addressBytes(first),
  last: addressBytes(last),
  ...more,
});
const ANY4 = range("0.0.0.0", "255.255.255.255");
const ANY6 = range("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");

const judged = (local: TrafficSelector[], remote: TrafficSelector[], options: PacketOptions) => {
  const spd = Spd.create(4);
  spd.set(2, local, remote);
  const packet = ipPacket(options);
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const words = new Uint32Array(1 + SPD_FRONT);
  spd.copyFront(2, words, 1);
  const passes = {
    out: spd.passesOutbound(2, view, 0, packet.length, options.version),
    in: spd.passesInbound(2, view, 0, packet.length, options.version),
  };
  const front = {
    out: passesFrontOut(words, 1, view, 0, options.version),
    in: passesFrontIn(words, 1, view, 0, options.version),
  };
  // The front lets nothing through that the slot does not.
  expect({ out: front.out && !passes.out, in: front.in && !passes.in }).toEqual({ out: false, in: false });
  return { passes, front };
};

const verdicts = (local: TrafficSelector[], remote: TrafficSelector[], options: PacketOptions) =>
  judged(local, remote, options).passes;

const NET_A = range("10.1.0.0", "10.1.255.255");
const NET_B = range("10.2.0.0", "10.2.0.255");
const A_TO_B = { version: 4, source: "10.1.3.4", destination: "10.2.0.7" } as const;
const B_TO_A = { version: 4, source: "10.2.0.7", destination: "10.1.3.4" } as const;

test("outbound the source is local, inbound it is remote", () => {
  expect(verdicts([NET_A], [NET_B], A_TO_B)).toMatchObject({ out: true, in: false });
  expect(verdicts([NET_A], [NET_B], B_TO_A)).toMatchObject({ out: false, in: true });
});

test("the front of a slot decides alone where addresses of IPv4, or nothing, are asked for", () => {
  expect(judged([NET_A], [NET_B], A_TO_B).front).toEqual({ out: true, in: false });
  expect(judged([NET_A], [NET_B], B_TO_A).front).toEqual({ out: false, in: true });
  for (const version of [4, 6] as const)
    expect(judged([ANY4, ANY6], [ANY4, ANY6], { version }).front).toEqual({ out: true, in: true });
  const udp = range("10.1.0.0", "10.1.255.255", { protocol: 17 });
  expect(judged([udp], [NET_B], A_TO_B).front.out).toBe(false);
  expect(judged([ANY6], [NET_B], A_TO_B).front.out).toBe(false);
});

test("the first and the last address of a range belong to it, their neighbours do not", () => {
  const from = (source: string) => verdicts([range("10.1.0.16", "10.1.1.3")], [ANY4], { version: 4, source }).out;
  expect(["10.1.0.15", "10.1.0.16", "10.1.0.200", "10.1.1.3", "10.1.1.4"].map(from)).toEqual([
    false,
    true,
    true,
    true,
    false,
  ]);
});

test("any of several selectors will do, on each side", () => {
  const other = range("172.16.0.0", "172.31.255.255");
  expect(verdicts([other, NET_A], [other, NET_B], A_TO_B).out).toBe(true);
  expect(verdicts([other, NET_A], [other], A_TO_B).out).toBe(false);
});

test("IPv4 selectors let no IPv6 through, and the other way round", () => {
  expect(verdicts([ANY4], [ANY4], { version: 6 })).toEqual({ out: false, in: false });
  expect(verdicts([ANY6], [ANY6], { version: 4 })).toEqual({ out: false, in: false });
  expect(verdicts([ANY4, ANY6], [ANY6, ANY4], { version: 6 })).toEqual({ out: true, in: true });
});

test("a slot without selectors lets nothing through", () => {
  expect(verdicts([], [], A_TO_B)).toEqual({ out: false, in: false });
  expect(verdicts([ANY4], [], A_TO_B)).toEqual({ out: false, in: false });
});

test("protocol and ports are asked for, and a fragment without ports matches only any ports", () => {
  const https = range("0.0.0.0", "255.255.255.255", { protocol: 6, startPort: 443, endPort: 444 });
  const to = (more: Partial<PacketOptions>) =>
    verdicts([ANY4], [https], { ...A_TO_B, protocol: 6, destinationPort: 443, ...more }).out;
  expect(to({})).toBe(true);
  expect(to({ destinationPort: 445 })).toBe(false);
  expect(to({ protocol: 17 })).toBe(false);
  expect(to({ fragmentOffset: 100 })).toBe(false);
  const tcp = range("0.0.0.0", "255.255.255.255", { protocol: 6 });
  expect(verdicts([ANY4], [tcp], { ...A_TO_B, protocol: 6, fragmentOffset: 100 }).out).toBe(true);
});

test("OPAQUE ports match only what shows none", () => {
  const opaque = range("0.0.0.0", "255.255.255.255", { startPort: 65535, endPort: 0 });
  expect(verdicts([opaque], [opaque], { ...A_TO_B, protocol: 6 }).out).toBe(false);
  expect(verdicts([opaque], [opaque], { ...A_TO_B, protocol: 6, fragmentOffset: 9 }).out).toBe(true);
});

const packetOf = (options: PacketOptions) => {
  const packet = ipPacket(options);
  return { view: new DataView(packet.buffer, packet.byteOffset, packet.byteLength), length: packet.length };
};

test("slots are apart, and a slot set again forgets", () => {
  const spd = Spd.create(3);
  const many = [...Array.from({ length: MAX_SELECTORS - 1 }, () => NET_A), ANY4];
  spd.set(0, many, many);
  spd.set(2, many, many);
  const { view, length } = packetOf({ version: 4, source: "192.0.2.1", destination: "192.0.2.2" });
  const passing = () => [0, 1, 2].filter((slot) => spd.passesOutbound(slot, view, 0, length, 4));
  expect(passing()).toEqual([0, 2]);
  spd.set(0, [NET_A], [NET_B]);
  expect(passing()).toEqual([2]);
  spd.clear(2);
  expect(passing()).toEqual([]);
});

test("more selectors than a slot holds are refused", () => {
  const many = Array.from({ length: MAX_SELECTORS + 1 }, () => ANY4);
  expect(() => Spd.create(1).set(0, many, [ANY4])).toThrow(/more than 32 traffic selectors/);
});

test("what a slot gives back serves another: the pool ends, and says so, but does not leak", () => {
  const spd = Spd.create(64);
  const many = Array.from({ length: MAX_SELECTORS }, () => NET_A);
  let set = 0;
  expect(() => {
    for (; set < 64; set++) spd.set(set, many, many);
  }).toThrow(/no room for more traffic selectors/);
  expect(set).toBeGreaterThan(16);
  for (let round = 0; round < 200; round++) spd.set(round % set, many, many);
  spd.set(63, [NET_A, NET_A], [NET_B, NET_B]); // needs none of the pool
  const { view, length } = packetOf(A_TO_B);
  expect(spd.passesOutbound(63, view, 0, length, 4)).toBe(true);
});

test("any number of selectors is the union of what each selects", () => {
  const address = fc.oneof(
    fc.integer({ min: 0, max: 30 }).map((n) => `10.0.0.${n}`),
    fc.integer({ min: 0, max: 30 }).map((n) => `2001:db8::${n.toString(16)}`),
  );
  const selector = fc
    .tuple(fc.boolean(), fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 8 }), fc.constantFrom(0, 6, 17))
    .map(([v4, from, more, protocol]) => {
      const name = (n: number) => (v4 ? `10.0.0.${n}` : `2001:db8::${n.toString(16)}`);
      return range(name(from), name(from + more), protocol === 0 ? {} : { protocol, startPort: 80, endPort: 90 });
    });
  const selectors = fc.array(selector, { maxLength: MAX_SELECTORS });
  const octets = fc.tuple(address, address).filter(([a, b]) => a.includes(":") === b.includes(":"));
  fc.assert(
    fc.property(
      selectors,
      selectors,
      octets,
      fc.constantFrom(6, 17),
      fc.integer({ min: 78, max: 92 }),
      (local, remote, [source, destination], protocol, port) => {
        const version = source.includes(":") ? 6 : 4;
        const one = (all: TrafficSelector[], at: string) =>
          all.some((each) => containsPacket(each, { protocol, address: addressBytes(at), port }));
        const packet = { version, source, destination, protocol, sourcePort: port, destinationPort: port } as const;
        expect(verdicts(local, remote, packet)).toEqual({
          out: one(local, source) && one(remote, destination),
          in: one(remote, source) && one(local, destination),
        });
      },
    ),
    { numRuns: 1000, seed: 4303 },
  );
});

test("agrees with numbers compared as numbers", () => {
  const address = fc.integer({ min: 0, max: 0xffff_ffff });
  const bytes = (value: number) => Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
  const near = (value: number) => fc.integer({ min: -3, max: 3 }).map((by) => (value + by) >>> 0);
  fc.assert(
    fc.property(
      address.chain((a) => fc.tuple(fc.constant(a), address, fc.oneof(near(a), address))),
      ([a, b, probe]) => {
        const [first, last] = a <= b ? [a, b] : [b, a];
        const source = [...bytes(probe)].join(".");
        const selector = { ...ANY4, first: bytes(first), last: bytes(last) };
        expect(verdicts([selector], [ANY4], { version: 4, source }).out).toBe(probe >= first && probe <= last);
      },
    ),
    { numRuns: 1000, seed: 4301 },
  );
});
