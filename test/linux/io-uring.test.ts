/** Operations of a batch: in order, each with its own outcome, none that waits. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openEventfd } from "../../src/linux/eventfd.ts";
import { IoUring, RING_ENTRIES, refusal } from "../../src/linux/io-uring.ts";
import { IoVectors } from "../../src/linux/io-vectors.ts";
import * as libc from "../../src/linux/libc.ts";
import { Memory } from "../../src/linux/memory.ts";
import { MemoryTun } from "../support/memory-tun.ts";

const opened = IoUring.open();
if (typeof opened !== "number") opened.close();

let ring: IoUring;
const closing: (() => void)[] = [];

beforeEach((context) => {
  if (typeof opened === "number") context.skip(`no io_uring: ${refusal(opened)}`);
  ring = IoUring.open() as IoUring;
  closing.push(() => ring.close());
});
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

const eventfd = (): number => {
  const fd = openEventfd();
  closing.push(() => libc.close(fd));
  return fd;
};

test("operations are done in the order in which they were added, and one that would wait says so", () => {
  const fd = eventfd();
  const memory = Memory.allocate(24);
  memory.setWord64(0, 3);
  for (let run = 0; run < 300; run++) {
    memory.bytes.fill(0, 8);
    ring.write(fd, memory, 0, 8);
    ring.write(fd, memory, 0, 8);
    ring.read(fd, memory, 8, 8);
    ring.read(fd, memory, 16, 8);
    ring.write(fd, memory, 0, 8);
    ring.read(fd, memory, 16, 8);
    ring.run();
    expect([...ring.result.subarray(0, 6)]).toEqual([8, 8, 8, -11, 8, 8]);
    expect([memory.getWord64(8), memory.getWord64(16)]).toEqual([6, 3]);
    expect(ring.count).toBe(0);
  }
});

test("a full batch of packets keeps their bounds and their order", () => {
  const tun = new MemoryTun();
  closing.push(() => tun.close());
  const memory = Memory.allocate(RING_ENTRIES * 256);
  memory.bytes.forEach((_, i) => {
    memory.bytes[i] = (i * 7) ^ (i >> 8);
  });
  const pieces = new IoVectors(memory, 2 * RING_ENTRIES);
  for (let first = 0; first < RING_ENTRIES; first += 8) {
    for (let i = first; i < first + 8; i++) {
      pieces.set(2 * i, i * 256, 20);
      pieces.set(2 * i + 1, i * 256 + 100, i);
      if (i % 2 === 0) ring.write(tun.planeFd, memory, i * 256, 100 + i);
      else ring.writePieces(tun.planeFd, pieces, 2 * i, 2);
    }
    ring.run();
    const expected = Array.from({ length: 8 }, (_, k) => {
      const at = (first + k) * 256;
      const bytes = memory.bytes;
      if (k % 2 === 0) return bytes.slice(at, at + 100 + first + k);
      return Uint8Array.from([...bytes.subarray(at, at + 20), ...bytes.subarray(at + 100, at + 100 + first + k)]);
    });
    expect([...ring.result.subarray(0, 8)]).toEqual(expected.map(({ length }) => length));
    expect(tun.delivered()).toEqual(expected);
  }
  for (let i = 0; i < RING_ENTRIES; i++) ring.read(tun.planeFd, memory, i * 256, 256);
  expect(ring.isFull).toBe(true);
  expect(() => ring.read(tun.planeFd, memory, 0, 256)).toThrow(RangeError);
  tun.inject(Uint8Array.of(1, 2, 3));
  tun.inject(Uint8Array.of(4));
  ring.run();
  expect([...ring.result]).toEqual([3, 1, ...Array<number>(RING_ENTRIES - 2).fill(-11)]);
  expect([...memory.bytes.subarray(0, 3), memory.bytes[256]]).toEqual([1, 2, 3, 4]);
});

test("an operation that fails holds up no other", () => {
  const fd = eventfd();
  const memory = Memory.allocate(8);
  memory.setWord64(0, 1);
  ring.write(-1, memory, 0, 8);
  ring.write(fd, memory, 0, 8);
  ring.read(fd, memory, 0, 4); // an eventfd gives eight octets or none
  ring.read(fd, memory, 0, 8);
  ring.run();
  expect([...ring.result.subarray(0, 4)]).toEqual([-9, 8, -22, 8]);
});

test("octets outside the memory are refused before anything is submitted", () => {
  const memory = Memory.allocate(64);
  expect(() => ring.read(0, memory, 60, 8)).toThrow(RangeError);
  expect(() => ring.write(0, memory, -1, 8)).toThrow(RangeError);
  expect(() => ring.writePieces(0, new IoVectors(memory, 2), 1, 2)).toThrow(RangeError);
  expect(ring.count).toBe(0);
});

test("a ring that was closed answers with an error, and does not submit later what it did not then", () => {
  const fd = eventfd();
  const memory = Memory.allocate(8);
  ring.close();
  for (let run = 0; run < 100; run++) {
    ring.write(fd, memory, 0, 8);
    ring.run();
    expect(ring.result[0]).toBe(-9);
  }
});

test("as many rings as wanted may be opened and closed in one thread", () => {
  for (let i = 0; i < 50; i++) {
    const another = IoUring.open();
    expect(another).toBeInstanceOf(IoUring);
    if (another instanceof IoUring) another.close();
  }
});

/** The kernel takes rings apart in its own time, and then writes to them. Most writes come within 0.1 s. */
test("what the kernel still writes to rings that are gone hits no memory that was allocated later", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const allocate = (octets: number): Int32Array => new Int32Array(new SharedArrayBuffer(octets)).fill(-1);
  allocate(4 << 20);
  collect(); // from now on what is freed stays in the heap of the C library, to be allocated again
  for (let i = 0; i < 16; i++) {
    const gone = IoUring.open();
    if (gone instanceof IoUring) gone.close();
  }
  collect();
  const later = Array.from({ length: 64 }, () => allocate(192 << 10));
  await new Promise((wake) => setTimeout(wake, 400));
  expect(later.filter((words) => words.some((word) => word !== -1))).toHaveLength(0);
});

test.each([
  [-1, /io_uring_disabled|seccomp/],
  [-38, /the kernel has none/],
  [-22, /older than Linux 6\.5/],
  [-12, /ENOMEM/],
])("a refusal with %i has its reason", (result, reason) => {
  expect(refusal(result)).toMatch(reason);
});
