/** Peers behind address translation, as the data plane meets them (RFC 3948, RFC 7296 §2.23). */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { expect, test } from "vitest";
import { ipPacket } from "../support/ip-packets.ts";
import { installPair, MemorySite, settle } from "../support/memory-sites.ts";

const start = (address: string): Promise<MemorySite> => MemorySite.start(address);

const PACKET = ipPacket({ version: 4 });

/** Datagrams from a port of their own at 127.0.0.9; the port. */
const strange = async (datagrams: readonly Uint8Array[], to: MemorySite): Promise<number> => {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.9");
  await once(socket, "listening");
  for (const datagram of datagrams)
    await new Promise((done) => socket.send(datagram, to.udp.port, to.address, () => done(undefined)));
  const { port } = socket.address();
  socket.close();
  return port;
};

test("keepalives and forgeries from another port are no sign of life, and are not followed", async () => {
  const [a, b] = [await start("127.0.0.2"), await start("127.0.0.3")];
  const [tunnelA, tunnelB] = [a.addTunnel(), b.addTunnel()];
  const { spiA, spiB } = installPair([a, tunnelA.id], [b, tunnelB.id]);
  a.plane.use(spiA);
  const forged = new Uint8Array(100);
  new DataView(forged.buffer).setUint32(0, spiB);
  new DataView(forged.buffer).setUint32(4, 1);
  await strange([Uint8Array.of(0xff), forged], b);
  settle(a, b);
  expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: 0, seqIn: 0, drops: { "integ-error": 1 } });
  expect(b.plane.poll()).toEqual([]);
  tunnelA.tun.inject(PACKET);
  settle(a, b);
  expect(b.plane.poll()).toEqual([{ kind: "first-packet", spiIn: spiB }]);
});

test("an old packet that somebody sends again from elsewhere is not followed either", async () => {
  const [a, b] = [await start("127.0.0.2"), await start("127.0.0.3")];
  const [tunnelA, tunnelB] = [a.addTunnel(), b.addTunnel()];
  const { spiA, spiB } = installPair([a, tunnelA.id], [b, tunnelB.id]);
  a.plane.use(spiA);
  const listener = createSocket("udp4");
  listener.bind(0, "127.0.0.8");
  await once(listener, "listening");
  const direct = { local: { address: a.address, port: a.udp.port }, remote: { address: b.address, port: b.udp.port } };
  a.plane.move(spiA, { ...direct, remote: { address: "127.0.0.8", port: listener.address().port } });
  tunnelA.tun.inject(PACKET);
  const came = once(listener, "message") as Promise<[Uint8Array]>;
  settle(a);
  const [late] = await came;
  listener.close();
  a.plane.move(spiA, direct);
  tunnelA.tun.inject(PACKET);
  settle(a, b);
  b.plane.poll();
  await strange([new Uint8Array(late)], b); // genuine, and within the window: but not the newest
  settle(b);
  expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: 2, drops: {} });
  expect(b.plane.poll()).toEqual([]);
});

test("peers behind one NAPT have the same address inside and outside: each has its tunnel, by its port and SPI", async () => {
  const hub = await start("127.0.0.3");
  const spokes = [await start("127.0.0.2"), await start("127.0.0.2"), await start("127.0.0.2")];
  const ends = spokes.map((spoke) => {
    const [there, here] = [spoke.addTunnel(), hub.addTunnel()];
    const { spiA, spiB } = installPair([spoke, there.id], [hub, here.id]);
    spoke.plane.use(spiA);
    hub.plane.use(spiB);
    return { spoke, there: there.tun, here: here.tun, spiB };
  });
  expect(new Set(spokes.map(({ udp }) => udp.port)).size).toBe(3);
  const asked = (i: number): Uint8Array => ipPacket({ version: 4, length: 100 + i });
  const told = (i: number): Uint8Array =>
    ipPacket({ version: 4, length: 200 + i, source: "10.2.0.1", destination: "10.1.0.1" });
  ends.forEach(({ there }, i) => {
    there.inject(asked(i));
  });
  settle(hub, ...spokes);
  expect(ends.map(({ here }) => here.delivered())).toEqual(ends.map((_, i) => [asked(i)]));
  ends.forEach(({ here }, i) => {
    here.inject(told(i));
  });
  settle(hub, ...spokes);
  expect(ends.map(({ there }) => there.delivered())).toEqual(ends.map((_, i) => [told(i)]));
  for (const { spiB } of ends)
    expect(hub.plane.counters(spiB)).toMatchObject({ packetsIn: 1, packetsOut: 1, drops: {} });
});
