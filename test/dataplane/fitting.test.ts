/** Packets that are larger than their SA's path takes, and padded ones, through whole planes: from TUN to TUN over loopback. */
import { expect, test } from "vitest";
import { ANY_SIZE, Oversize, type SaSize } from "../../src/ipsec/sad.ts";
import { parseSelector } from "../../src/ipsec/selector.ts";
import { isChecksummed } from "../support/internet-checksum.ts";
import { type Ipv4Header, ipv4PacketOf } from "../support/ip-headers.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { installPair, MemorySite, type PairOptions, settle } from "../support/memory-sites.ts";
import { reassemble } from "../support/reassembly.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const start = (address: string): Promise<MemorySite> => MemorySite.start(address);

const connected = async (size: Partial<SaSize>, options: PairOptions & { vnetHdr?: boolean } = {}) => {
  const { vnetHdr = false } = options;
  const a = await start("127.0.0.2");
  const b = await start("127.0.0.3");
  const tunnelA = a.addTunnel(undefined, { vnetHdr });
  const tunnelB = b.addTunnel();
  const { spiA, spiB } = installPair([a, tunnelA.id], [b, tunnelB.id], options);
  a.plane.setSize(spiA, { ...ANY_SIZE, ...size });
  a.plane.use(spiA);
  b.plane.use(spiB);
  return { a, b, spiA, spiB, tunA: tunnelA.tun, tunB: tunnelB.tun };
};

const v4 = (length: number, header: Ipv4Header = {}): Uint8Array =>
  ipv4PacketOf(
    { source: "10.1.0.1", destination: "10.2.0.1", ...header },
    Uint8Array.from({ length: length - 20 }, (_, i) => (i * 167) >> 3),
  );
const df = (length: number): Uint8Array => v4(length, { dontFragment: true });
const lengths = (packets: readonly Uint8Array[]): number[] => packets.map(({ length }) => length);
const number = (octets: Uint8Array, at: number): number => octets[at]! * 256 + octets[at + 1]!;

test("1500 octets on a path that takes 1400 arrive as 1396 and 124, between the packets before and after", async () => {
  const { a, b, spiA, spiB, tunA, tunB } = await connected({ mtu: 1400 });
  for (const packet of [v4(100), v4(1500, { id: 7 }), df(1400), v4(200)]) tunA.inject(packet);
  settle(a, b);
  const delivered = tunB.delivered();
  expect(lengths(delivered)).toEqual([100, 1396, 124, 1400, 200]);
  expect(number(delivered[2]!, 6)).toBe(172); // of 8 octets each
  expect(reassemble(delivered.slice(1, 3))?.payload).toEqual(v4(1500).slice(20));
  expect(a.plane.counters(spiA)).toMatchObject({ packetsOut: 4, bytesOut: 3200, seqOut: 5, drops: {} });
  expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: 5, bytesIn: 3220, drops: {} });
  expect(a.plane.totals().out).toEqual({ packets: 4, bytes: 3200, drops: {} });
});

test.each([false, true])("who forbids fragments is told, virtio header %s", async (vnetHdr) => {
  const { a, b, spiA, tunA, tunB } = await connected({ mtu: 1342 }, { vnetHdr });
  const header = vnetHdr ? new Uint8Array(10) : new Uint8Array(0);
  const framed = (packet: Uint8Array): Uint8Array => Uint8Array.from([...header, ...packet]);
  for (const packet of [df(1343), ipPacket({ version: 6, length: 1343 })]) tunA.inject(framed(packet));
  settle(a, b);
  expect(tunB.delivered()).toEqual([]);
  const answers = tunA.delivered();
  expect(answers.map((answer) => [...answer.subarray(0, header.length)])).toEqual([[...header], [...header]]);
  const [icmp, icmpv6] = answers.map((answer) => answer.subarray(header.length));
  expect([icmp![20], icmp![21], number(icmp!, 26)]).toEqual([3, 4, 1342]);
  expect([...icmp!.subarray(12, 20)]).toEqual([10, 2, 0, 1, 10, 1, 0, 1]);
  expect(isChecksummed(icmp!.subarray(20))).toBe(true);
  expect([icmpv6![40], icmpv6![41], number(icmpv6!, 46)]).toEqual([2, 0, 1342]);
  expect(a.plane.counters(spiA)).toMatchObject({ packetsOut: 0, seqOut: 0, drops: { "mtu-exceeded": 2 } });
});

test("answers are few, however many ask for them; every packet is counted", async () => {
  const { a, tunA, spiA } = await connected({ mtu: 1000 });
  for (let i = 0; i < 200; i++) tunA.inject(df(1001));
  settle(a);
  expect(tunA.delivered().length).toBeLessThan(80);
  expect(a.plane.counters(spiA)?.drops).toEqual({ "mtu-exceeded": 200 });
});

test("nobody is told of an ICMP error that is too big", async () => {
  const { a, tunA } = await connected({ mtu: 500 });
  const error = v4(600, { dontFragment: true, protocol: 1 });
  error.set([3, 4], 20);
  tunA.inject(error);
  settle(a);
  expect(tunA.delivered()).toEqual([]);
});

test("IPv6 packets of up to 1280 octets are sealed whole, however small the path; longer ones are told 1280", async () => {
  const { a, b, tunA, tunB } = await connected({ mtu: 1198 });
  tunA.inject(ipPacket({ version: 6, length: 1280 }));
  tunA.inject(ipPacket({ version: 6, length: 1281 }));
  settle(a, b);
  expect(lengths(tunB.delivered())).toEqual([1280]);
  expect(tunA.delivered().map((answer) => number(answer, 46))).toEqual([1280]);
});

test("what is fragmented after it was sealed passes whole, with DF too", async () => {
  const { a, b, tunA, tunB } = await connected({ mtu: 1000, oversize: Oversize.AFTER });
  for (const packet of [v4(1500), df(1500), ipPacket({ version: 6, length: 1500 })]) tunA.inject(packet);
  settle(a, b);
  expect(lengths(tunB.delivered())).toEqual([1500, 1500, 1500]);
});

test("where the outer DF is cleared an IPv4 packet with DF passes whole, and one without is fragmented before", async () => {
  const { a, b, tunA, tunB } = await connected({ mtu: 1000, oversize: Oversize.AFTER_DF });
  for (const packet of [df(1500), v4(1500), ipPacket({ version: 6, length: 1500 })]) tunA.inject(packet);
  settle(a, b);
  expect(lengths(tunB.delivered())).toEqual([1500, 996, 524]);
  expect(tunA.delivered()).toHaveLength(1);
});

test("selectors with ports do not let later fragments pass: then a packet is sealed whole", async () => {
  const ports = { local: [parseSelector("10.1.0.0/16[udp/1000]")!], remote: [parseSelector("10.2.0.0/16[udp/2000]")!] };
  const { a, b, spiA, tunA, tunB } = await connected({ mtu: 1000 }, ports);
  const fits = ipPacket({ version: 4, length: 1000 });
  const tooBig = ipPacket({ version: 4, length: 1500 });
  const other = ipPacket({ version: 4, length: 1500, destinationPort: 2001 });
  for (const packet of [fits, tooBig, other]) tunA.inject(packet);
  settle(a, b);
  expect(lengths(tunB.delivered())).toEqual([1000, 1500]);
  expect(a.plane.counters(spiA)).toMatchObject({ packetsOut: 2, drops: { policy: 1 } });
});

test.each([256, 0x10000])("packets padded to a multiple of %i arrive as they were", async (tfc) => {
  const { a, b, spiB, tunA, tunB } = await connected({ mtu: 1400, tfc });
  const packets = [v4(28), v4(256), v4(1399), ipPacket({ version: 6, length: 48 }), v4(1400)];
  for (const packet of packets) tunA.inject(packet);
  settle(a, b);
  expect(tunB.delivered()).toEqual(packets);
  expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: 5, bytesIn: 28 + 256 + 1399 + 48 + 1400, drops: {} });
});

test("any mix of sizes, more than a batch holds: all arrive in order, or are counted as told", async () => {
  const random = new SeededRandom(7);
  for (const size of [{ mtu: 576 }, { mtu: 1400 }, { mtu: 9000 }, { mtu: 1400, tfc: 512 }]) {
    const { a, b, spiA, tunA, tunB } = await connected(size);
    const expected: Uint8Array[] = [];
    let told = 0;
    for (let i = 0; i < 400; i++) {
      const isDf = random.chance(0.3);
      const packet = v4(60 + random.integer(random.chance(0.2) ? 9000 : 1500), { dontFragment: isDf, id: i });
      if (isDf && packet.length > size.mtu) told++;
      else expected.push(packet);
      tunA.inject(packet);
      if (i % 100 === 99) settle(a, b);
    }
    const delivered = tunB.delivered();
    const whole: Uint8Array[] = [];
    for (let from = 0; from < delivered.length; ) {
      const id = number(delivered[from]!, 4);
      let to = from;
      while (to < delivered.length && number(delivered[to]!, 4) === id) to++;
      const pieces = delivered.slice(from, to);
      for (const piece of pieces) expect(piece.length).toBeLessThanOrEqual(size.mtu);
      whole.push(reassemble(pieces)!.payload);
      from = to;
    }
    expect(whole.map((payload) => payload.length)).toEqual(expected.map(({ length }) => length - 20));
    expect(whole.every((payload, i) => Buffer.compare(payload, expected[i]!.subarray(20)) === 0)).toBe(true);
    expect(a.plane.counters(spiA)?.packetsOut).toBe(expected.length);
    expect(a.plane.totals().out.drops["mtu-exceeded"] ?? 0).toBe(told);
    await MemorySite.stopAll();
  }
});
