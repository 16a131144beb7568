/** What a worker has dropped and control may tell the peer of: ESP that is no SA's, and packets outside of their selectors. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { expect, test } from "vitest";
import type { PlaneEvent } from "../../src/dataplane/plane.ts";
import { STRAY_START } from "../../src/dataplane/strays.ts";
import { parseSelector } from "../../src/ipsec/selector-text.ts";
import * as libc from "../../src/linux/libc.ts";
import { Memory } from "../../src/linux/memory.ts";
import { MsgBatch } from "../../src/linux/msg-batch.ts";
import { AF_INET, AF_INET6 } from "../../src/linux/sockaddr.ts";
import { openSocket, SOCK_RAW } from "../../src/linux/socket.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { installPair, MemorySite, settle } from "../support/memory-sites.ts";

const ESP = 50;
const isRoot = process.getuid?.() === 0;

/** An ESP packet with this SPI, and nothing right behind it. */
const forged = (spi: number): Buffer => {
  const packet = Buffer.alloc(100, 0xee);
  packet.writeUInt32BE(spi, 0);
  return packet;
};

const straysOf = ({ plane }: MemorySite): PlaneEvent[] =>
  plane.poll().filter(({ kind }) => kind === "unknown-spi" || kind === "selector-mismatch");

const arrived = async (site: MemorySite, packets: number): Promise<void> => {
  for (let turn = 0; turn < 500 && (site.plane.totals().in.drops["no-sa"] ?? 0) < packets; turn++) {
    settle(site);
    await new Promise((wake) => setTimeout(wake, 2));
  }
};

test("ESP in UDP for an SPI of nobody is told once, with its source, until control has looked", async () => {
  const site = await MemorySite.start("127.0.0.2");
  const sender = createSocket("udp4").bind(0, "127.0.0.9");
  await once(sender, "listening");
  const { port } = sender.address();
  for (const spi of [0x11223300, 0x11223301]) {
    sender.send(forged(spi), site.udp.port, "127.0.0.2");
    await arrived(site, 1 + (spi & 1));
  }
  expect(straysOf(site)).toEqual([{ kind: "unknown-spi", spi: 0x11223300, remote: { address: "127.0.0.9", port } }]);
  expect(straysOf(site)).toEqual([]);
  sender.send(forged(0xf1223302), site.udp.port, "127.0.0.2");
  await arrived(site, 3);
  expect(straysOf(site)).toMatchObject([{ spi: 0xf1223302 }]);
  sender.close();
});

test("one whose SA is about to be made, or has been made since, is none", async () => {
  const [a, b] = [await MemorySite.start("127.0.0.2"), await MemorySite.start("127.0.0.3")];
  const [tunnelA, tunnelB] = [a.addTunnel(), b.addTunnel()];
  const spi = b.plane.reserveSpi(tunnelB.id);
  const remote = { address: "127.0.0.2", port: a.udp.port };
  b.plane.deliver(forged(spi), remote);
  settle(b);
  expect(b.plane.totals().in.drops).toEqual({ "no-sa": 1 });
  expect(straysOf(b)).toEqual([]);
  b.plane.releaseSpi(spi);
  b.plane.deliver(forged(spi), remote);
  settle(b);
  installPair([a, tunnelA.id], [b, tunnelB.id]);
  expect(straysOf(b)).toEqual([{ kind: "unknown-spi", spi, remote }]);
});

test.skipIf(!isRoot).each([
  [4, "127.0.0.9", "127.0.0.2"],
  [6, "::1", "::1"],
] as const)("ESP as IP protocol 50 over IPv%i is told with its address (needs root)", async (family, from, to) => {
  const site = await MemorySite.start(to, { raw: true });
  const slab = Memory.allocate(256);
  const out = new MsgBatch({ slab, capacity: 1, controlRoom: 24 });
  const fd = openSocket(from, SOCK_RAW, ESP, "test");
  const octets = family === 4 ? Uint8Array.of(127, 0, 0, 2) : Uint8Array.of(...new Array(15).fill(0), 1);
  slab.bytes.set(forged(0x11223300));
  out.setPeer(0, family === 4 ? AF_INET : AF_INET6, octets, 0, 0);
  out.setBuffer(0, 0, 100);
  expect(out.send(fd, 0, 1)).toBe(1);
  await arrived(site, 1);
  libc.close(fd);
  const address = family === 4 ? expect.stringMatching(/^127\./) : "::1";
  expect(straysOf(site)).toEqual([{ kind: "unknown-spi", spi: 0x11223300, remote: { address, port: 0 } }]);
});

test("a packet outside of its SA's selectors is told, with how it began", async () => {
  const [a, b] = [await MemorySite.start("127.0.0.2"), await MemorySite.start("127.0.0.3")];
  const [tunnelA, tunnelB] = [a.addTunnel(), b.addTunnel()];
  const narrow = { local: [parseSelector("10.9.0.0/16")!], remote: [parseSelector("10.9.0.0/16")!] };
  const { spiA, spiB } = installPair([a, tunnelA.id], [b, tunnelB.id], { atB: narrow });
  a.plane.use(spiA);
  for (const length of [1400, 28]) {
    const packet = ipPacket({ version: 4, length, source: "10.1.0.1" });
    tunnelA.tun.inject(packet);
    settle(a, b);
    const start = packet.slice(0, STRAY_START);
    expect(straysOf(b)).toEqual([{ kind: "selector-mismatch", spiIn: spiB, start }]);
  }
  expect(b.plane.counters(spiB)?.drops).toEqual({ policy: 2 });
  tunnelA.tun.inject(ipPacket({ version: 4, source: "10.9.0.1", destination: "10.9.0.2" }));
  settle(a, b);
  expect([tunnelB.tun.delivered().length, straysOf(b).length]).toEqual([1, 0]);
});
