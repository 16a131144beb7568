/** TCP handshakes through whole planes: what both hosts hear of the other's segment size fits the tunnel. */
import { expect, test } from "vitest";
import { installPair, MemorySite, settle } from "../support/memory-sites.ts";
import { ACK, SYN, tcpOf, tcpPacket } from "../support/tcp-packets.ts";

const start = (address: string): Promise<MemorySite> => MemorySite.start(address);

const mss = (value: number): number[] => [2, 4, value >> 8, value & 255];
const syn = (version: 4 | 6, value: number): Uint8Array => tcpPacket(version, tcpOf(SYN, mss(value)));
const synAck = (version: 4 | 6, value: number): Uint8Array => tcpPacket(version, tcpOf(SYN | ACK, mss(value)));

const connected = async () => {
  const a = await start("127.0.0.2");
  const b = await start("127.0.0.3");
  const tunnelA = a.addTunnel();
  const tunnelB = b.addTunnel();
  const { spiA, spiB } = installPair([a, tunnelA.id], [b, tunnelB.id]);
  a.plane.use(spiA);
  b.plane.use(spiB);
  return { a, b, tunnelA, tunnelB };
};

test("one gateway that clamps lowers the SYN on its way out and the SYN-ACK on its way in", async () => {
  const { a, b, tunnelA, tunnelB } = await connected();
  a.plane.setMss(tunnelA.id, 1398, 1378);
  for (const version of [4, 6] as const) tunnelA.tun.inject(syn(version, 1460));
  settle(a, b);
  expect(tunnelB.tun.delivered()).toEqual([syn(4, 1398), syn(6, 1378)]);
  for (const version of [4, 6] as const) tunnelB.tun.inject(synAck(version, 1440));
  settle(a, b);
  expect(tunnelA.tun.delivered()).toEqual([synAck(4, 1398), synAck(6, 1378)]);
});

test("of two gateways that clamp the lower one wins, and a smaller segment stays", async () => {
  const { a, b, tunnelA, tunnelB } = await connected();
  a.plane.setMss(tunnelA.id, 1398, 1378);
  b.plane.setMss(tunnelB.id, 1300, 1280);
  for (const value of [1460, 1200]) tunnelA.tun.inject(syn(4, value));
  settle(a, b);
  expect(tunnelB.tun.delivered()).toEqual([syn(4, 1300), syn(4, 1200)]);
});

test("a tunnel without a limit passes what it is given", async () => {
  const { a, b, tunnelA, tunnelB } = await connected();
  tunnelA.tun.inject(syn(4, 8960));
  settle(a, b);
  expect(tunnelB.tun.delivered()).toEqual([syn(4, 8960)]);
});
