/** One tunnel over several workers: a pair each, the fallback of those without one, and packets that reached the wrong one. */
import { afterEach, expect, test, vi } from "vitest";
import { EspSession } from "../../src/dataplane/esp-session.ts";
import { HandoffIntake } from "../../src/dataplane/handoff-intake.ts";
import type { TunnelCounters } from "../../src/dataplane/plane.ts";
import * as libc from "../../src/linux/libc.ts";
import { Memory } from "../../src/linux/memory.ts";
import { MsgBatch } from "../../src/linux/msg-batch.ts";
import { AF_INET } from "../../src/linux/sockaddr.ts";
import {
  bindTo,
  boundEndpoint,
  getOption,
  openSocket,
  SOCK_DGRAM,
  SOL_UDP,
  UDP_SEGMENT,
} from "../../src/linux/socket.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { installPair, MemorySite, type MemoryTunnel, settle } from "../support/memory-sites.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

const WORKERS = 3;
const UDP_GRO = 104;

/** Two sites of three workers with one tunnel; `resources` have pairs in use at both ends. */
const connected = async (resources: readonly number[]) => {
  const [a, b] = [
    await MemorySite.start("127.0.0.2", { workers: WORKERS, slots: 256 }),
    await MemorySite.start("127.0.0.3", { workers: WORKERS, slots: 256 }),
  ];
  const tunnelA = a.addTunnel(1, { queues: WORKERS });
  const tunnelB = b.addTunnel(2, { queues: WORKERS });
  const pairs = resources.map((resource) => {
    const pair = installPair([a, tunnelA.id], [b, tunnelB.id], { resource });
    a.plane.use(pair.spiA);
    b.plane.use(pair.spiB);
    return pair;
  });
  return { a, b, tunnelA, tunnelB, pairs };
};

/** Packets whose source port tells their number. */
const numbered = (count: number, from = 0): Uint8Array[] =>
  Array.from({ length: count }, (_, i) =>
    ipPacket({ version: 4, sourcePort: 1000 + from + i, length: 60 + (i % 900) }),
  );

const inject = (tunnel: MemoryTunnel, queue: number, packets: readonly Uint8Array[]): void => {
  for (const packet of packets) tunnel.tuns[queue]!.inject(packet);
};
const delivered = (tunnel: MemoryTunnel): Uint8Array[][] => tunnel.tuns.map((tun) => tun.delivered());

const judged = ({ in: inbound, out }: TunnelCounters): number =>
  [inbound, out].reduce(
    (sum, { packets, drops }) => Object.values(drops).reduce((all, count) => all + count, sum + packets),
    0,
  );
const sentBy = (site: MemorySite) => site.plane.workerStats().map(({ out }) => out.packets);
const receivedBy = (site: MemorySite) => site.plane.workerStats().map(({ in: inbound }) => inbound.packets);

test("the resources of a tunnel have a worker each, from its home on", async () => {
  const { a, tunnelA } = await connected([]);
  const spis = [0, 1, 2, 3, 7].map((resource) => a.plane.reserveSpi(tunnelA.id, resource));
  expect(spis.map((spi) => a.plane.workerOf(spi))).toEqual([1, 2, 0, 1, 2]);
  expect(() => a.plane.reserveSpi(tunnelA.id, -1)).toThrow(/resource/);
});

test("each worker sends what it reads on its own pair, and what comes back is its own too", async () => {
  const { a, b, tunnelA, tunnelB, pairs } = await connected([0, 1, 2]);
  const packets = [0, 1, 2].map((queue) => numbered(100, queue * 100));
  packets.forEach((some, queue) => {
    inject(tunnelA, queue, some);
  });
  settle(a, b);
  expect(sentBy(a)).toEqual([100, 100, 100]);
  expect(receivedBy(b)).toEqual([100, 100, 100]);
  // Resource r is worker 1 + r here and worker 2 + r there.
  expect(delivered(tunnelB)).toEqual([packets[2], packets[0], packets[1]]);
  for (const { spiA, spiB } of pairs) {
    expect(a.plane.counters(spiA)).toMatchObject({ packetsOut: 100, drops: {} });
    expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: 100, drops: {} });
  }
  expect(a.plane.tunnelCounters(tunnelA.id).out).toMatchObject({ packets: 300, drops: {} });
});

test("with a single pair its worker sends what all others read: nothing is lost, and each is counted once", async () => {
  const { a, b, tunnelA, tunnelB } = await connected([0]);
  const packets = [0, 1, 2].map((queue) => numbered(200, queue * 200));
  packets.forEach((some, queue) => {
    inject(tunnelA, queue, some);
  });
  settle(a, b);
  expect(sentBy(a)).toEqual([0, 600, 0]);
  const arrived = delivered(tunnelB).flat();
  expect(arrived).toHaveLength(600);
  const sources = packets.flat().map((packet) => Buffer.from(packet).toString("hex"));
  const found = arrived.map((packet) => Buffer.from(packet).toString("hex"));
  for (let queue = 0; queue < WORKERS; queue++) {
    const own = sources.slice(queue * 200, queue * 200 + 200);
    expect(found.filter((packet) => own.includes(packet))).toEqual(own); // whole, and in their order
  }
  expect(a.plane.totals().out).toMatchObject({ packets: 600, drops: {} });
  expect(a.plane.tunnelCounters(tunnelA.id).out).toMatchObject({ packets: 600, drops: {} });
});

test("when pairs go, the lowest resource left is the fallback; without any nothing leaves", async () => {
  const { a, b, tunnelA, tunnelB, pairs } = await connected([0, 1, 2]);
  const send = (): number[] => {
    const before = sentBy(a);
    for (let queue = 0; queue < WORKERS; queue++) inject(tunnelA, queue, numbered(10));
    settle(a, b);
    return sentBy(a).map((count, worker) => count - before[worker]!);
  };
  expect(send()).toEqual([10, 10, 10]);
  a.plane.remove(pairs[0]!.spiA); // of worker 1
  expect(send()).toEqual([10, 0, 20]);
  a.plane.remove(pairs[1]!.spiA);
  expect(send()).toEqual([30, 0, 0]);
  a.plane.remove(pairs[2]!.spiA);
  expect(send()).toEqual([0, 0, 0]);
  const again = installPair([a, tunnelA.id], [b, tunnelB.id], { resource: 1 });
  a.plane.use(again.spiA);
  expect(send()).toEqual([0, 0, 30]);
  a.plane.poll();
  expect(a.plane.tunnelCounters(tunnelA.id).out).toMatchObject({ packets: 120, drops: { "no-sa": 30 } });
  expect(a.plane.totals().out).toMatchObject({ packets: 120, drops: { "no-sa": 30 } });
  expect(delivered(tunnelB).flat()).toHaveLength(120);
});

test("a pair that is not in use yet carries answers from its first packet on, so that a flow has one pair both ways", async () => {
  const { a, b, tunnelA, tunnelB } = await connected([0]);
  const further = installPair([a, tunnelA.id], [b, tunnelB.id], { resource: 1 });
  a.plane.use(further.spiA); // b, who answered, waits until a has shown that it has the pair
  const queueAt = { a: a.plane.workerOf(further.spiA), b: b.plane.workerOf(further.spiB) };
  inject(tunnelB, queueAt.b, numbered(5)); // by the fallback
  settle(a, b);
  expect(b.plane.counters(further.spiB)).toMatchObject({ packetsIn: 0, packetsOut: 0 });
  inject(tunnelA, queueAt.a, numbered(5));
  for (const site of [a, b]) site.plane.step(); // and control has not yet looked
  inject(tunnelB, queueAt.b, numbered(7));
  settle(a, b);
  expect(b.plane.counters(further.spiB)).toMatchObject({ packetsIn: 5, packetsOut: 7 });
  expect(delivered(tunnelA)[queueAt.a]).toHaveLength(7);
  b.plane.rest(further.spiB); // what rests is sent on no more, whoever found it
  inject(tunnelB, queueAt.b, numbered(9));
  settle(a, b);
  expect(b.plane.counters(further.spiB)).toMatchObject({ packetsOut: 7 });
});

test("rekeying one of several pairs changes only its worker", async () => {
  const { a, b, tunnelA, tunnelB, pairs } = await connected([0, 1, 2]);
  const next = installPair([a, tunnelA.id], [b, tunnelB.id], { resource: 1 });
  a.plane.use(next.spiA);
  for (let queue = 0; queue < WORKERS; queue++) inject(tunnelA, queue, numbered(10));
  settle(a, b);
  const sent = [...pairs, next].map(({ spiA }) => a.plane.counters(spiA)!.packetsOut);
  expect(sent).toEqual([10, 0, 10, 10]);
  a.plane.remove(next.spiA); // back to the pair it had
  for (let queue = 0; queue < WORKERS; queue++) inject(tunnelA, queue, numbered(10));
  settle(a, b);
  expect(pairs.map(({ spiA }) => a.plane.counters(spiA)!.packetsOut)).toEqual([20, 10, 20]);
  expect(delivered(tunnelB).flat()).toHaveLength(60);
});

test("a pair at rest receives and is sent on no more, nor is it any pair's successor", async () => {
  const { a, b, tunnelA, tunnelB, pairs } = await connected([0, 1]);
  a.plane.rest(pairs[1]!.spiA);
  for (let queue = 0; queue < WORKERS; queue++) inject(tunnelA, queue, numbered(10));
  inject(tunnelB, 0, numbered(5)); // on resource 1: worker 2 + 1 there
  settle(a, b);
  expect(pairs.map(({ spiA }) => a.plane.counters(spiA)!.packetsOut)).toEqual([30, 0]);
  expect(a.plane.counters(pairs[1]!.spiA)!.packetsIn).toBe(5);
  expect(delivered(tunnelA).flat()).toHaveLength(5);
  a.plane.remove(pairs[0]!.spiA);
  inject(tunnelA, 0, numbered(10));
  settle(a, b);
  expect(a.plane.tunnelCounters(tunnelA.id).out).toMatchObject({ packets: 30, drops: { "no-sa": 10 } });
  a.plane.remove(pairs[1]!.spiA);
  expect(a.plane.tunnelCounters(tunnelA.id).in.packets).toBe(5);
});

test("what waits in a ring while its pair goes is counted once, and not sent in the clear", async () => {
  const { a, tunnelA, pairs } = await connected([0]);
  const take = vi.spyOn(HandoffIntake.prototype, "take").mockReturnValue(false);
  inject(tunnelA, 0, numbered(20));
  a.plane.step();
  a.plane.step();
  a.plane.remove(pairs[0]!.spiA);
  take.mockRestore();
  settle(a);
  expect(a.plane.totals().out).toEqual({ packets: 0, bytes: 0, drops: { "no-sa": 20 } });
});

test("a ring that is full drops, and says so", async () => {
  const { a, b, tunnelA, tunnelB } = await connected([0]);
  const take = vi.spyOn(HandoffIntake.prototype, "take").mockReturnValue(false);
  const packet = ipPacket({ version: 4, length: 9000 });
  let sent = 0;
  while (a.plane.totals().out.drops["handoff-full"] === undefined) {
    for (let i = 0; i < 16; i++, sent++) tunnelA.tuns[2]!.inject(packet);
    a.plane.step();
  }
  take.mockRestore();
  settle(a, b);
  const { packets, drops } = a.plane.totals().out;
  expect(packets).toBeGreaterThan(100);
  expect(drops).toEqual({ "handoff-full": sent - packets });
  expect(delivered(tunnelB).flat()).toHaveLength(packets);
});

/** Sends trains of ESP packets that another machine's kernel could have merged: of several SAs. */
const trains = (to: MemorySite) => {
  const slab = Memory.allocate(65536);
  const out = new MsgBatch({ slab, capacity: 1, controlRoom: 24 });
  const fd = openSocket("127.0.0.9", SOCK_DGRAM, 0, "test");
  bindTo(fd, { address: "127.0.0.9", port: 0 }, "test");
  const [x, y, z, last] = to.address.split(".").map(Number);
  out.setPeer(0, AF_INET, Uint8Array.of(x!, y!, z!, last!), 0, to.udp.port);
  return {
    port: boundEndpoint(fd).port,
    send(packets: readonly Uint8Array[]) {
      let length = 0;
      for (const packet of packets) {
        slab.bytes.set(packet, length);
        length += packet.length;
      }
      out.setBuffer(0, 0, length);
      out.setControl16(0, SOL_UDP, UDP_SEGMENT, packets[0]!.length);
      expect(out.send(fd, 0, 1)).toBe(1);
    },
    close: () => libc.close(fd),
  };
};

const hasGro = (fd: number): number => getOption(fd, SOL_UDP, UDP_GRO);

const sealer = (spi: number) =>
  EspSession.open({
    direction: "seal",
    suite: "aes256gcm16",
    spi,
    key: Uint8Array.from({ length: 36 }, (_, i) => i * 3 + 11), // as installPair has it
    engine: "node",
  });

test("a train of packets of several SAs is sorted out: each is opened by its worker, with its source", async () => {
  const { a, b, tunnelB, pairs } = await connected([0, 1, 2]);
  const sessions = pairs.map(({ spiB }) => sealer(spiB));
  const net = trains(b);
  const packets: Uint8Array[] = [];
  for (let round = 0; round < 20; round++) {
    const inner = Array.from({ length: 9 }, (_, i) => ipPacket({ version: 4, sourcePort: 1000 + round * 9 + i }));
    net.send(inner.map((packet, i) => sessions[i % 3]!.seal([packet])[0]!));
    packets.push(...inner);
    settle(a, b);
  }
  expect(b.plane.totals().in).toMatchObject({ packets: 180, drops: {} });
  expect(receivedBy(b)).toEqual([60, 60, 60]);
  const got = delivered(tunnelB);
  pairs.forEach((pair, resource) => {
    const own = packets.filter((_, i) => (i % 9) % 3 === resource);
    expect(got[(2 + resource) % 3]).toEqual(own); // whole, and in their order
    expect(b.plane.counters(pair.spiB)).toMatchObject({ packetsIn: 60, seqIn: 60, drops: {} });
  });
  const events = b.plane.poll();
  expect(events.filter(({ kind }) => kind === "mixed-trains")).toEqual([{ kind: "mixed-trains", address: b.address }]);
  expect(b.udp.workers.map(hasGro)).toEqual([0, 0, 0]);
  expect(a.udp.workers.map(hasGro)).toEqual([1, 1, 1]);
  const moved = events.filter((event) => event.kind === "peer-moved");
  expect(moved.map(({ remote }) => remote)).toEqual(new Array(3).fill({ address: "127.0.0.9", port: net.port }));
  expect(judged(b.plane.totals())).toBe(180);
  net.close();
  for (const session of sessions) session.close();
});

test("a forged train changes nothing: it is dropped by whom it names, and trains go on", async () => {
  const { a, b, pairs } = await connected([0, 1, 2]);
  const sessions = pairs.map(({ spiB }) => sealer(spiB));
  const net = trains(b);
  const forged = sessions.map((session) => {
    const [packet] = session.seal([ipPacket({ version: 4 })]);
    packet!.fill(7, packet!.length - 8);
    return packet!;
  });
  net.send(forged);
  settle(a, b);
  expect(b.plane.totals().in).toEqual({ packets: 0, bytes: 0, drops: { "integ-error": 3 } });
  for (const { spiB } of pairs) expect(b.plane.counters(spiB)!.drops).toEqual({ "integ-error": 1 });
  expect(b.plane.poll()).toEqual([]);
  expect(b.udp.workers.map(hasGro)).toEqual([1, 1, 1]);
  net.close();
  for (const session of sessions) session.close();
});

test("ESP that came to the control thread's socket is delivered by the worker of its SA", async () => {
  const { a, b, tunnelB, pairs } = await connected([0, 1, 2]);
  const inner = numbered(3);
  pairs.forEach(({ spiB }, i) => {
    const session = sealer(spiB);
    b.plane.deliver(session.seal([inner[i]!])[0]!, { address: a.address, port: a.udp.port });
    session.close();
  });
  b.plane.deliver(Uint8Array.of(255), { address: a.address, port: 1 });
  b.plane.deliver(new Uint8Array(40).fill(9), { address: a.address, port: 1 });
  settle(b);
  expect(delivered(tunnelB)).toEqual([[inner[1]], [inner[2]], [inner[0]]]);
  expect(b.plane.totals().in).toMatchObject({ packets: 3, drops: { "no-sa": 1 } });
  const [stray, ...firsts] = b.plane.poll().reverse();
  expect(stray).toEqual({ kind: "unknown-spi", spi: 0x09090909, remote: { address: a.address, port: 1 } });
  expect(firsts.map(({ kind }) => kind)).toEqual(["first-packet", "first-packet", "first-packet"]);
});
