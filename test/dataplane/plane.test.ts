/** Whole planes: packets from TUN to TUN over real sockets, SAs that come, move and go, and counters that add up. */
import { createSocket } from "node:dgram";
import { expect, test } from "vitest";
import type { EngineName } from "../../src/crypto/engine.ts";
import { suitesDoneBy } from "../../src/crypto/select-engine.ts";
import { SUITES } from "../../src/crypto/suites.ts";
import type { TunnelCounters } from "../../src/dataplane/plane.ts";
import { EspalierError } from "../../src/errors.ts";
import { parseSelector } from "../../src/ipsec/selector-text.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { installPair, MemorySite, settle } from "../support/memory-sites.ts";

const start = async (address: string, options: Parameters<typeof MemorySite.start>[1] = {}): Promise<MemorySite> => {
  return MemorySite.start(address, options);
};

/** Two sites with a tunnel and a pair of SAs in use at both ends. */
const connected = async (
  options: Parameters<typeof installPair>[2] & { raw?: boolean; v6?: boolean; engine?: EngineName } = {},
) => {
  const { raw = false, engine = "node" } = options;
  const a = await start(options.v6 ? "::1" : "127.0.0.2", { raw, engine });
  const b = await start(options.v6 ? "::1" : "127.0.0.3", { raw, engine });
  const tunnelA = a.addTunnel();
  const tunnelB = b.addTunnel();
  const pair = installPair([a, tunnelA.id], [b, tunnelB.id], options);
  a.plane.use(pair.spiA);
  b.plane.use(pair.spiB);
  return { a, b, tunnelA, tunnelB, ...pair };
};

const PACKETS = [
  ...[28, 64, 576, 1400].map((length) => ipPacket({ version: 4, length })),
  ...[48, 64, 1280, 1400].map((length) => ipPacket({ version: 6, length })),
];
const octets = (packets: readonly Uint8Array[]): number => packets.reduce((sum, { length }) => sum + length, 0);

const judged = ({ in: inbound, out }: TunnelCounters): number =>
  [inbound, out].reduce(
    (sum, { packets, drops }) => Object.values(drops).reduce((all, count) => all + count, sum + packets),
    0,
  );

const isRoot = process.getuid?.() === 0;

test.each([
  { over: "UDP and IPv4", options: {} },
  { over: "UDP and IPv6", options: { v6: true } },
  { over: "UDP, extended sequence numbers", options: { esn: true } },
])("packets of both families cross over $over, both ways, unchanged", async ({ options }) => {
  const { a, b, tunnelA, tunnelB, spiA, spiB } = await connected(options);
  for (const packet of PACKETS) tunnelA.tun.inject(packet);
  settle(a, b);
  expect(tunnelB.tun.delivered()).toEqual(PACKETS);
  for (const packet of PACKETS) tunnelB.tun.inject(packet);
  settle(a, b);
  expect(tunnelA.tun.delivered()).toEqual(PACKETS);
  const [packets, bytes] = [PACKETS.length, octets(PACKETS)];
  for (const counters of [a.plane.counters(spiA), b.plane.counters(spiB)])
    expect(counters).toEqual({
      packetsIn: packets,
      bytesIn: bytes,
      packetsOut: packets,
      bytesOut: bytes,
      drops: {},
      seqOut: packets,
      seqIn: packets,
    });
});

test("over interfaces whose packets begin with a virtio header too", async () => {
  const a = await start("127.0.0.2");
  const b = await start("127.0.0.3");
  const tunnelA = a.addTunnel(undefined, { vnetHdr: true });
  const tunnelB = b.addTunnel(undefined, { vnetHdr: true });
  const { spiA, spiB } = installPair([a, tunnelA.id], [b, tunnelB.id]);
  a.plane.use(spiA);
  b.plane.use(spiB);
  const framed = (packet: Uint8Array) => Uint8Array.from([...new Uint8Array(10), ...packet]);
  for (const packet of PACKETS) tunnelA.tun.inject(framed(packet));
  tunnelA.tun.inject(new Uint8Array(7)); // no whole header
  settle(a, b);
  expect(tunnelB.tun.delivered()).toEqual(PACKETS.map(framed));
  expect(a.plane.totals().out).toEqual({
    packets: PACKETS.length,
    bytes: octets(PACKETS),
    drops: { "bad-inner": 1 },
  });
});

for (const family of [4, 6] as const)
  test.skipIf(!isRoot)(`packets cross as IP protocol 50 over IPv${family} (needs root)`, async () => {
    const { a, b, tunnelA, tunnelB, spiB } = await connected({ encap: false, raw: true, v6: family === 6 });
    for (const packet of PACKETS) tunnelA.tun.inject(packet);
    settle(a, b);
    expect(tunnelB.tun.delivered()).toEqual(PACKETS);
    expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: PACKETS.length, drops: {} });
  });

test.for(SUITES.map((suite) => ({ name: suite.name, suite })))("$name carries packets", async ({ suite }, context) => {
  const engine = (["node", "noble", "ipsec-mb"] as const).find((name) => suitesDoneBy(name).includes(suite));
  if (engine === undefined) return context.skip(`no engine here does ${suite.name}`);
  const { a, b, tunnelA, tunnelB } = await connected({ suite, engine });
  for (const packet of PACKETS) tunnelA.tun.inject(packet);
  settle(a, b);
  expect(tunnelB.tun.delivered()).toEqual(PACKETS);
});

test("each of three workers carries its own tunnel, told apart by SPI", async () => {
  const a = await start("127.0.0.2", { workers: 3 });
  const b = await start("127.0.0.3", { workers: 3 });
  const tunnels = [0, 1, 2].map((worker) => {
    const atA = a.addTunnel(worker);
    const atB = b.addTunnel(2 - worker);
    const { spiA, spiB } = installPair([a, atA.id], [b, atB.id]);
    a.plane.use(spiA);
    b.plane.use(spiB);
    return { atA, atB, packet: ipPacket({ version: 4, source: `10.0.0.${worker}` }) };
  });
  for (const { atA, packet } of tunnels) for (let i = 0; i < 70; i++) atA.tun.inject(packet);
  settle(a, b);
  for (const { atB, packet } of tunnels) expect(atB.tun.delivered()).toEqual(new Array(70).fill(packet));
  expect(a.plane.workerStats().map(({ out }) => out.packets)).toEqual([70, 70, 70]);
  expect(b.plane.workerStats().map(({ in: inbound }) => inbound.packets)).toEqual([70, 70, 70]);
  expect(b.plane.totals().in).toMatchObject({ packets: 210, drops: {} });
});

test("without an SA in use nothing leaves, and it is counted with the tunnel", async () => {
  const a = await start("127.0.0.2");
  const b = await start("127.0.0.3");
  const [tunnelA, tunnelB] = [a.addTunnel(), b.addTunnel()];
  tunnelA.tun.inject(PACKETS[0]!);
  settle(a, b);
  const { spiA } = installPair([a, tunnelA.id], [b, tunnelB.id]);
  tunnelA.tun.inject(PACKETS[1]!); // installed, not in use
  settle(a, b);
  a.plane.use(spiA);
  tunnelA.tun.inject(PACKETS[2]!);
  settle(a, b);
  a.plane.remove(spiA);
  tunnelA.tun.inject(PACKETS[3]!);
  settle(a, b);
  expect(tunnelB.tun.delivered()).toEqual([PACKETS[2]]);
  expect(a.plane.tunnelCounters(tunnelA.id).out).toEqual({
    packets: 1,
    bytes: PACKETS[2]!.length,
    drops: { "no-sa": 3 },
  });
  expect(b.plane.totals().in.packets).toBe(1);
});

test("an SA without a socket on its local address sends nothing", async () => {
  const { a, b, tunnelA } = await connected({ encap: false });
  tunnelA.tun.inject(PACKETS[0]!);
  settle(a, b);
  expect(a.plane.totals().out).toEqual({ packets: 0, bytes: 0, drops: { "no-socket": 1 } });
});

test("selectors are held at both ends", async () => {
  const [local, remote] = [[parseSelector("10.1.0.0/16")!], [parseSelector("10.2.0.0/16")!]];
  const { a, b, tunnelA, tunnelB, spiA } = await connected({ local, remote });
  const inside = ipPacket({ version: 4 });
  tunnelA.tun.inject(inside);
  tunnelA.tun.inject(ipPacket({ version: 4, source: "10.3.0.1" }));
  tunnelA.tun.inject(ipPacket({ version: 6 }));
  settle(a, b);
  expect(tunnelB.tun.delivered()).toEqual([inside]);
  expect(a.plane.counters(spiA)!.drops).toEqual({ policy: 2 });
});

test("rekeying loses no packet and no count", async () => {
  const { a, b, tunnelA, tunnelB, spiA, spiB } = await connected();
  const sent: Uint8Array[] = [];
  const send = (count: number): void => {
    for (let i = 0; i < count; i++) {
      const packet = ipPacket({ version: 4, sourcePort: sent.length });
      sent.push(packet);
      tunnelA.tun.inject(packet);
    }
  };
  send(5);
  settle(a, b);
  const next = installPair([a, tunnelA.id], [b, tunnelB.id]);
  send(5); // still on the old pair
  a.plane.step();
  a.plane.use(next.spiA);
  send(5);
  settle(a, b);
  expect(a.plane.counters(next.spiA)!.packetsOut).toBe(5);
  a.plane.remove(spiA);
  b.plane.use(next.spiB);
  b.plane.remove(spiB);
  send(5);
  settle(a, b);
  expect(tunnelB.tun.delivered()).toEqual(sent);
  expect(a.plane.counters(spiA)).toBeUndefined();
  const whole = { packets: 20, bytes: octets(sent), drops: {} };
  expect(a.plane.tunnelCounters(tunnelA.id).out).toEqual(whole);
  a.plane.poll(); // the old slot is settled now
  expect(a.plane.tunnelCounters(tunnelA.id).out).toEqual(whole);
  expect(a.plane.totals().out).toEqual(whole);
});

test("when the pair in use goes, the tunnel goes on with the one installed last", async () => {
  const { a, b, tunnelA, tunnelB, spiA } = await connected();
  installPair([a, tunnelA.id], [b, tunnelB.id]);
  const newest = installPair([a, tunnelA.id], [b, tunnelB.id]);
  a.plane.remove(spiA);
  tunnelA.tun.inject(PACKETS[0]!);
  settle(a, b);
  expect(tunnelB.tun.delivered()).toEqual([PACKETS[0]]);
  expect(a.plane.counters(newest.spiA)!.packetsOut).toBe(1);
});

test("the first authentic packet of an SA is told once", async () => {
  const { a, b, tunnelA, spiB } = await connected();
  expect(b.plane.poll()).toEqual([]);
  for (let i = 0; i < 3; i++) {
    tunnelA.tun.inject(PACKETS[0]!);
    settle(a, b);
    expect(b.plane.poll()).toEqual(i === 0 ? [{ kind: "first-packet", spiIn: spiB }] : []);
  }
});

test("a peer that appears elsewhere is told, and moving the SA sends there", async () => {
  const { a, b, tunnelA, tunnelB, spiA, spiB } = await connected();
  tunnelA.tun.inject(PACKETS[0]!);
  settle(a, b);
  b.plane.poll();
  const elsewhere = { local: { address: b.address, port: b.udp.port }, remote: { address: "127.0.0.9", port: 7 } };
  b.plane.move(spiB, elsewhere); // as if A had been behind another address before
  tunnelA.tun.inject(PACKETS[1]!);
  settle(a, b);
  const remote = { address: a.address, port: a.udp.port };
  expect(b.plane.poll()).toEqual([{ kind: "peer-moved", spiIn: spiB, remote }]);
  b.plane.move(spiB, { ...elsewhere, remote });
  tunnelA.tun.inject(PACKETS[2]!);
  tunnelB.tun.inject(PACKETS[3]!);
  settle(a, b);
  expect(b.plane.poll()).toEqual([]);
  expect(tunnelA.tun.delivered()).toEqual([PACKETS[3]]);
  expect(a.plane.counters(spiA)!.packetsIn).toBe(1);
});

test("what the interface does not take is counted, and every packet is counted once", async () => {
  const { a, b, tunnelA, tunnelB, spiB } = await connected();
  const packet = ipPacket({ version: 4, length: 9000 });
  let sent = 0;
  while (b.plane.totals().in.drops["tun-error"] === undefined) {
    tunnelA.tun.inject(packet);
    sent++;
    settle(a, b);
  }
  expect(b.plane.poll()).toContainEqual({ kind: "tun-refused", tunnel: tunnelB.id, errno: "EAGAIN" });
  const delivered = tunnelB.tun.delivered().length;
  expect(b.plane.totals().in).toEqual({ packets: delivered, bytes: delivered * 9000, drops: { "tun-error": 1 } });
  expect(judged(b.plane.totals())).toBe(sent);
  expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: delivered, drops: { "tun-error": 1 } });
});

test("amid junk what was sent arrives, and sums over SAs, tunnels and workers agree", async () => {
  const { a, b, tunnelA, tunnelB, spiA, spiB } = await connected();
  const [local, remote] = [[parseSelector("10.1.0.0/16")!], [parseSelector("10.2.0.0/16")!]];
  const second = [a.addTunnel(), b.addTunnel()] as const;
  const narrow = installPair([a, second[0].id], [b, second[1].id], { local, remote });
  a.plane.use(narrow.spiA);
  const attacker = createSocket("udp4");
  const junk = (first: number) =>
    Uint8Array.of(first >>> 24, first >>> 16, first >>> 8, first, 9, 0, 0, 1, ...new Array(60).fill(7));
  const datagrams = [junk(0x7777_0000), junk(spiB), junk(spiB).subarray(0, 20), junk(narrow.spiB), junk(0x4000)];
  for (let round = 0; round < 20; round++) {
    tunnelA.tun.inject(ipPacket({ version: 4, length: 100 + round }));
    second[0].tun.inject(ipPacket({ version: 4 }));
    second[0].tun.inject(ipPacket({ version: 6 }));
    for (const datagram of datagrams) await new Promise((sent) => attacker.send(datagram, b.udp.port, b.address, sent));
    settle(a, b);
  }
  attacker.close();
  expect([tunnelB, second[1]].map(({ tun }) => tun.delivered().length)).toEqual([20, 20]);
  const { in: received } = b.plane.totals();
  expect(judged(b.plane.totals())).toBe(20 * (2 + datagrams.length));
  expect(received.drops).toEqual({ "no-sa": 40, "integ-error": 40, runt: 20 });
  const [one, two] = [tunnelB, second[1]].map(({ id }) => b.plane.tunnelCounters(id).in);
  expect(one!.packets + two!.packets).toBe(received.packets);
  expect(one!.bytes + two!.bytes).toBe(received.bytes);
  expect([one!.drops, two!.drops]).toEqual([{ "integ-error": 20, runt: 20 }, { "integ-error": 20 }]);
  const { out: sent } = a.plane.totals();
  const outs = [tunnelA, second[0]].map(({ id }) => a.plane.tunnelCounters(id).out);
  expect(outs.map(({ packets }) => packets)).toEqual([20, 20]);
  expect(sent).toMatchObject({ packets: 40, drops: { policy: 20 } });
  expect(b.plane.poll().map(({ kind }) => kind)).toEqual(["first-packet", "first-packet", "unknown-spi"]);
  expect(a.plane.counters(spiA)!.packetsOut).toBe(20);
});

test("a packet longer than a buffer is counted and does not hold up the next", async () => {
  const { a, b, tunnelA, tunnelB } = await connected();
  tunnelA.tun.inject(ipPacket({ version: 4, length: 20_000 }));
  tunnelA.tun.inject(PACKETS[0]!);
  settle(a, b);
  expect(tunnelB.tun.delivered()).toEqual([PACKETS[0]]);
  expect(a.plane.totals().out).toMatchObject({ packets: 1, drops: { "too-big": 1 } });
});

test("a removed tunnel is read no more, and its slots are free again", async () => {
  const { a, b, tunnelA, tunnelB } = await connected();
  for (let round = 0; round < 10; round++) {
    const { id, tun } = a.addTunnel();
    const spis = Array.from({ length: 63 }, () => a.plane.reserveSpi(id));
    expect(spis.includes(0)).toBe(false);
    expect(a.plane.reserveSpi(id)).toBe(0); // 64 slots: one is the other tunnel's
    await a.plane.removeTunnel(id);
    tun.inject(PACKETS[0]!);
    settle(a, b);
    expect(() => a.plane.reserveSpi(id)).toThrow(/no tunnel/);
  }
  expect(a.plane.totals().out.packets).toBe(0);
  tunnelA.tun.inject(PACKETS[0]!);
  settle(a, b);
  expect(tunnelB.tun.delivered()).toEqual([PACKETS[0]]);
});

test("a slot is not used again before its worker has begun another round", async () => {
  const { a, b, tunnelA, tunnelB } = await connected();
  const reserved = Array.from({ length: 63 }, () => a.plane.reserveSpi(tunnelA.id));
  const [one] = reserved;
  expect(a.plane.reserveSpi(tunnelA.id)).toBe(0);
  a.plane.releaseSpi(one!); // never installed: free at once
  const { spiA } = installPair([a, tunnelA.id], [b, tunnelB.id]);
  a.plane.remove(spiA);
  expect(a.plane.reserveSpi(tunnelA.id)).toBe(0);
  a.plane.step();
  const again = a.plane.reserveSpi(tunnelA.id);
  expect(again & 63).toBe(spiA & 63);
});

test("SPIs name their slot and worker, and are no small numbers", async () => {
  const a = await start("127.0.0.2", { workers: 3, slots: 64 });
  const tunnel = a.addTunnel(1);
  const spis = Array.from({ length: 21 }, () => a.plane.reserveSpi(tunnel.id));
  expect(spis.every((spi) => spi >= 256 && (spi & 63) % 3 === 1)).toBe(true);
  expect(new Set(spis.map((spi) => spi & 63)).size).toBe(21);
});

test.each<[string, (plane: MemorySite["plane"]) => unknown]>([
  ["a tunnel on a worker that is not there", (plane) => plane.addTunnel({ tunFds: [0], worker: 5 })],
  ["an SPI of no tunnel", (plane) => plane.reserveSpi(9)],
  ["use of an SA that is not there", (plane) => plane.use(0x1234)],
  ["removal of an SA that is not there", (plane) => plane.remove(0x1234)],
  ["sockets of an address twice", (plane) => plane.addSockets({ address: "127.0.0.2", udp: [], raw: [] })],
  ["two sockets for one worker", (plane) => plane.addSockets({ address: "127.0.0.4", udp: [3, 4], raw: [] })],
])("refuses %s", async (_, act) => {
  const { plane } = await start("127.0.0.2");
  expect(() => act(plane)).toThrow(EspalierError);
});

test("an SA of an SPI that was not reserved, or with a short key, is refused and changes nothing", async () => {
  const { a, b, tunnelA, tunnelB } = await connected();
  const other = a.addTunnel();
  const spiIn = a.plane.reserveSpi(other.id);
  const child = {
    spiIn,
    spiOut: 0x1000,
    suite: SUITES[0]!,
    esn: false,
    keyIn: new Uint8Array(SUITES[0]!.keyLength),
    keyOut: new Uint8Array(SUITES[0]!.keyLength),
    local: [],
    remote: [],
    path: { local: { address: a.address, port: 1 }, remote: { address: b.address, port: 1 } },
    encap: true,
  };
  for (const wrong of [
    { ...child, spiIn: spiIn ^ 0x8000_0000 },
    { ...child, keyIn: new Uint8Array(3) },
    { ...child, spiOut: 3 },
    { ...child, replayWindow: 10 },
  ])
    expect(() => a.plane.install(other.id, wrong)).toThrow(EspalierError);
  expect(() => a.plane.install(tunnelA.id, child)).toThrow(/not reserved for this tunnel/);
  a.plane.install(other.id, child);
  tunnelA.tun.inject(PACKETS[0]!);
  settle(a, b);
  expect(tunnelB.tun.delivered()).toEqual([PACKETS[0]]);
});

test("an SPI of the caller's choice has the slot and the worker that its low bits name, once", async () => {
  const a = await start("127.0.0.2", { workers: 2 });
  const b = await start("127.0.0.3");
  const tunnelA = a.addTunnel(0);
  const tunnelB = b.addTunnel();
  expect(a.plane.claimSpi(tunnelA.id, 0x1003)).toBe(true);
  expect(a.plane.workerOf(0x1003)).toBe(1);
  expect(a.plane.claimSpi(tunnelA.id, 0x2003)).toBe(false); // 64 slots: the low 6 bits
  expect(b.plane.claimSpi(tunnelB.id, 0x1003)).toBe(true);
  expect(() => a.plane.claimSpi(tunnelA.id, 255)).toThrow(EspalierError);
  const others = Array.from({ length: 31 }, () => a.plane.reserveSpi(tunnelA.id, 1));
  expect(others.every((spi) => spi !== 0 && (spi & 63) !== 3)).toBe(true);
  expect(a.plane.reserveSpi(tunnelA.id, 1)).toBe(0);
  a.plane.releaseSpi(0x1003);
  expect(a.plane.claimSpi(tunnelA.id, 0x2003)).toBe(true);
});

test("what the caller's socket got and no worker could take is counted too", async () => {
  const { a, b, spiB } = await connected();
  const remote = { address: a.address, port: a.udp.port };
  b.plane.deliver(new Uint8Array(7), remote);
  const forged = new Uint8Array(1400);
  new DataView(forged.buffer).setUint32(0, spiB);
  forged[7] = 1; // sequence number
  const sent = 20_000; // more than the ring to a worker that does not run holds
  for (let i = 0; i < sent; i++) b.plane.deliver(forged, remote);
  settle(b);
  const { runt = 0, "handoff-full": full = 0, "integ-error": judged = 0 } = b.plane.totals().in.drops;
  expect([runt, full + judged]).toEqual([1, sent]);
  expect(full).toBeGreaterThan(0);
});
