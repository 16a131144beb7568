/**
 * What do the small functions cost that every packet passes? Each is checked against an obvious model before it is timed.
 *
 *   npm run bench:hot-functions
 *
 * One operation is 1,000 packets. Read the figures as ratios: nothing but the function competes for the caches here.
 */
import { strictEqual } from "node:assert";
import benny from "benny";
import { fold } from "../src/dataplane/checksum.ts";
import { clampMss } from "../src/dataplane/mss-clamp.ts";
import { type SlabSum, scalarSum, summedSlab } from "../src/dataplane/slab-sum.ts";
import { tosOf } from "../src/ipsec/ecn.ts";
import { accept, inferSeq, isFresh, ringWordsFor } from "../src/ipsec/replay.ts";

const PACKETS = 1000;
const OCTETS = 1348;

// Sequence numbers in order, but every eighth packet is eight late.
const sequence = (first: number): number[] =>
  Array.from({ length: PACKETS }, (_, i) => first + (i % 8 === 7 ? i - 4 : i));

const replayOf = (window: number) => {
  const words = new Uint32Array(ringWordsFor(window));
  let top = 0;
  return (numbers: readonly number[]): number => {
    let fresh = 0;
    for (let i = 0; i < numbers.length; i++) {
      const seq = inferSeq(top, window, numbers[i]! >>> 0);
      if (!isFresh(words, 0, words.length, window, top, seq)) continue;
      top = accept(words, 0, words.length, top, seq);
      fresh++;
    }
    return fresh;
  };
};

for (const window of [64, 1024, 4096]) {
  const numbers = [...sequence(1), ...sequence(1).slice(-40), ...sequence(1001)];
  const seen = new Set<number>();
  let top = 0;
  let expected = 0;
  for (const seq of numbers) {
    if (seen.has(seq) || seq <= top - window) continue;
    seen.add(seq);
    top = Math.max(top, seq);
    expected++;
  }
  strictEqual(replayOf(window)(numbers), expected, `window ${window}`);
}

const { slab: memory, sum: vector } = summedSlab(65_536);
const slab = new Uint8Array(memory);
for (let i = 0; i < slab.length; i++) slab[i] = (i * 167) >>> 3;
const scalar = scalarSum(slab);
for (let length = 0; length <= OCTETS; length++) {
  let model = 0; // RFC 1071 as written, in the machine's order
  for (let i = 0; i < length; i++) model += slab[64 + i]! << (i & 1 ? 8 : 0);
  for (const sum of [scalar, vector]) strictEqual(fold(fold(sum(64, length))), fold(fold(model)), `${length} octets`);
}

const repeat = (sum: SlabSum) => (): number => {
  let all = 0;
  for (let i = 0; i < PACKETS; i++) all ^= sum(64, OCTETS);
  return all;
};

// TCP packets of a bulk flow, none of them a SYN: IPv4 and IPv6 in turn.
const PACKET = 64;
const flow = new Uint8Array(PACKETS * PACKET);
for (let n = 0; n < PACKETS; n++) {
  const at = n * PACKET;
  const v6 = n % 2 === 1;
  flow[at] = v6 ? 0x60 : 0x45;
  flow[at + (v6 ? 6 : 9)] = 6;
  const tcp = at + (v6 ? 40 : 20);
  flow[tcp + 12] = 0x50;
  flow[tcp + 13] = 0x10; // ACK
}
const tosTable = Uint8Array.from({ length: 256 }, (_, tos) => tos);
const lookAtFlow = (): number => {
  let all = 0;
  for (let n = 0; n < PACKETS; n++) {
    const at = n * PACKET;
    if (clampMss(flow, at, PACKET, 1398, 1378, true)) all++;
    all += tosTable[tosOf(flow, at)]!;
  }
  return all;
};
strictEqual(lookAtFlow(), 0, "no packet of the flow is a SYN or has a TOS");

const window = (size: number) =>
  benny.add(`replay window ${size}: inferSeq, isFresh, accept`, () => {
    const judge = replayOf(size);
    let first = 1;
    return () => {
      const fresh = judge(sequence(first));
      first += PACKETS;
      return fresh;
    };
  });

await benny.suite(
  `hot functions, ${PACKETS} packets an operation`,
  window(64),
  window(1024),
  window(4096),
  benny.add("MSS and outer TOS: a packet that is no SYN", () => lookAtFlow),
  benny.add(`checksum of ${OCTETS} octets, JavaScript`, repeat(scalar)),
  benny.add(`checksum of ${OCTETS} octets, WebAssembly SIMD`, repeat(vector)),
  benny.cycle(),
  benny.complete(),
);
