// HOT PATH
/** Counts a judged batch, by runs: packets in a row that have one block and one verdict cost one addition. */
import type { Counters } from "../ipsec/counters.ts";
import { Verdict } from "../ipsec/verdict.ts";

// What a module keeps to itself is a constant to V8; what it imports is looked up and checked for every packet.
const { HANDOFF, PART } = Verdict;

/** What is counted: columns with a row for each packet of the batch. */
export interface Judged {
  readonly count: number;
  readonly verdict: Uint8Array;
}

/**
 * Count every packet of `batch` with its worker, in the block `all`, and once more in its own block, where `own` names one;
 * -1 names none. `lengths`: inner octets. What was handed to another worker is counted by that one, and of the fragments of a
 * packet the first counts for all.
 */
export const settleBatch = (
  counters: Counters,
  all: number,
  batch: Judged,
  own: Int32Array,
  lengths: Int32Array,
): void => {
  const verdicts = batch.verdict;
  const { count } = batch;
  let block = -1;
  let verdict = -1;
  let packets = 0;
  let bytes = 0;
  // Of the runs before with the same verdict.
  let allPackets = 0;
  let allBytes = 0;
  for (let n = 0; n < count; n++) {
    const next = own[n]!;
    const judged = verdicts[n]!;
    if (next !== block || judged !== verdict) {
      if (packets > 0 && block >= 0) add(counters, block, verdict, packets, bytes);
      allPackets += packets;
      allBytes += bytes;
      if (judged !== verdict) {
        if (allPackets > 0) add(counters, all, verdict, allPackets, allBytes);
        allPackets = 0;
        allBytes = 0;
      }
      block = next;
      verdict = judged;
      packets = 0;
      bytes = 0;
    }
    packets++;
    bytes += lengths[n]!;
  }
  if (packets === 0) return;
  if (block >= 0) add(counters, block, verdict, packets, bytes);
  add(counters, all, verdict, allPackets + packets, allBytes + bytes);
};

const add = (counters: Counters, block: number, verdict: number, packets: number, bytes: number): void => {
  if (verdict !== HANDOFF && verdict !== PART) counters.add(block, verdict, packets, bytes);
};
