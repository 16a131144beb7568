/** Coalescing: what the kernel cuts up again is what came in, octet for octet, and in order. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Coalescer } from "../../src/dataplane/coalesce.ts";
import { InboundBatch } from "../../src/dataplane/inbound.ts";
import { summedSlab } from "../../src/dataplane/slab-sum.ts";
import { cutUp, type SegmentOptions, segment } from "../support/segments.ts";

const CAPACITY = 128;
const STRIDE = 2048;
const { slab: shared, sum } = summedSlab(CAPACITY * STRIDE);
const slab = new Uint8Array(shared);
const coalescer = new Coalescer(slab, CAPACITY, sum);

interface Given {
  readonly packet: Uint8Array;
  readonly tunnel?: number;
  /** Octets off the multiple of four. */
  readonly shift?: number;
}

interface Written {
  readonly tunnel: number;
  readonly octets: Uint8Array;
  readonly packets: number[];
}

/** What a tunnel is given for a batch of packets, as the TUN writer does it. */
const coalesce = (given: readonly Given[], datagrams = true): Written[] => {
  const batch = new InboundBatch(CAPACITY, new Uint8Array(0));
  slab.fill(0xaa);
  coalescer.clear();
  given.forEach(({ packet, tunnel = 0, shift = 0 }, n) => {
    const at = n * STRIDE + 128 + shift;
    slab.set(packet, at);
    batch.innerAt[n] = at;
    batch.innerLength[n] = packet.length;
    batch.count = n + 1;
    coalescer.add(batch, n, tunnel, datagrams);
  });
  return Array.from({ length: coalescer.count }, (_, group) => {
    const first = coalescer.first[group]!;
    const at = batch.innerAt[first]!;
    if (coalescer.segments[group] === 1) slab.fill(0, at - 10, at);
    else coalescer.seal(batch, group);
    const packets = [first];
    const octets = [...slab.slice(at - 10, at + batch.innerLength[first]!)];
    for (let n = coalescer.next[first]!; n >= 0; n = coalescer.next[n]!) {
      packets.push(n);
      const from = batch.innerAt[n]! + coalescer.headers[n]!;
      octets.push(...slab.slice(from, batch.innerAt[n]! + batch.innerLength[n]!));
    }
    expect(packets).toHaveLength(coalescer.segments[group]!);
    return { tunnel: given[first]!.tunnel ?? 0, octets: Uint8Array.from(octets), packets };
  });
};

const payload = (length: number, first = 0): Uint8Array => Uint8Array.from({ length }, (_, i) => first + i * 7);

/** `count` segments of `size` octets as a sender with segmentation offload makes them. */
const flow = (
  count: number,
  size: number,
  options: Partial<SegmentOptions> & Pick<SegmentOptions, "version" | "protocol">,
) =>
  Array.from({ length: count }, (_, k) =>
    segment({
      seq: ((options.seq ?? 1) + k * size) >>> 0,
      id: ((options.id ?? 9) + k) & 0xffff,
      payload: payload(size, k),
      ...without(options),
    }),
  );

const without = ({ seq, id, ...rest }: Partial<SegmentOptions> & Pick<SegmentOptions, "version" | "protocol">) => rest;

const groupsOf = (packets: readonly Uint8Array[]): number[][] => {
  const written = coalesce(packets.map((packet) => ({ packet })));
  expect(written.flatMap(({ octets }) => cutUp(octets))).toEqual(
    written.flatMap((w) => w.packets.map((n) => packets[n])),
  );
  return written.map((each) => each.packets);
};

for (const version of [4, 6] as const)
  for (const protocol of ["tcp", "udp"] as const)
    test(`a run of ${protocol} over IPv${version} is one packet, its last segment may be shorter`, () => {
      const run = flow(40, 1348, { version, protocol, seq: 0xffff_f000, id: 0xfff0 });
      const last = segment({
        version,
        protocol,
        seq: (0xffff_f000 + 40 * 1348) >>> 0,
        id: (0xfff0 + 40) & 0xffff,
        payload: payload(5),
      });
      const next = segment({ version, protocol, payload: payload(1348), id: 7 });
      expect(groupsOf([...run, last, next])).toEqual([Array.from({ length: 41 }, (_, n) => n), [41]]);
    });

test("a group is never longer than an IP packet can be, nor has it more datagrams than the kernel takes", () => {
  expect(groupsOf(flow(60, 1400, { version: 4, protocol: "tcp" })).map(({ length }) => length)).toEqual([46, 14]);
  expect(groupsOf(flow(60, 1400, { version: 6, protocol: "tcp" })).map(({ length }) => length)).toEqual([46, 14]);
  expect(groupsOf(flow(100, 64, { version: 4, protocol: "udp" })).map(({ length }) => length)).toEqual([64, 36]);
  expect(groupsOf(flow(100, 64, { version: 4, protocol: "tcp" })).map(({ length }) => length)).toEqual([100]);
});

test("datagrams stay alone where the interface does not take groups of them", () => {
  const packets = [
    ...flow(3, 100, { version: 4, protocol: "udp" }),
    ...flow(3, 100, { version: 4, protocol: "tcp" }),
  ].map((packet) => ({ packet }));
  expect(coalesce(packets, false).map((each) => each.packets)).toEqual([[0], [1], [2], [3, 4, 5]]);
});

test("PSH ends a group and is kept", () => {
  const [a, b, c, d] = flow(4, 500, { version: 4, protocol: "tcp" });
  const pushed = segment({ version: 4, protocol: "tcp", seq: 501, id: 10, payload: payload(500, 1), flags: 0x18 });
  expect(groupsOf([a!, pushed, c!, d!])).toEqual([
    [0, 1],
    [2, 3],
  ]);
  expect(groupsOf([a!, b!, c!, d!])).toEqual([[0, 1, 2, 3]]);
});

/** The second of two segments that would be one group, changed so that it must not be. */
const CHANGES: readonly (readonly [string, Partial<SegmentOptions>])[] = [
  ["another acknowledgment", { ack: 2 }],
  ["another window", { window: 513 }],
  ["FIN", { flags: 0x11 }],
  ["SYN", { flags: 0x12 }],
  ["RST", { flags: 0x14 }],
  ["URG", { flags: 0x30 }],
  ["ECE", { flags: 0x50 }],
  ["CWR", { flags: 0x90 }],
  ["no ACK", { flags: 0x00 }],
  ["a gap in the sequence", { seq: 502 }],
  ["the same sequence again", { seq: 1 }],
  ["options", { options: Uint8Array.from([1, 1, 1, 1]) }],
  ["no payload", { payload: payload(0) }],
  ["a longer payload", { payload: payload(501) }],
  ["another TTL", { hopLimit: 63 }],
  ["another TOS", { trafficClass: 0x20 }],
  ["a CE mark", { trafficClass: 3 }],
  ["another source port", { sourcePort: 1 }],
  ["another destination port", { destinationPort: 1 }],
];
const CHANGES4: typeof CHANGES = [
  ["another identification", { id: 9 }],
  ["no DF", { dontFragment: false }],
  ["another source", { source: "10.1.0.3" }],
  ["another destination", { destination: "10.2.0.3" }],
];
const CHANGES6: typeof CHANGES = [
  ["another flow label", { flowLabel: 1 }],
  ["another source", { source: "2001:db8:1::3" }],
  ["another destination", { destination: "2001:db8:2::3" }],
];

for (const version of [4, 6] as const)
  test.each([...CHANGES, ...(version === 4 ? CHANGES4 : CHANGES6)])(
    `IPv${version}: %s keeps segments apart`,
    (_, change) => {
      const [first] = flow(1, 500, { version, protocol: "tcp" });
      const second = segment({ version, protocol: "tcp", seq: 501, id: 10, payload: payload(500), ...change });
      expect(groupsOf([first!, second])).toEqual([[0], [1]]);
    },
  );

const spoilt = (packet: Uint8Array, at: number, value?: number): Uint8Array => {
  const copy = packet.slice();
  copy[at] = value ?? copy[at]! ^ 1;
  return copy;
};

test.each<[string, (packet: Uint8Array) => Uint8Array]>([
  ["a damaged payload", (packet) => spoilt(packet, 300)],
  ["a damaged last octet", (packet) => spoilt(packet, packet.length - 1)],
  ["a damaged TCP checksum", (packet) => spoilt(packet, 37)],
  ["a damaged IP checksum", (packet) => spoilt(packet, 10)],
  ["a reserved bit of TCP", (packet) => spoilt(packet, 32, 0x51)],
  ["a reserved bit of IP", (packet) => spoilt(packet, 6, 0xc0)],
  ["an urgent pointer", (packet) => spoilt(packet, 39)],
])("%s goes alone and untouched, wherever it comes", (_, spoil) => {
  const run = flow(5, 333, { version: 4, protocol: "tcp" });
  for (let bad = 0; bad < 5; bad++) {
    const packets = run.map((packet, n) => (n === bad ? spoil(packet) : packet));
    const groups = groupsOf(packets);
    expect(groups.filter((group) => group.includes(bad))).toEqual([[bad]]);
    expect(groups.flat()).toEqual([0, 1, 2, 3, 4]);
    expect(groups.length).toBeLessThanOrEqual(3);
  }
});

test("datagrams without a checksum, or of another length than they say, stay alone", () => {
  const run = flow(2, 300, { version: 4, protocol: "udp" });
  const bare = run.map((packet) => spoilt(spoilt(packet, 26, 0), 27, 0));
  expect(groupsOf(bare)).toEqual([[0], [1]]);
  expect(groupsOf(run.map((packet) => spoilt(packet, 25)))).toEqual([[0], [1]]);
});

test("the other zero of a checksum is not what the kernel writes, and keeps segments apart", () => {
  const zero = (seq: number, id: number): Uint8Array => {
    const packet = segment({ version: 4, protocol: "tcp", seq, id, payload: payload(100) });
    const view = new DataView(packet.buffer);
    const sum = view.getUint16(36) + view.getUint16(60); // payload octets take up the checksum: it becomes zero
    view.setUint16(60, (sum & 0xffff) + (sum >>> 16));
    view.setUint16(36, 0);
    return packet;
  };
  const standard = [zero(1, 9), zero(101, 10)];
  expect(groupsOf(standard)).toEqual([[0, 1]]);
  expect(groupsOf(standard.map((packet) => spoilt(spoilt(packet, 36, 0xff), 37, 0xff)))).toEqual([[0], [1]]);
});

test("packets that do not lie at a multiple of four stay alone", () => {
  const run = flow(3, 100, { version: 4, protocol: "tcp" });
  expect(coalesce(run.map((packet) => ({ packet, shift: 2 }))).map((each) => each.packets)).toEqual([[0], [1], [2]]);
});

test("flows that take turns make a group each; more than eight at once are merely not all joined", () => {
  const turns = (flows: number): Uint8Array[] => {
    const runs = Array.from({ length: flows }, (_, i) =>
      flow(4, 200, { version: 4, protocol: "tcp", sourcePort: i + 1 }),
    );
    return Array.from({ length: 4 * flows }, (_, n) => runs[n % flows]![Math.floor(n / flows)]!);
  };
  expect(groupsOf(turns(8))).toHaveLength(8);
  expect(groupsOf(turns(9)).flat()).toHaveLength(36);
});

test("the same flow in two tunnels is two flows", () => {
  const run = flow(4, 100, { version: 4, protocol: "tcp" });
  const written = coalesce(run.map((packet, n) => ({ packet, tunnel: n >> 1 })));
  expect(written.map(({ packets }) => packets)).toEqual([
    [0, 1],
    [2, 3],
  ]);
});

// The slow model

const STRANGERS: readonly Uint8Array[] = [
  (() => {
    const icmp = segment({ version: 4, protocol: "udp", payload: payload(20) });
    icmp[9] = 1;
    return icmp;
  })(),
  spoilt(segment({ version: 4, protocol: "tcp", payload: payload(100) }), 6, 0x20), // a fragment
  spoilt(segment({ version: 4, protocol: "tcp", payload: payload(100) }), 7, 0x10), // a later one
  spoilt(segment({ version: 4, protocol: "tcp", payload: payload(100) }), 0, 0x46), // IP options
  spoilt(segment({ version: 6, protocol: "tcp", payload: payload(100) }), 6, 44), // an extension header
  segment({ version: 4, protocol: "tcp", payload: payload(0) }).slice(0, 24), // cut short
  segment({ version: 6, protocol: "udp", payload: payload(0) }).slice(0, 44),
];

const byFlow = (packet: Uint8Array): string => {
  if (STRANGERS.includes(packet)) return "stranger";
  const v4 = packet[0]! >> 4 === 4;
  const addressesAndPorts = v4 ? packet.slice(12, 24) : packet.slice(8, 44);
  return `${packet[0]! >> 4} ${packet[v4 ? 9 : 6]} ${addressesAndPorts}`;
};

/** Steps of a handful of flows: mostly the next segment, sometimes something else. */
const step = fc.record({
  flow: fc.nat(11),
  size: fc.constantFrom(100, 100, 100, 100, 100, 100, 99, 101, 1, 0, 1348),
  change: fc.oneof(
    { weight: 12, arbitrary: fc.constant({}) },
    { weight: 1, arbitrary: fc.constantFrom(...[...CHANGES, ...CHANGES4, ...CHANGES6].map(([, change]) => change)) },
    { weight: 1, arbitrary: fc.constant({ flags: 0x18 }) },
  ),
  damage: fc.oneof({ weight: 15, arbitrary: fc.constant(-1) }, { weight: 1, arbitrary: fc.nat(140) }),
  stranger: fc.oneof(
    { weight: 20, arbitrary: fc.constant(-1) },
    { weight: 1, arbitrary: fc.nat(STRANGERS.length - 1) },
  ),
  skip: fc.oneof({ weight: 10, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(3) }),
});

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const play = (steps: readonly Step[], flows: number, start: number): Given[] => {
  const states = Array.from({ length: 12 }, (_, i) => ({
    seq: (start * 77_777 + i) >>> 0,
    id: (start + i * 1000) & 0xffff,
  }));
  return steps.map(({ flow, size, change, damage, stranger, skip }) => {
    if (stranger >= 0) return { packet: STRANGERS[stranger]! };
    const i = flow % flows;
    const state = states[i]!;
    const bytes = payload(size, damage + size + i);
    const packet = segment({
      version: i & 1 ? 6 : 4,
      protocol: i & 2 ? "udp" : "tcp",
      sourcePort: 1 + (i >> 2),
      ...(i & 1 ? {} : { source: `10.1.0.${1 + (i % 3)}` }),
      seq: state.seq,
      id: (state.id + skip) & 0xffff,
      payload: bytes,
      ...("source" in change || "destination" in change ? {} : change),
    });
    state.seq = (state.seq + size) >>> 0;
    state.id = (state.id + 1 + skip) & 0xffff;
    if (damage >= 0 && damage < packet.length && damage > 24) packet[damage] = packet[damage]! ^ 0x40;
    return { packet };
  });
};

test("whatever comes, cut up again it is what came, and no flow is out of order", () => {
  let joined = 0;
  let all = 0;
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: CAPACITY }),
      fc.integer({ min: 1, max: 12 }),
      fc.nat(65535),
      (steps, flows, start) => {
        const given = play(steps, flows, start);
        const written = coalesce(given);
        const order = written.flatMap(({ packets }) => packets);
        const out = written.flatMap(({ octets }) => cutUp(octets));
        expect(out.length).toBe(given.length);
        expect(order.every((n, i) => Buffer.compare(out[i]!, given[n]!.packet) === 0)).toBe(true);
        expect([...order].sort((a, b) => a - b)).toEqual(given.map((_, n) => n));
        // Strangers may be of any flow: each keeps its place among the packets of every flow.
        const names = given.map(({ packet }) => byFlow(packet));
        for (const name of new Set(names)) {
          const mine = order.filter((n) => names[n] === name || names[n] === "stranger");
          expect(mine).toEqual([...mine].sort((a, b) => a - b));
        }
        all += given.length;
        joined += given.length - written.length;
      },
    ),
    { numRuns: 600 },
  );
  expect(joined / all).toBeGreaterThan(0.1); // or nothing has been tested
});
