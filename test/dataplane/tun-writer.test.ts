/** Writes that the interface does not take, in the middle of a batch: what they do to those around them. */
import { afterEach, expect, test, vi } from "vitest";
import { IoUring, refusal } from "../../src/linux/io-uring.ts";
import * as libc from "../../src/linux/libc.ts";
import { Memory } from "../../src/linux/memory.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { installPair, MemorySite, settle } from "../support/memory-sites.ts";
import { MemoryTun } from "../support/memory-tun.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

const connected = async () => {
  const [a, b] = [await MemorySite.start("127.0.0.6"), await MemorySite.start("127.0.0.7")];
  const [tunnelA, tunnelB] = [a.addTunnel(0), b.addTunnel(0)];
  const { spiA, spiB } = installPair([a, tunnelA.id], [b, tunnelB.id]);
  a.plane.use(spiA);
  return { a, b, tunnelA, tunnelB, spiB };
};

/** Of one flow. */
const flow = (count: number): Uint8Array[] =>
  Array.from({ length: count }, (_, i) => ipPacket({ version: 4, length: 60 + i }));

/** Packets of the next calls go to an interface without room, by their number. */
const refuse = (refused: readonly number[], full: MemoryTun): void => {
  const octet = Memory.allocate(1);
  while (libc.write(full.planeFd, octet, 0, 1) > 0);
  const { write } = IoUring.prototype;
  let n = 0;
  vi.spyOn(IoUring.prototype, "write").mockImplementation(function (this: IoUring, fd, ...what) {
    write.call(this, refused.includes(n++) ? full.planeFd : fd, ...what);
  });
};

const all = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

test.for([
  { refused: [0], lost: [0] },
  { refused: [2, 3, 6], lost: [2, 3, 6] },
  { refused: [3, 8, 9], lost: [3] }, // none came after the last two
  { refused: all, lost: [] },
])(
  "of $refused in one call, that there was no memory for, $lost are dropped and none comes late",
  async (each, { skip }) => {
    const ring = IoUring.open();
    if (typeof ring === "number") return skip(`no io_uring: ${refusal(ring)}`);
    ring.close();
    const { refused, lost } = each;
    const { a, b, tunnelA, tunnelB, spiB } = await connected();
    const packets = flow(all.length);
    for (const packet of packets) tunnelA.tun.inject(packet);
    const full = new MemoryTun();
    refuse(refused, full);
    settle(a, b);
    full.close();
    expect(tunnelB.tun.delivered()).toEqual(packets.filter((_, n) => !lost.includes(n)));
    const drops = lost.length === 0 ? {} : { "tun-error": lost.length };
    expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: packets.length - lost.length, drops });
  },
);
