/** What outer headers say: seen on real sockets between two planes, and marked on the way as a router would. */
import { afterEach, expect, test } from "vitest";
import { outerTosTable } from "../../src/ipsec/dscp.ts";
import { Ecn, setTos, tosOf } from "../../src/ipsec/ecn.ts";
import { isChecksummed } from "../support/internet-checksum.ts";
import { ipv4PacketOf } from "../support/ip-headers.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { installPair, MemorySite, settle } from "../support/memory-sites.ts";
import { TosRelay } from "../support/tos-relay.ts";

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const action of cleanUp.splice(0).reverse()) await action();
});

/** Site A, a box on the way, and site B. */
const connected = async (outer: 4 | 6 = 4, workers = 1) => {
  const a = await MemorySite.start(outer === 4 ? "127.0.0.2" : "::1");
  const b = await MemorySite.start(outer === 4 ? "127.0.0.3" : "::1", { workers });
  const relay = new TosRelay(outer === 4 ? "127.0.0.4" : "::1", { address: b.address, port: b.udp.port });
  cleanUp.push(
    () => a.stop(),
    () => b.stop(),
    () => relay.close(),
  );
  const tunnelA = a.addTunnel();
  const tunnelB = b.addTunnel(workers - 1);
  const { spiA, spiB } = installPair([a, tunnelA.id], [b, tunnelB.id]);
  a.plane.use(spiA);
  a.plane.move(spiA, {
    local: { address: a.address, port: a.udp.port },
    remote: { address: outer === 4 ? "127.0.0.4" : "::1", port: relay.port },
  });
  return { a, b, relay, tunnelA, tunnelB, spiB };
};

const packetOf = (version: 4 | 6, tos: number, length = 100): Uint8Array => {
  if (version === 4) return ipv4PacketOf({ tos }, new Uint8Array(length - 20).fill(7));
  const packet = ipPacket({ version, length });
  setTos(packet, 0, tos);
  return packet;
};

const VALUES = [0, 1, 2, 3, 0xb8, 0xb9, 0xba, 0xc0, 0xff];

test.each([4, 6] as const)("over IPv%i the inner TOS is on the outer header, of either family", async (outer) => {
  const { a, b, relay, tunnelA, tunnelB } = await connected(outer);
  const packets = ([4, 6] as const).flatMap((version) => VALUES.map((tos) => packetOf(version, tos)));
  for (const packet of packets) tunnelA.tun.inject(packet);
  settle(a);
  expect(relay.pass().map(({ tos }) => tos)).toEqual([...VALUES, ...VALUES]);
  settle(b);
  expect(tunnelB.tun.delivered()).toEqual(packets);
});

test("packets of one length and several classes arrive in their order, whole, and each with its own", async () => {
  const { a, b, relay, tunnelA, tunnelB } = await connected();
  const packets = [0, 0, 0, 0xb8, 0xb8, 0, 2, 2, 2, 2, 0xb8].map((tos, i) => packetOf(4, tos, i === 8 ? 60 : 1000));
  for (const packet of packets) tunnelA.tun.inject(packet);
  settle(a);
  expect(relay.pass().map(({ tos }) => tos)).toEqual(packets.map((packet) => tosOf(packet, 0)));
  settle(b);
  expect(tunnelB.tun.delivered()).toEqual(packets);
});

test("a tunnel may set the class, and leave ECN out", async () => {
  const { a, relay, tunnelA } = await connected();
  a.plane.setOuterTos(tunnelA.id, outerTosTable({ kind: "set", dscp: 10 }, "compatibility"));
  for (const tos of VALUES) tunnelA.tun.inject(packetOf(4, tos));
  settle(a);
  expect(relay.pass().map(({ tos }) => tos)).toEqual(VALUES.map(() => 10 << 2));
});

test.each([
  [4, 4],
  [4, 6],
  [6, 4],
  [6, 6],
] as const)(
  "over IPv%i a mark on the way reaches an IPv%i packet whose ends know ECN, and drops another",
  async (outer, inner) => {
    const { a, b, relay, tunnelA, tunnelB, spiB } = await connected(outer);
    for (const ecn of [Ecn.ECT_0, Ecn.ECT_1, Ecn.CE, Ecn.NOT_ECT]) tunnelA.tun.inject(packetOf(inner, 0xb8 | ecn));
    settle(a);
    relay.pass((tos) => tos | Ecn.CE);
    settle(b);
    const delivered = tunnelB.tun.delivered();
    expect(delivered).toEqual([Ecn.CE, Ecn.CE, Ecn.CE].map((ecn) => packetOf(inner, 0xb8 | ecn)));
    if (inner === 4) for (const packet of delivered) expect(isChecksummed(packet.subarray(0, 20))).toBe(true);
    expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: 3, drops: { "ecn-drop": 1 } });
    expect(b.plane.totals().in).toMatchObject({ packets: 3, drops: { "ecn-drop": 1 } });
  },
);

test("a class that was changed on the way stays outside", async () => {
  const { a, b, relay, tunnelA, tunnelB } = await connected();
  tunnelA.tun.inject(packetOf(4, 0xb8));
  settle(a);
  relay.pass(() => 0x20);
  settle(b);
  expect(tunnelB.tun.delivered()).toEqual([packetOf(4, 0xb8)]);
});
