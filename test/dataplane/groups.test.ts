/** Segments of a flow through two planes: they go in as they come, they come out as one, and they are counted each. */
import { afterEach, expect, test, vi } from "vitest";
import { ERRNO } from "../../src/linux/errno.ts";
import { IoVectors } from "../../src/linux/io-vectors.ts";
import * as libc from "../../src/linux/libc.ts";
import { installPair, MemorySite, settle } from "../support/memory-sites.ts";
import { cutUp, segment } from "../support/segments.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

const connected = async ({ workers = 1, vnetHdr = true } = {}) => {
  const [a, b] = [await MemorySite.start("127.0.0.6", { workers }), await MemorySite.start("127.0.0.7", { workers })];
  const [tunnelA, tunnelB] = [a.addTunnel(0, { vnetHdr: true }), b.addTunnel(0, { vnetHdr })];
  const { spiA, spiB } = installPair([a, tunnelA.id], [b, tunnelB.id]);
  a.plane.use(spiA);
  return { a, b, tunnelA, tunnelB, spiB };
};

const O_WRONLY = 1;
const SIZE = 1348;
const run = (version: 4 | 6, count: number, rest = 0): Uint8Array[] =>
  Array.from({ length: count + (rest > 0 ? 1 : 0) }, (_, k) =>
    segment({
      version,
      protocol: "tcp",
      seq: 7 + k * SIZE,
      id: k,
      payload: Uint8Array.from({ length: k < count ? SIZE : rest }, (_, i) => i * k),
    }),
  );
const framed = (packet: Uint8Array): Uint8Array => Uint8Array.from([...new Uint8Array(10), ...packet]);

test.each([
  { version: 4 as const, workers: 1 },
  { version: 6 as const, workers: 1 },
  { version: 4 as const, workers: 3 }, // no trains of datagrams then
])("a run of IPv$version with $workers workers", async ({ version, workers }) => {
  const { a, b, tunnelA, tunnelB, spiB } = await connected({ workers });
  const packets = run(version, 20, 99);
  for (const packet of packets) tunnelA.tun.inject(framed(packet));
  settle(a, b);
  const delivered = tunnelB.tun.delivered();
  expect(delivered.flatMap(cutUp)).toEqual(packets);
  expect(delivered).toHaveLength(1);
  const bytes = packets.reduce((sum, { length }) => sum + length, 0);
  expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: packets.length, bytesIn: bytes, drops: {} });
  expect(b.plane.totals().in).toEqual({ packets: packets.length, bytes, drops: {} });
});

test("an interface without virtio headers gets the segments one by one", async () => {
  const { a, b, tunnelA, tunnelB } = await connected({ vnetHdr: false });
  const packets = run(4, 10);
  for (const packet of packets) tunnelA.tun.inject(framed(packet));
  settle(a, b);
  expect(tunnelB.tun.delivered()).toEqual(packets);
});

test("a group that the kernel has no memory for is written again", async () => {
  const { a, b, tunnelA, tunnelB, spiB } = await connected();
  const packets = run(4, 16);
  for (const packet of packets) tunnelA.tun.inject(framed(packet));
  const refused = vi.spyOn(IoVectors.prototype, "write").mockReturnValueOnce(-ERRNO.ENOBUFS);
  settle(a, b);
  expect(refused).toHaveBeenCalledTimes(2);
  expect(tunnelB.tun.delivered().flatMap(cutUp)).toEqual(packets);
  expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: 16, drops: {} });
});

const datagrams = (count: number): Uint8Array[] =>
  Array.from({ length: count }, (_, id) =>
    segment({ version: 4, protocol: "udp", id, payload: new Uint8Array(700).fill(id) }),
  );

test("groups of datagrams are judged by their own refusals, and go on once the kernel has taken one", async () => {
  const { a, b, tunnelA, tunnelB } = await connected();
  const writes = vi.spyOn(IoVectors.prototype, "write");
  /** How many packets came of these where one group is refused, or none; and what came after them of the same. */
  const arrivals = (packets: readonly Uint8Array[], refused: boolean): number[] => {
    if (refused) writes.mockReturnValueOnce(-ERRNO.EINVAL);
    return [0, 1].map(() => {
      for (const packet of packets) tunnelA.tun.inject(framed(packet));
      settle(a, b);
      return tunnelB.tun.delivered().length;
    });
  };
  expect(arrivals(run(4, 10), true)).toEqual([0, 1]); // TCP
  expect(arrivals(datagrams(10), true)).toEqual([0, 10]);
  expect(arrivals(run(4, 10), false)).toEqual([1, 1]);
  for (let batch = 0; batch < 1100; batch++) {
    tunnelA.tun.inject(framed(datagrams(1)[0]!));
    settle(b, a);
  }
  tunnelB.tun.delivered();
  expect(arrivals(datagrams(10), false)).toEqual([1, 1]);
  expect(arrivals(datagrams(10), true)).toEqual([0, 1]);
});

test("a group that the interface does not take is counted packet by packet", async () => {
  const { a, b, tunnelA } = await connected();
  const fd = libc.open("/dev/full", O_WRONLY);
  const full = b.plane.addTunnel({ tunFds: [fd], vnetHdr: true });
  const { spiA, spiB } = installPair([a, tunnelA.id], [b, full]);
  a.plane.use(spiA);
  for (const packet of run(4, 16)) tunnelA.tun.inject(framed(packet));
  settle(a, b);
  expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: 0, drops: { "tun-error": 16 } });
  const refusals = () => b.plane.poll().filter(({ kind }) => kind === "tun-refused");
  expect(refusals()).toEqual([{ kind: "tun-refused", tunnel: full, errno: "ENOSPC" }]);
  for (const packet of run(4, 16)) tunnelA.tun.inject(framed(packet));
  settle(a, b);
  expect(refusals()).toEqual([]); // told once
  await b.plane.removeTunnel(full);
  libc.close(fd);
});
