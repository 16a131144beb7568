/** Planes whose workers take few packets at a time, or as many as they have room for: what comes out is the same. */
import { afterEach, expect, test } from "vitest";
import { Plane } from "../../src/dataplane/plane.ts";
import { anySelectors } from "../../src/ipsec/selector.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { installPair, MemorySite, settle } from "../support/memory-sites.ts";
import { cutSlowly, superPacket } from "../support/super-packets.ts";

const running: MemorySite[] = [];
afterEach(async () => {
  for (const site of running.splice(0)) await site.stop();
});

const bothSites = async (batch: number, workers = 1) => {
  const options = { batch, workers, slots: 64 };
  const sites = [await MemorySite.start("127.0.0.2", options), await MemorySite.start("127.0.0.3", options)] as const;
  running.push(...sites);
  return sites;
};

/** Packets whose source port tells their number. */
const numbered = (count: number): Uint8Array[] =>
  Array.from({ length: count }, (_, i) => ipPacket({ version: 4, sourcePort: 1000 + i, length: 60 + ((i * 7) % 900) }));

test.each([1, 7, 64, 256])("batches of %i: super-packets and single ones arrive whole and in order", async (batch) => {
  const [a, b] = await bothSites(batch);
  const from = a.addTunnel(undefined, { vnetHdr: true });
  const to = b.addTunnel();
  const { spiA, spiB } = installPair([a, from.id], [b, to.id]);
  a.plane.use(spiA);
  b.plane.use(spiB);
  const expected: Uint8Array[] = [];
  const arrived: Uint8Array[] = [];
  for (let round = 0; round < 4; round++) {
    for (const segmentSize of [1348, 1348, 536, 9000]) {
      const payload = Uint8Array.from({ length: 20_000 + round * 11_111 }, (_, i) => i * 13 + (i >> 8));
      const options = { version: 4, protocol: "tcp", payload, segmentSize } as const;
      const { header, packet, shape } = superPacket(options);
      from.tun.inject(Uint8Array.from([...header, ...packet]));
      expected.push(...cutSlowly(packet, options, shape));
      settle(a, b);
      arrived.push(...to.tun.delivered());
    }
    for (const packet of numbered(40)) {
      from.tun.inject(Uint8Array.from([...new Uint8Array(10), ...packet]));
      expected.push(packet);
    }
    settle(a, b);
    arrived.push(...to.tun.delivered());
  }
  expect(arrived.map(({ length }) => length)).toEqual(expected.map(({ length }) => length));
  expect(Buffer.concat(arrived).equals(Buffer.concat(expected))).toBe(true);
  const worker = a.plane.workerStats()[0]!;
  expect(worker.out).toMatchObject({ packets: expected.length, drops: {} });
  expect(worker.batches).toBeGreaterThanOrEqual(expected.length / batch);
});

test("what is handed from worker to worker is no more at a time, and all of it arrives", async () => {
  const [a, b] = await bothSites(3, 2);
  const tunnels = [a.addTunnel(0, { queues: 2 }), b.addTunnel(0, { queues: 2 })] as const;
  const { spiA, spiB } = installPair([a, tunnels[0].id], [b, tunnels[1].id]); // worker 0 has the only pair
  a.plane.use(spiA);
  b.plane.use(spiB);
  const packets = numbered(50);
  for (const packet of packets) tunnels[0].tuns[1]!.inject(packet);
  settle(a, b);
  expect(tunnels[1].tuns.flatMap((tun) => tun.delivered())).toEqual(packets);
});

test("more packets wait for an SA than a batch holds: all are sent once it is there", async () => {
  const [a, b] = await bothSites(5);
  const from = a.addTunnel(undefined, { hasChildren: true });
  const to = b.addTunnel();
  const child = a.plane.addChild(from.id, { traps: true });
  a.plane.setPolicies(from.id, [{ action: "protect", child, local: anySelectors, remote: anySelectors }]);
  const packets = numbered(33);
  for (const packet of packets) from.tun.inject(packet);
  settle(a, b);
  const pair = installPair([a, child], [b, to.id]);
  a.plane.use(pair.spiA);
  a.plane.step(); // one round is enough: nobody has to wake it again
  settle(b);
  expect(to.tun.delivered()).toEqual(packets);
});

test.each([0, 257, 1.5])("batches of %d packets are refused", async (batch) => {
  await expect(Plane.start({ workers: 1, engine: "node", batch })).rejects.toThrow(/a batch has 1 to 256 packets/);
});
