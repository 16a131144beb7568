/**
 * The IP headers of the packets that carry ESP, DF above all, as a packet socket sees them on the loopback device of a network
 * namespace of this process alone: needs root.
 */
import koffi from "koffi";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { DfPolicy } from "../../src/ipsec/outer-header.ts";
import { ANY_SIZE, Oversize } from "../../src/ipsec/sad.ts";
import * as libc from "../../src/linux/libc.ts";
import { setMtu, setUp } from "../../src/linux/link.ts";
import { Memory } from "../../src/linux/memory.ts";
import { isChecksummed } from "../support/internet-checksum.ts";
import { ipv4PacketOf } from "../support/ip-headers.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { installPair, MemorySite, settle } from "../support/memory-sites.ts";

const CLONE_NEWNET = 0x4000_0000;
const AF_PACKET = 17;
const SOCK_DGRAM_NONBLOCK = 2 | 0x800;
const ETH_P_IP = 0x0008; // in network order
const ETH_P_IPV6 = 0xdd86;

const unshare = koffi.load("libc.so.6").func("unshare", "int", ["int"]) as (flags: number) => number;
const separated = process.getuid?.() === 0 && unshare(CLONE_NEWNET) === 0;
const reason = separated ? "" : " (skipped: no network namespace of our own, needs root)";
const memory = Memory.allocate(65_536);
let tap = -1;
let tap6 = -1;

beforeAll(() => {
  if (!separated) return;
  setMtu("lo", 1500);
  setUp("lo", true);
  tap = libc.socket(AF_PACKET, SOCK_DGRAM_NONBLOCK, ETH_P_IP);
  tap6 = libc.socket(AF_PACKET, SOCK_DGRAM_NONBLOCK, ETH_P_IPV6);
});
afterAll(() => {
  for (const fd of [tap, tap6]) if (fd >= 0) libc.close(fd);
});

/** IPv4 packets on the device since the last call, or those of IPv6. */
const seen = (fd = tap): Uint8Array[] => {
  const packets: Uint8Array[] = [];
  for (;;) {
    const length = libc.read(fd, memory, 0, memory.size);
    if (length < 0) return packets;
    packets.push(memory.bytes.slice(0, length));
  }
};

const v4 = (length: number, dontFragment: boolean): Uint8Array =>
  ipv4PacketOf({ dontFragment }, new Uint8Array(length - 20));
const hasDf = (packet: Uint8Array): boolean => (packet[6]! & 0x40) !== 0;
const idOf = (packet: Uint8Array): number => packet[4]! * 256 + packet[5]!;

const connected = async (encap: boolean, [atA, atB] = ["127.0.0.2", "127.0.0.3"] as readonly [string, string]) => {
  const a = await MemorySite.start(atA, { raw: !encap });
  const b = await MemorySite.start(atB, { raw: !encap });
  const [tunnelA, tunnelB] = [a.addTunnel(), b.addTunnel()];
  const { spiA } = installPair([a, tunnelA.id], [b, tunnelB.id], { encap });
  a.plane.use(spiA);
  seen();
  seen(tap6);
  return { a, b, tunnelA, tunnelB, spiA };
};

const INNER = [v4(100, true), v4(200, false), v4(300, false), v4(400, true), ipPacket({ version: 6, length: 500 })];

test.skipIf(!separated).each<readonly [df: DfPolicy, encap: boolean, outer: readonly boolean[]]>([
  ["copy", true, [true, false, false, true, true]],
  ["copy", false, [true, false, false, true, true]],
  ["set", true, [true, true, true, true, true]],
  ["set", false, [true, true, true, true, true]],
  ["clear", true, [false, false, false, false, false]],
  ["clear", false, [false, false, false, false, false]],
])(`DF %s, ESP in UDP %s: packets have it as %j${reason}`, async (df, encap, outer) => {
  const { a, b, tunnelA, tunnelB } = await connected(encap);
  a.plane.setDf(tunnelA.id, df);
  for (const packet of INNER) tunnelA.tun.inject(packet);
  settle(a, b);
  const packets = seen();
  expect(packets.map(hasDf)).toEqual(outer);
  expect(packets.every((packet) => isChecksummed(packet.subarray(0, 20)))).toBe(true);
  expect(packets.map((packet) => packet[9])).toEqual(packets.map(() => (encap ? 17 : 50)));
  const fragmentable = packets.filter((packet) => !hasDf(packet)).map(idOf);
  expect(new Set(fragmentable).size).toBe(fragmentable.length); // RFC 6864 §4: unique where it means something
  expect(tunnelB.tun.delivered()).toEqual(INNER);
});

test.skipIf(!separated).each([true, false])(
  `what is sealed whole, in UDP %s, is fragmented by the system and put together by it${reason}`,
  async (encap) => {
    const { a, b, tunnelA, tunnelB, spiA } = await connected(encap);
    a.plane.setSize(spiA, { ...ANY_SIZE, mtu: 1400, oversize: Oversize.AFTER });
    const inner = [v4(1480, true), v4(1480, false), ipPacket({ version: 6, length: 3000 })];
    for (const packet of inner) tunnelA.tun.inject(packet);
    settle(a, b);
    const packets = seen();
    expect(packets.length).toBe(2 + 2 + 3);
    expect(packets.some(hasDf)).toBe(false);
    expect(Math.max(...packets.map(({ length }) => length))).toBeLessThanOrEqual(1500);
    expect(tunnelB.tun.delivered()).toEqual(inner);
  },
);

test.skipIf(!separated)(
  `hop limit and flow label are the system's, whatever the inner packet has${reason}`,
  async () => {
    const { a, b, tunnelA, tunnelB } = await connected(true, ["::1", "::1"]);
    const inner = [1, 2, 3].map((flow) => {
      const packet = ipPacket({ version: 6, length: 100 * flow });
      packet.set([0, flow, flow], 1); // flow label
      packet[7] = 7; // hop limit
      return packet;
    });
    for (const packet of [...inner, ipv4PacketOf({ ttl: 3 }, new Uint8Array(500))]) tunnelA.tun.inject(packet);
    settle(a, b);
    const outer = seen(tap6);
    expect(outer.map((packet) => packet[7])).toEqual([64, 64, 64, 64]);
    const labels = outer.map((packet) => ((packet[1]! & 15) << 16) | (packet[2]! << 8) | packet[3]!);
    expect(new Set(labels).size).toBe(1);
    const delivered = tunnelB.tun.delivered();
    expect(delivered.slice(0, 3)).toEqual(inner); // neither is touched: the tunnel is one hop of nobody
    expect(delivered[3]?.[8]).toBe(3);
  },
);
