/**
 * What the kernel does not take is counted by its reason, and does not hold up what follows. In a network namespace of this
 * process alone, with a loopback of 1400 octets and a TAP whose neighbours never answer: needs root.
 */
import koffi from "koffi";
import { beforeAll, expect, test, vi } from "vitest";
import { addAddress } from "../../src/linux/address.ts";
import { setMtu, setUp } from "../../src/linux/link.ts";
import { MsgBatch } from "../../src/linux/msg-batch.ts";
import { SO_SNDBUF, SOL_SOCKET, setOption } from "../../src/linux/socket.ts";
import { closeTun, openTun } from "../../src/linux/tun.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { installPair, MemorySite, settle } from "../support/memory-sites.ts";

const CLONE_NEWNET = 0x4000_0000;
const IPPROTO_IPV6 = 41;
const IPV6_MTU_DISCOVER = 23;
const IPV6_PMTUDISC_DO = 2;

const unshare = koffi.load("libc.so.6").func("unshare", "int", ["int"]) as (flags: number) => number;

const isRoot = process.getuid?.() === 0;
const separated = isRoot && unshare(CLONE_NEWNET) === 0;
const reason = separated ? "" : " (skipped: no network namespace of our own, needs root)";

beforeAll(() => {
  if (!separated) return;
  setMtu("lo", 1400);
  setUp("lo", true);
});

/** A site that sends to `remote`, and where its packets would arrive if that is 127.0.0.3 or ::1. */
const sending = async (address: string, remote: string) => {
  const a = await MemorySite.start(address);
  const b = await MemorySite.start(remote === "::1" ? remote : "127.0.0.3");
  const [tunnelA, tunnelB] = [a.addTunnel(), b.addTunnel()];
  const { spiA } = installPair([a, tunnelA.id], [b, tunnelB.id]);
  a.plane.use(spiA);
  a.plane.move(spiA, { local: { address, port: a.udp.port }, remote: { address: remote, port: b.udp.port } });
  return { a, b, tunnelA, tunnelB, spiA };
};

const SMALL = ipPacket({ version: 4, length: 100 });

test.skipIf(!separated)(`EMSGSIZE drops one packet and not its neighbours${reason}`, async () => {
  const { a, b, tunnelA, tunnelB, spiA } = await sending("::1", "::1");
  setOption(a.udp.workers[0]!, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
  for (const length of [100, 1400, 100, 1400, 1400, 100]) tunnelA.tun.inject(ipPacket({ version: 4, length }));
  settle(a, b);
  expect(tunnelB.tun.delivered()).toEqual([SMALL, SMALL, SMALL]);
  expect(a.plane.counters(spiA)).toMatchObject({ packetsOut: 3, bytesOut: 300, drops: { "message-too-long": 3 } });
});

test.skipIf(!separated)(`an address that cannot be sent to is counted${reason}`, async () => {
  const { a, b, tunnelA, spiA } = await sending("127.0.0.2", "198.51.100.1");
  for (let i = 0; i < 5; i++) tunnelA.tun.inject(SMALL);
  settle(a, b);
  expect(a.plane.counters(spiA)).toMatchObject({ packetsOut: 0, drops: { "send-error": 5 } });
  expect(a.plane.totals().out).toEqual({ packets: 0, bytes: 0, drops: { "send-error": 5 } });
});

test.skipIf(!separated)(`a socket that stays full drops the rest of the batch${reason}`, async () => {
  const tap = openTun({ name: "dptap0", kind: "tap" });
  addAddress("dptap0", "198.18.0.1/24");
  setUp("dptap0", true);
  const { a, b, tunnelA, spiA } = await sending("198.18.0.1", "198.18.0.2");
  setOption(a.udp.workers[0]!, SOL_SOCKET, SO_SNDBUF, 4608);
  // Each longer than the one before: no two of them are a train.
  for (let i = 0; i < 40; i++) tunnelA.tun.inject(ipPacket({ version: 4, length: 800 + i * 8 }));
  settle(a, b);
  const { packetsOut, drops } = a.plane.counters(spiA)!;
  expect(drops["socket-full"]).toBeGreaterThan(0);
  expect(packetsOut + drops["socket-full"]!).toBe(40);
  closeTun(tap);
});

test.skipIf(!separated)(`packets of a train that the kernel refuses go one by one${reason}`, async () => {
  const { a, b, tunnelA, tunnelB, spiA } = await sending("127.0.0.2", "127.0.0.3");
  // ESP packets longer than the loopback's MTU: not to be cut into, but fragmented each they pass.
  const packets = Array.from({ length: 20 }, (_, i) => ipPacket({ version: 4, length: 1400, sourcePort: i }));
  for (let round = 0; round < 2; round++) {
    for (const packet of packets) tunnelA.tun.inject(packet);
    settle(a, b);
    expect(tunnelB.tun.delivered()).toEqual(packets);
  }
  expect(a.plane.counters(spiA)).toMatchObject({ packetsOut: 40, drops: {} });
});

test.skipIf(!separated)(`one packet too long for the path does not take its train along${reason}`, async () => {
  const { a, b, tunnelA, tunnelB, spiA } = await sending("::1", "::1");
  setOption(a.udp.workers[0]!, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
  const long = ipPacket({ version: 4, length: 1390 });
  for (const packet of [long, SMALL, long, long, SMALL]) tunnelA.tun.inject(packet);
  settle(a, b);
  expect(tunnelB.tun.delivered()).toEqual([SMALL, SMALL]);
  expect(a.plane.counters(spiA)).toMatchObject({ packetsOut: 2, drops: { "message-too-long": 3 } });
});

test.skipIf(!separated)(`a peer that cannot be reached does not take the trains of others${reason}`, async () => {
  const { a, b, tunnelA, tunnelB, spiA } = await sending("127.0.0.2", "127.0.0.3");
  const other = a.addTunnel();
  const gone = installPair([a, other.id], [b, b.addTunnel().id]);
  a.plane.use(gone.spiA);
  const away = { address: "198.51.100.1", port: 4500 };
  a.plane.move(gone.spiA, { local: { address: "127.0.0.2", port: a.udp.port }, remote: away });
  const messages = vi.spyOn(MsgBatch.prototype, "setPieces");
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 8; i++) other.tun.inject(SMALL);
    settle(a, b);
    messages.mockClear();
    for (let i = 0; i < 8; i++) tunnelA.tun.inject(SMALL);
    settle(a, b);
    expect(Math.max(...messages.mock.calls.map(([, , pieces]) => pieces))).toBeGreaterThan(1);
    expect(tunnelB.tun.delivered()).toEqual(Array(8).fill(SMALL));
  }
  messages.mockRestore();
  expect(a.plane.counters(gone.spiA)).toMatchObject({ packetsOut: 0, drops: { "send-error": 24 } });
  expect(a.plane.counters(spiA)).toMatchObject({ packetsOut: 24, drops: {} });
});
