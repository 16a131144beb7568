/** When groups of datagrams are made, after what became of others. */
import { expect, test } from "vitest";
import { DatagramGroups } from "../../src/dataplane/datagram-groups.ts";

/** Batches until one may have groups again. */
const wait = (groups: DatagramGroups): number => {
  let batches = 0;
  while (!groups.begin()) batches++;
  return batches;
};

test("a kernel that refuses all is asked ever more seldom, and a batch of refusals is one", () => {
  const groups = new DatagramGroups();
  const waits = Array.from({ length: 8 }, () => {
    expect(wait(groups)).toBe(0);
    for (let n = 0; n < 5; n++) groups.refused();
    return wait(groups);
  });
  expect(waits).toEqual([1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072]);
});

test("a group that is refused where another was taken, before or after, changes nothing", () => {
  const groups = new DatagramGroups();
  groups.begin();
  groups.refused();
  groups.taken();
  expect(wait(groups)).toBe(0);
  groups.refused();
  expect(wait(groups)).toBe(0);
  const late = new DatagramGroups();
  late.begin();
  late.refused();
  expect(wait(late)).toBe(1024);
  late.taken();
  late.refused();
  expect(wait(late)).toBe(0);
});
