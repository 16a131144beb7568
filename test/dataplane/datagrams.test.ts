/** Fragments of the local IP layer, put together before transport mode protects them (RFC 4301 §7, RFC 4303 §3.3.4). */
import fc from "fast-check";
import { expect, test } from "vitest";
import { MAX_PACKET } from "../../src/dataplane/arena.ts";
import { ASTRAY, Datagrams, isFragment, PART } from "../../src/dataplane/datagrams.ts";
import { Counters } from "../../src/ipsec/counters.ts";
import { parseSelector, type TrafficSelector } from "../../src/ipsec/selector.ts";
import { Verdict } from "../../src/ipsec/verdict.ts";
import { Memory } from "../../src/linux/memory.ts";
import { ipv4PacketOf } from "../support/ip-headers.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { installPair, MemorySite, settle } from "../support/memory-sites.ts";

const ENDS = { 4: ["127.0.0.2", "127.0.0.3"], 6: ["::1", "::2"] } as const;

/** A datagram of `payload` octets behind its header. */
const datagram = (version: 4 | 6, payload: number, id = 7): Uint8Array => {
  const [source, destination] = ENDS[version];
  const length = (version === 4 ? 20 : 40) + payload;
  const packet = ipPacket({ version, length, source, destination });
  if (version === 4) new DataView(packet.buffer).setUint16(4, id);
  return packet;
};

/** Its fragments of at most `size` octets of payload each, as an IP layer sends them. */
const fragmentsOf = (packet: Uint8Array, size: number, id = 7): Uint8Array[] => {
  const isIpv4 = packet[0] === 0x45;
  const header = packet.slice(0, isIpv4 ? 20 : 40);
  const payload = packet.slice(header.length);
  const step = size & ~7;
  return Array.from({ length: Math.ceil(payload.length / step) }, (_, i) => {
    const piece = payload.subarray(i * step, (i + 1) * step);
    const more = (i + 1) * step < payload.length;
    const made = new Uint8Array(header.length + (isIpv4 ? 0 : 8) + piece.length);
    const view = new DataView(made.buffer);
    made.set(header);
    made.set(piece, made.length - piece.length);
    if (isIpv4) {
      view.setUint16(2, made.length);
      view.setUint16(6, (more ? 0x2000 : 0) | ((i * step) / 8));
    } else {
      view.setUint16(4, made.length - 40);
      made[6] = 44;
      made[40] = packet[6]!;
      view.setUint16(42, (i * step) | (more ? 1 : 0));
      view.setUint32(44, id);
    }
    return made;
  });
};

const BLOCK = 3;
const ALL = 5;

const gatherer = () => {
  const counters = Counters.create(8);
  const memory = Memory.allocate(MAX_PACKET + 100);
  const slab = memory.bytes;
  const datagrams = new Datagrams(memory, counters, ALL);
  const take = (fragment: Uint8Array): Uint8Array | "part" | "astray" => {
    const at = 50 + (fragment.length & 3);
    slab.set(fragment, at);
    const whole = datagrams.take(at, fragment.length, BLOCK);
    if (whole === PART) return "part";
    if (whole === ASTRAY) return "astray";
    datagrams.copyTo(60, whole);
    return slab.slice(60, 60 + whole);
  };
  const lost = () => [BLOCK, ALL].map((block) => counters.get(block, Verdict.UNSUP_TRANSPORT));
  return { take, lost };
};

test("a datagram is what its fragments were made of, whatever its length and theirs, in both families", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(4 as const, 6 as const),
      fc.integer({ min: 9, max: MAX_PACKET - 40 }),
      fc.integer({ min: 8, max: 3000 }),
      (version, payload, size) => {
        const { take, lost } = gatherer();
        const packet = datagram(version, payload);
        const fragments = fragmentsOf(packet, Math.min(size, payload - 1));
        for (const fragment of fragments) expect(isFragment(fragment, 0, fragment.length)).toBe(true);
        const results = fragments.map(take);
        expect(results.slice(0, -1).every((result) => result === "part")).toBe(true);
        expect(Buffer.compare(results.at(-1) as Uint8Array, packet)).toBe(0);
        expect(lost()).toEqual([0, 0]);
      },
    ),
    { numRuns: 300, seed: 4303 },
  );
});

test("whole packets, IPv4 options, and other extension headers are no fragments to put together", () => {
  const whole = datagram(4, 100);
  const options = ipv4PacketOf({ options: new Uint8Array(4), moreFragments: true }, new Uint8Array(64));
  const extended = ipPacket({ version: 6, length: 100, protocol: 60 });
  for (const packet of [whole, options, extended, datagram(6, 100)])
    expect(isFragment(packet, 0, packet.length)).toBe(false);
});

test("datagrams that come at once are told apart by identification, protocol and family", () => {
  const { take } = gatherer();
  const packets = [
    datagram(4, 2000, 1),
    datagram(4, 2000, 2),
    datagram(4, 2000, 1),
    datagram(6, 2000),
    datagram(6, 2001),
  ];
  packets[2]![9] = 6;
  const pieces = packets.map((packet, i) => fragmentsOf(packet, 800, 70 + i));
  for (const turn of [0, 1]) for (const fragments of pieces) expect(take(fragments[turn]!)).toBe("part");
  expect(pieces.map((fragments) => take(fragments[2]!))).toEqual(packets);
});

test("what has no beginning, a gap, a repeat, or an odd length is astray, and its datagram with it", () => {
  const [first, second, third] = fragmentsOf(datagram(4, 2000), 800);
  const odd = first!.slice(0, -1);
  new DataView(odd.buffer).setUint16(2, odd.length);
  for (const [given, expected] of [
    [[second!], ["astray"]],
    [
      [first!, third!, second!],
      ["part", "astray", "astray"],
    ],
    [
      [first!, second!, second!, third!],
      ["part", "part", "astray", "astray"],
    ],
    [[odd], ["astray"]],
  ] as const) {
    const { take, lost } = gatherer();
    expect(given.map(take)).toEqual(expected);
    expect(lost()).toEqual([0, 0]); // counted by who was told
  }
});

test("a datagram longer than a buffer is astray as soon as that is seen", () => {
  const { take } = gatherer();
  const results = fragmentsOf(ipPacket({ version: 4, length: MAX_PACKET + 9 }), 1400).map(take);
  expect(results.at(-1)).toBe("astray");
  expect(results.filter((result) => typeof result !== "string")).toEqual([]);
});

test("datagrams that are never complete give way to others, and are counted once each", () => {
  const { take, lost } = gatherer();
  const begin = (id: number) => take(fragmentsOf(datagram(4, 2000, id), 800)[0]!);
  for (let id = 0; id < 8; id++) expect(begin(id)).toBe("part");
  expect(lost()).toEqual([0, 0]);
  begin(8); // the first one goes
  begin(3); // begun anew
  expect(lost()).toEqual([2, 2]);
  expect(take(fragmentsOf(datagram(4, 2000, 0), 800)[1]!)).toBe("astray");
  const [, second, third] = fragmentsOf(datagram(4, 2000, 8), 800);
  expect([take(second!), take(third!)]).toEqual(["part", datagram(4, 2000, 8)]);
});

test.skipIf(process.getuid?.() !== 0)(
  "two planes in transport mode: fragments go out as one packet, and selectors see its ports (needs root)",
  async () => {
    const a = await MemorySite.start("127.0.0.2", { raw: true });
    const b = await MemorySite.start("127.0.0.3", { raw: true });
    const [atA, atB] = [a.addTunnel(), b.addTunnel()];
    const host = (text: string): TrafficSelector[] => [parseSelector(text)!];
    const options = { local: host("127.0.0.2[udp/1000]"), remote: host("127.0.0.3[udp/2000]") };
    const pair = installPair([a, atA.id], [b, atB.id], { encap: false, mode: "transport", ...options });
    a.plane.use(pair.spiA);
    const [large, small] = [datagram(4, 8000), datagram(4, 100)];
    const other = datagram(4, 3000, 9);
    new DataView(other.buffer).setUint16(20, 1001); // another source port
    const pieces = [...fragmentsOf(large, 1446), small, ...fragmentsOf(other, 1446)];
    for (const packet of pieces) atA.tun.inject(packet);
    settle(a, b);
    const arrived = atB.tun.delivered();
    expect(arrived.map((packet) => packet.slice(20))).toEqual([large, small].map((packet) => packet.slice(20)));
    expect(a.plane.counters(pair.spiA)).toMatchObject({
      packetsOut: 2,
      bytesOut: large.length + small.length,
      seqOut: 2,
      drops: { policy: 1 },
    });
    expect(a.plane.totals().out).toMatchObject({ packets: 2, drops: { policy: 1 } });
    atA.tun.inject(fragmentsOf(large, 1446)[1]!);
    settle(a, b);
    expect(a.plane.totals().out.drops).toEqual({ policy: 1, "unsup-transport": 1 });
  },
);
