/** Sleeping on descriptors, being woken from another thread, and the bounds of shared memory. */
import { afterEach, expect, type TestContext, test } from "vitest";
import { drainEventfd, openEventfd, wake } from "../../src/linux/eventfd.ts";
import { close, libcUnavailable, read, write } from "../../src/linux/libc.ts";
import { Memory } from "../../src/linux/memory.ts";
import { POLLIN, POLLNVAL, POLLOUT, PollSet } from "../../src/linux/poll.ts";

const EAGAIN = -11;
const EBADF = -9;

const fds: number[] = [];
afterEach(() => {
  for (const fd of fds.splice(0)) close(fd);
});

const needLibc = (ctx: TestContext): void => {
  const reason = libcUnavailable();
  if (reason !== undefined) ctx.skip(reason);
};

const eventfd = (): number => {
  const fd = openEventfd();
  fds.push(fd);
  return fd;
};

test("an eventfd that was woken is readable until it is drained", (ctx) => {
  needLibc(ctx);
  const [quiet, woken] = [eventfd(), eventfd()];
  const set = new PollSet(3);
  expect([set.add(quiet, POLLIN), set.add(woken, POLLIN), set.add(-1, POLLIN)]).toEqual([0, 1, 2]);
  expect(set.wait(0)).toBe(0);
  wake(woken);
  wake(woken);
  expect(set.wait(-1)).toBe(1);
  expect([set.ready(0), set.ready(1), set.ready(2)]).toEqual([0, POLLIN, 0]);
  expect(drainEventfd(woken)).toBe(2);
  expect(drainEventfd(woken)).toBe(0);
  expect(set.wait(0)).toBe(0);
  expect(set.ready(1)).toBe(0);
});

test("what is watched can be changed, and a closed descriptor is told", (ctx) => {
  needLibc(ctx);
  const fd = openEventfd();
  const set = new PollSet(1);
  set.add(fd, POLLIN);
  set.setEvents(0, POLLIN | POLLOUT);
  expect(set.wait(0)).toBe(1);
  expect(set.ready(0)).toBe(POLLOUT);
  close(fd);
  expect(set.wait(0)).toBe(1);
  expect(set.ready(0)).toBe(POLLNVAL);
  set.clear();
  expect(set.count).toBe(0);
});

test("a set that is full, and an index that it has not, are RangeErrors", () => {
  const set = new PollSet(1);
  set.add(-1, POLLIN);
  expect(() => set.add(-1, POLLIN)).toThrow(RangeError);
  expect(() => set.set(1, -1, POLLIN)).toThrow(RangeError);
  expect(() => set.setEvents(-1, POLLIN)).toThrow(RangeError);
});

test("system calls answer -errno, and one that would leave the memory is never made", (ctx) => {
  needLibc(ctx);
  const memory = Memory.allocate(16);
  const fd = eventfd();
  expect(read(fd, memory, 0, 8)).toBe(EAGAIN);
  expect(read(1 << 20, memory, 0, 8)).toBe(EBADF);
  for (const [at, length] of [
    [9, 8],
    [-1, 8],
    [0, 17],
    [16, 1],
    [0, -1],
    [0.5, 1],
    [Number.NaN, 1],
    [2 ** 32, 1],
  ] as const) {
    expect(() => read(fd, memory, at, length)).toThrow(RangeError);
    expect(() => write(fd, memory, at, length)).toThrow(RangeError);
  }
  expect(read(1 << 20, memory, 16, 0)).toBe(EBADF); // an empty range at the end is inside
});

test("memory for the kernel is shared memory, whose address stays", () => {
  expect(() => new Memory(new ArrayBuffer(8) as unknown as SharedArrayBuffer)).toThrow(TypeError);
  const shared = new SharedArrayBuffer(64);
  const whole = new Memory(shared);
  const part = new Memory(shared, 16, 8);
  expect(part.base).toBe(whole.base + 16);
  expect(part.at(8, 0)).toBe(whole.at(24, 0));
  expect(() => part.at(0, 9)).toThrow(RangeError);
  part.setWord64(0, 2 ** 52 + 5);
  expect(whole.getWord64(16)).toBe(2 ** 52 + 5);
});
