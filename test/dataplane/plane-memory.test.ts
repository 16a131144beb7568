/** What an SA takes of the memory that control and workers share, however many there are. */
import koffi from "koffi";
import { expect, test } from "vitest";
import { PlaneMemory } from "../../src/dataplane/plane-memory.ts";

const octetsOf = (slots: number): number => {
  const { sad, spd, counters } = PlaneMemory.create(slots).shared;
  return sad.byteLength + spd.byteLength + counters.byteLength;
};

test("at most 2 KiB of shared memory are an SA's: record, window, counters and selectors", () => {
  const pairs = 1024;
  expect((octetsOf(2 * pairs) - octetsOf(pairs)) / pairs / 2).toBeLessThanOrEqual(2048);
});

test("what is one worker's line is a line of the processor's, in large tables", () => {
  const { sad } = PlaneMemory.create(4096);
  expect(Number(koffi.address(sad.words)) % 64).toBe(0);
});
