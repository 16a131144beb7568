/** Super-packets through whole planes: read, cut, sealed, sent in trains, opened, delivered. The slow model cuts them too. */
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { MAX_OUTER_MTU } from "../../src/dataplane/plane.ts";
import { ERRNO } from "../../src/linux/errno.ts";
import { IoVectors } from "../../src/linux/io-vectors.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { installPair, MemorySite } from "../support/memory-sites.ts";
import type { MemoryTun } from "../support/memory-tun.ts";
import { cutSlowly, finishPacket, type SuperOptions, superPacket } from "../support/super-packets.ts";

/** Tunnels whose packets begin with a virtio header at one end only. */
const connected = async (tunnels = 1) => {
  const a = await MemorySite.start("127.0.0.2");
  const b = await MemorySite.start("127.0.0.3");
  const ends = Array.from({ length: tunnels }, () => {
    const tunnelA = a.addTunnel(undefined, { vnetHdr: true });
    const tunnelB = b.addTunnel();
    const { spiA, spiB } = installPair([a, tunnelA.id], [b, tunnelB.id]);
    a.plane.use(spiA);
    b.plane.use(spiB);
    return { from: tunnelA.tun, to: tunnelB.tun, spiA };
  });
  const delivered: Uint8Array[][] = ends.map(() => []);
  /** Let both run until nothing moves: a queue in memory holds little, so empty it as it fills. */
  const carry = (): void => {
    for (let idle = 0; idle < 3; idle++) {
      if (a.plane.step() + b.plane.step() > 0) idle = -1;
      for (const [i, { to }] of ends.entries()) delivered[i]!.push(...to.delivered());
    }
  };
  return { a, b, ends, from: ends[0]!.from, spiA: ends[0]!.spiA, delivered, carry };
};

/** So that a failure can be read: packets by their lengths and headers first. */
const expectPackets = (actual: readonly Uint8Array[], expected: readonly Uint8Array[]): void => {
  const sketch = (packet: Uint8Array) => `${packet.length}: ${Buffer.from(packet.subarray(0, 60)).toString("hex")}`;
  expect(actual.map(sketch)).toEqual(expected.map(sketch));
  expect(Buffer.concat(actual).equals(Buffer.concat(expected))).toBe(true);
};

const inject = (tun: MemoryTun, header: Uint8Array, packet: Uint8Array): void =>
  tun.inject(Uint8Array.from([...header, ...packet]));

/** Inject it, and say what should come out at the other end. */
const send = (tun: MemoryTun, options: SuperOptions): Uint8Array[] => {
  const { header, packet, shape } = superPacket(options);
  inject(tun, header, packet);
  return cutSlowly(packet, { ...options, segmentSize: options.segmentSize || 65536 }, shape);
};

const patterned = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i * 13 + (i >> 8));

const bulk = (length: number, segmentSize = 1348, more: Partial<SuperOptions> = {}): SuperOptions => ({
  version: 4,
  protocol: "tcp",
  payload: patterned(length),
  segmentSize,
  ...more,
});

test("a stream of super-packets with acknowledgements between them, foreseen or not", async () => {
  const { a, from, spiA, delivered, carry } = await connected();
  const expected: Uint8Array[] = [];
  const plain = ipPacket({ version: 4, length: 52 });
  for (const options of [
    bulk(65000),
    bulk(65000),
    bulk(20000),
    bulk(1000), // one segment, shorter than foreseen
    bulk(65000, 1300), // other sizes
    bulk(65000, 1300, { tcpOptions: 24 }), // other headers
    bulk(65000, 1300, { version: 6 }),
    bulk(65000, 1400, { protocol: "udp" }),
    bulk(65000),
  ]) {
    expected.push(...send(from, options), plain);
    inject(from, new Uint8Array(10), plain);
    expected.push(...send(from, { ...options, segmentSize: 0, payload: patterned(1200) }));
    carry();
  }
  expectPackets(delivered[0]!, expected);
  const octets = expected.reduce((sum, { length }) => sum + length, 0);
  expect(a.plane.counters(spiA)).toMatchObject({ packetsOut: expected.length, bytesOut: octets, drops: {} });
});

test("packets longer than was foreseen are whole all the same", async () => {
  const { from, delivered, carry } = await connected();
  const expected = send(from, bulk(5000, 500));
  for (const length of [600, 1400, 5000, 9000]) expected.push(...send(from, bulk(length, 0)));
  carry();
  expectPackets(delivered[0]!, expected);
});

test("super-packets after any number of single ones, read as a whole or in pieces", async () => {
  const { from, delivered, carry } = await connected();
  const expected: Uint8Array[] = [];
  for (const singles of [0, 1, 14, 15, 16, 17, 40, 0, 16, 0]) {
    for (let i = 0; i < singles; i++) {
      expected.push(...send(from, bulk(1 + ((i * 97) % 1348), 0)));
      if (i % 16 === 15) carry();
    }
    for (const options of [bulk(65000), bulk(40_001), bulk(65000, 1228, { protocol: "udp" })])
      expected.push(...send(from, options));
    carry();
  }
  expectPackets(delivered[0]!, expected);
});

test("more segments than a batch holds, as small as they come", async () => {
  const { from, delivered, carry } = await connected();
  const expected: Uint8Array[] = [];
  for (const segmentSize of [1, 7, 48, 100, 240, 536]) {
    const segments = Math.min(Math.floor(65_000 / segmentSize), 300);
    expected.push(...send(from, bulk(segmentSize * segments + 1, segmentSize)));
    expected.push(...send(from, bulk(segmentSize * segments, segmentSize)));
    carry();
  }
  expectPackets(delivered[0]!, expected);
});

test("jumbo segments up to what a buffer takes; longer ones are counted as too big", async () => {
  const { a, from, spiA, delivered, carry } = await connected();
  const most = MAX_OUTER_MTU - 52;
  const room = MAX_OUTER_MTU - 200; // ESP packets must fit the other end's buffers
  const expected: Uint8Array[] = [];
  for (const options of [bulk(65000, 8900), bulk(65000, 8900), bulk(room, 0)]) {
    expected.push(...send(from, options));
    carry();
  }
  expectPackets(delivered[0]!, expected);
  send(from, bulk(65000, most + 1));
  send(from, bulk(most + 1, 0));
  carry();
  expect(a.plane.counters(spiA)).toMatchObject({ packetsOut: expected.length });
  expect(a.plane.totals().out.drops).toEqual({ "too-big": 2 });
});

test("what was not asked for is one drop each, and does not stop the rest", async () => {
  const { a, from, delivered, carry } = await connected();
  const { header, packet } = superPacket(bulk(4000, 1000));
  for (const type of [3, 9, 0x81]) inject(from, header.with(1, type), packet);
  inject(from, header.with(6, 28), packet);
  inject(from, Uint8Array.of(1, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0), packet);
  const expected = send(from, bulk(4000, 1000));
  carry();
  expectPackets(delivered[0]!, expected);
  expect(a.plane.totals().out).toMatchObject({ packets: 4, drops: { "unsup-offload": 5 } });
});

test("segments of several tunnels keep their tunnel and their order, whatever the sizes", async () => {
  const { a, b, ends, delivered, carry } = await connected(3);
  const step = fc.record({
    tunnel: fc.nat(2),
    version: fc.constantFrom(4 as const, 6 as const),
    protocol: fc.constantFrom("tcp" as const, "tcp" as const, "udp" as const),
    length: fc.oneof(fc.nat(3000), fc.integer({ min: 40_000, max: 65_000 })),
    segmentSize: fc.constantFrom(0, 300, 1300, 1300, 1348, 4000),
    tcpOptions: fc.constantFrom(12, 12, 0),
    settled: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (steps) => {
      const expected: Uint8Array[][] = ends.map(() => []);
      for (const packets of delivered) packets.length = 0;
      let queued = 0;
      for (const { tunnel, length, segmentSize, settled, ...rest } of steps) {
        const octets = segmentSize === 0 ? Math.min(length, 8000) : length;
        expected[tunnel]!.push(...send(ends[tunnel]!.from, { ...rest, segmentSize, payload: patterned(octets) }));
        queued += octets;
        if (!settled && queued < 20_000) continue;
        carry();
        queued = 0;
      }
      carry();
      for (const [i, packets] of delivered.entries()) expectPackets(packets, expected[i]!);
    }),
    { numRuns: 40 },
  );
  expect(a.plane.totals().out.drops).toEqual({});
  expect(b.plane.totals().in.drops).toEqual({});
});

test("packets that come singly are read together, and super-packets among them keep their place", async () => {
  const { a, from, delivered, carry } = await connected();
  const single = fc.record({
    protocol: fc.constantFrom("tcp" as const, "udp" as const),
    length: fc.nat(1400),
    segmentSize: fc.constant(0),
  });
  const large = fc.record({
    protocol: fc.constantFrom("tcp" as const, "udp" as const),
    length: fc.integer({ min: 1000, max: 65_000 }),
    segmentSize: fc.constantFrom(536, 1300, 9300, 9500),
  });
  const burst = fc.array(fc.oneof({ weight: 8, arbitrary: single }, { weight: 1, arbitrary: large }), {
    minLength: 1,
    maxLength: 9,
  });
  let tooBig = 0;
  fc.assert(
    fc.property(fc.array(burst, { minLength: 1, maxLength: 6 }), (bursts) => {
      const expected: Uint8Array[] = [];
      delivered[0]!.length = 0;
      const calm = Array.from({ length: 3 }, () => Array(6).fill({ protocol: "udp", length: 30, segmentSize: 0 }));
      for (const each of [...calm, ...bursts] as { protocol: "tcp" | "udp"; length: number; segmentSize: number }[][]) {
        for (const { length, ...options } of each) {
          const packets = send(from, { version: 4, payload: patterned(length), ...options });
          if (options.segmentSize > 9400) tooBig++;
          else expected.push(...packets);
        }
        carry();
      }
      expectPackets(delivered[0]!, expected);
    }),
    { numRuns: 60 },
  );
  expect(a.plane.totals().out.drops).toEqual(tooBig === 0 ? {} : { "too-big": tooBig });
});

test("the packets of the model are what a host accepts", () => {
  const { packet, shape } = superPacket(bulk(100, 0));
  const whole = packet.slice();
  finishPacket(whole, shape);
  expect(cutSlowly(packet, bulk(100, 65536), shape)).toEqual([whole]);
});

test.each([
  ["a packet that the kernel has no header for, and drops, is counted", -ERRNO.EINVAL, { "unsup-offload": 1 }],
  ["memory that the kernel lacked for a moment costs nothing", -ERRNO.ENOMEM, {}],
  ["nor does a signal", -ERRNO.EINTR, {}],
])("%s, and the queue is read on", async (_, result, drops) => {
  const { a, from, delivered, carry } = await connected();
  const expected = send(from, bulk(10_000));
  carry();
  const read = vi.spyOn(IoVectors.prototype, "read").mockReturnValueOnce(result);
  expected.push(...send(from, bulk(20_000)), ...send(from, bulk(5_000)));
  carry();
  expect(read.mock.results[0]?.value).toBe(result);
  read.mockRestore();
  expectPackets(delivered[0]!, expected);
  expect(a.plane.totals().out.drops).toEqual(drops);
});
