/**
 * What does a packet of a TUN device cost, read or written by a system call of its own, and by io_uring with many others?
 *
 *   npm run -s bench:build && sudo node node_modules/.cache/bench/bench/io-uring.js
 *
 * In a network namespace of its own. A socket fills the device's queue, then the queue is read until it is empty; what is
 * written goes through the kernel's receive path to a route that ends there. Both ways must give the same packets before
 * they are timed; they take turns, and the first of them runs twice: the difference between its two rows is the noise.
 */
import { deepStrictEqual, strictEqual } from "node:assert";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { arch, cpus, loadavg, release } from "node:os";
import { fileURLToPath } from "node:url";
import Table from "cli-table3";
import { VIRTIO_NET_HDR } from "../src/linux/abi.ts";
import { addAddress } from "../src/linux/address.ts";
import { IoUring, RING_ENTRIES, refusal } from "../src/linux/io-uring.ts";
import { IoVectors } from "../src/linux/io-vectors.ts";
import * as libc from "../src/linux/libc.ts";
import { setTxQueueLength, setUp } from "../src/linux/link.ts";
import { Memory } from "../src/linux/memory.ts";
import { MsgBatch } from "../src/linux/msg-batch.ts";
import { addRoute } from "../src/linux/route.ts";
import { AF_INET } from "../src/linux/sockaddr.ts";
import { enlargeBuffers, openSocket, SOCK_DGRAM } from "../src/linux/socket.ts";
import { openTun } from "../src/linux/tun.ts";

const SIZES = [64, 1400]; // octets of the IP packet
const PACKETS = 15 * RING_ENTRIES;
const ROUNDS = 40;
const WARM_UP = 4;
const IP_AND_UDP = 28;
const HEADER = VIRTIO_NET_HDR.size;
const STRIDE = 1664;
const HEADROOM = 64;

const HERE = "10.99.0.1";
const BEHIND_TUN = Uint8Array.of(10, 99, 0, 2);
/** What is written for it ends in a blackhole. */
const NOWHERE = Uint8Array.of(10, 98, 0, 1);

const inNamespace = (): void => {
  const script = fileURLToPath(import.meta.url);
  const { status, error } = spawnSync("unshare", ["-n", process.execPath, script, "inside"], { stdio: "inherit" });
  if (error !== undefined) throw error;
  process.exit(status ?? 1);
};

/** Fills the queue of a device with datagrams to an address behind it, each with its number in it. */
class Filler {
  readonly #batch: MsgBatch;
  readonly #fd = openSocket(HERE, SOCK_DGRAM, 0, "a socket to fill the queue");
  readonly #memory = Memory.allocate(PACKETS * STRIDE);

  constructor() {
    enlargeBuffers(this.#fd);
    this.#batch = new MsgBatch({ slab: this.#memory, capacity: PACKETS });
    for (let i = 0; i < PACKETS; i++) {
      this.#memory.view.setUint32(i * STRIDE, i);
      this.#batch.setPeer(i, AF_INET, BEHIND_TUN, 0, 9);
    }
  }

  fill(size: number): void {
    for (let i = 0; i < PACKETS; i++) this.#batch.setBuffer(i, i * STRIDE, size - IP_AND_UDP);
    for (let sent = 0; sent < PACKETS; ) {
      const result = this.#batch.send(this.#fd, sent, PACKETS - sent);
      if (result < 0) throw new Error(`the queue cannot be filled: ${result}`);
      sent += result;
    }
  }
}

/** One way to move packets between a device and slots of the slab. */
interface Way {
  readonly name: string;
  /** Until there is none; `see` gets the slot and length of each, in order, when it is given. Returns how many. */
  read(see?: (at: number, length: number) => void): number;
  /** All slots, over and over, PACKETS in all. */
  write(size: number): void;
}

const slotAt = (slot: number): number => slot * STRIDE + HEADROOM;

const oneByOne = (fd: number, slab: Memory): Way => {
  const pieces = new IoVectors(slab, 2 * RING_ENTRIES);
  for (let slot = 0; slot < RING_ENTRIES; slot++) {
    pieces.set(2 * slot, slotAt(slot) - HEADER, HEADER);
    pieces.set(2 * slot + 1, slotAt(slot), STRIDE - HEADROOM);
  }
  return {
    name: "readv(2), write(2)",
    read(see) {
      for (let count = 0; ; count++) {
        const slot = count % RING_ENTRIES;
        const result = pieces.read(fd, 2 * slot, 2);
        if (result < 0) return count;
        see?.(slotAt(slot), result - HEADER);
      }
    },
    write(size) {
      for (let i = 0; i < PACKETS; i++)
        if (libc.write(fd, slab, slotAt(i % RING_ENTRIES) - HEADER, size + HEADER) !== size + HEADER)
          throw new Error("a packet was not taken");
    },
  };
};

const byRing = (fd: number, slab: Memory, ring: IoUring): Way => ({
  name: `io_uring, ${RING_ENTRIES} a call`,
  read(see) {
    for (let count = 0; ; ) {
      for (let slot = 0; slot < RING_ENTRIES; slot++)
        ring.read(fd, slab, slotAt(slot) - HEADER, STRIDE - HEADROOM + HEADER);
      ring.run();
      const before = count;
      for (let slot = 0; slot < RING_ENTRIES; slot++) {
        const result = ring.result[slot]!;
        if (result < 0) continue;
        count++;
        see?.(slotAt(slot), result - HEADER);
      }
      if (count - before < RING_ENTRIES) return count;
    }
  },
  write(size) {
    for (let i = 0; i < PACKETS; i += RING_ENTRIES) {
      for (let slot = 0; slot < RING_ENTRIES; slot++) ring.write(fd, slab, slotAt(slot) - HEADER, size + HEADER);
      ring.run();
      for (let slot = 0; slot < RING_ENTRIES; slot++)
        if (ring.result[slot] !== size + HEADER) throw new Error("a packet was not taken");
    }
  },
});

/** Packets to be written lie in all slots: the kernel drops them where it looks for their route. */
const prepareWrites = (slab: Memory, size: number): void => {
  for (let slot = 0; slot < RING_ENTRIES; slot++) {
    const at = slotAt(slot);
    slab.bytes.fill(0, at - HEADER, at + size);
    slab.bytes.set([0x45, 0, size >> 8, size & 0xff, 0, 0, 0, 0, 64, 17, 0, 0, ...BEHIND_TUN, ...NOWHERE], at);
    let sum = 0;
    for (let i = 0; i < 20; i += 2) sum += slab.view.getUint16(at + i);
    slab.view.setUint16(at + 10, ~((sum & 0xffff) + (sum >>> 16)));
    slab.view.setUint16(at + 24, size - 20);
  }
};

/** Octets and packets that the interface has delivered to the kernel. */
const delivered = (name: string): readonly number[] => {
  const line = readFileSync("/proc/net/dev", "utf8")
    .split("\n")
    .find((each) => each.trimStart().startsWith(`${name}:`));
  if (line === undefined) throw new Error(`no interface ${name}`);
  return line.split(":")[1]!.trim().split(/\s+/).slice(0, 2).map(Number);
};

const checkEqual = (ways: readonly Way[], filler: Filler, slab: Memory, name: string, size: number): void => {
  const [first, ...others] = ways.map((way) => {
    const seen: string[] = [];
    filler.fill(size);
    // The IPv4 identification and the sums over it differ from packet to packet.
    way.read((at, length) => seen.push(`${length} ${slab.view.getUint32(at + IP_AND_UDP)}`));
    slab.bytes.fill(0);
    prepareWrites(slab, size);
    const before = delivered(name);
    way.write(size);
    return { seen, written: delivered(name).map((count, i) => count - before[i]!) };
  });
  deepStrictEqual(
    first!.seen,
    Array.from({ length: PACKETS }, (_, i) => `${size} ${i}`),
  );
  for (const other of others) deepStrictEqual(other, first);
};

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

/** Nanoseconds a packet, by the clock. */
const timed = (act: () => void): number => {
  const begin = performance.now();
  act();
  return ((performance.now() - begin) * 1e6) / PACKETS;
};

const load = (): string =>
  loadavg()
    .map((each) => each.toFixed(2))
    .join(" ");

const main = (): void => {
  const ring = IoUring.open();
  if (typeof ring === "number") {
    console.log(`io_uring is refused here: ${refusal(ring)}`);
    return;
  }
  const { name, fds } = openTun({ vnetHdr: true });
  const fd = fds[0]!;
  setTxQueueLength(name, PACKETS);
  writeFileSync("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"); // its own packets would stand in the queue
  writeFileSync("/proc/sys/net/ipv4/ip_forward", "1");
  addAddress(name, `${HERE}/24`);
  setUp(name, true);
  addRoute(`${NOWHERE.join(".")}/32`, undefined, { type: "blackhole" });
  const filler = new Filler();
  const slab = Memory.allocate(RING_ENTRIES * STRIDE);
  const plain = oneByOne(fd, slab);
  const ways = [plain, byRing(fd, slab, ring), { ...plain, name: `${plain.name} (again)` }];

  console.log(`${cpus()[0]?.model ?? "unknown processor"}, ${cpus().length} cores, ${arch()}, Linux ${release()}`);
  console.log(
    `Node ${process.versions.node}; load before: ${load()}; medians of ${ROUNDS} rounds of ${PACKETS} packets`,
  );
  const table = new Table({
    head: ["octets", "way", "read ns", "write ns"],
    colAligns: ["right", "left", "right", "right"],
    style: { head: [], border: [] },
  });
  for (const size of SIZES) {
    checkEqual(ways, filler, slab, name, size);
    const reading = ways.map((): number[] => []);
    const writing = ways.map((): number[] => []);
    for (let round = -WARM_UP; round < ROUNDS; round++)
      for (const [i, way] of ways.entries()) {
        filler.fill(size);
        let count = 0;
        const read = timed(() => {
          count = way.read();
        });
        strictEqual(count, PACKETS, `${way.name}: packets that were read`);
        prepareWrites(slab, size);
        const written = timed(() => way.write(size));
        if (round < 0) continue;
        reading[i]!.push(read);
        writing[i]!.push(written);
      }
    for (const [i, way] of ways.entries())
      table.push([`${size}`, way.name, median(reading[i]!).toFixed(0), median(writing[i]!).toFixed(0)]);
  }
  console.log(table.toString());
  console.log(`load after: ${load()}`);
  ring.close();
};

if (process.argv[2] === "inside") main();
else inNamespace();
