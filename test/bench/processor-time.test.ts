/** Busy time is shared out to whom it belongs. */
import { expect, test } from "vitest";
import { processorTime, processorTimeSince, readBusy, readProgram, shareOut } from "../../src/bench/processor-time.ts";

test("the first line of /proc/stat: idle and waiting are not busy, guests are in user already", () => {
  const { busy, stolen } = readBusy("cpu  100 200 300 4000 5000 60 70 80 90 10\ncpu0 1 1 1 1 1 1 1 1 1 1\n");
  expect(busy).toBeCloseTo(7.3, 9);
  expect(stolen).toBeCloseTo(0.8, 9);
});

test("a process is read whatever its name is, with its children that have ended; a thread of the kernel is none", () => {
  const stat = (flags: number): string => `7 (a) R 3 (b) S 42 7 7 0 -1 ${flags} 0 0 0 0 10 20 30 40 20 0 1 0 0 0`;
  expect(readProgram(7, stat(0x400000))).toEqual({ pid: 7, parent: 42, time: 1 });
  expect(readProgram(7, stat(0x208040))).toBeUndefined();
});

test("what we and ours have not used is others', and what nobody has is the kernel's", () => {
  const all = [
    { pid: 1, parent: 0, time: 5 },
    { pid: 10, parent: 1, time: 2 },
    { pid: 11, parent: 10, time: 3 },
    { pid: 12, parent: 11, time: 4 },
    { pid: 20, parent: 1, time: 6 },
    { pid: 21, parent: 19, time: 1 }, // its parent has just ended
  ];
  expect(shareOut(all, 10, { busy: 30, stolen: 2 })).toEqual({ ours: 9, others: 12, kernel: 9, stolen: 2 });
});

test("our own work is ours", () => {
  const before = processorTime();
  for (const end = process.cpuUsage().user + 150_000; process.cpuUsage().user < end; );
  expect(processorTimeSince(before).ours).toBeGreaterThanOrEqual(0.1);
});
