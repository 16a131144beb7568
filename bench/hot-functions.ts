/**
 * What do the small functions cost that every packet passes? Each is checked against an obvious model before it is timed.
 *
 *   npm run bench:hot-functions
 *
 * One operation is 1,000 packets. Read the figures as ratios: nothing but the function competes for the caches here.
 */
import { deepStrictEqual, strictEqual } from "node:assert";
import benny from "benny";
import { OP_SCRATCH, Ops } from "../src/crypto/engine.ts";
import { ESP_HEADER } from "../src/crypto/esp-inputs.ts";
import { ENGINE_DRIVERS, suitesDoneBy } from "../src/crypto/select-engine.ts";
import { suiteByName } from "../src/crypto/suites.ts";
import { fold } from "../src/dataplane/checksum.ts";
import { HandoffRing, ringOctets } from "../src/dataplane/handoff-ring.ts";
import { clampMss } from "../src/dataplane/mss-clamp.ts";
import { type SlabSum, scalarSum, summedSlab } from "../src/dataplane/slab-sum.ts";
import { tosOf } from "../src/ipsec/ecn.ts";
import { NEXT_IPV4, nextHeaderOf, payloadLength, writeCounterIv, writeHeader, writeTrailer } from "../src/ipsec/esp.ts";
import { versionOfWhole } from "../src/ipsec/ip.ts";
import { accept, inferSeq, isFresh, ringWordsFor } from "../src/ipsec/replay.ts";
import { parseSelector } from "../src/ipsec/selector.ts";
import { Spd } from "../src/ipsec/spd.ts";
import { Memory } from "../src/linux/memory.ts";

const PACKETS = 1000;
const OCTETS = 1348;

// Sequence numbers in order, but every eighth packet is a copy of the one four before it.
const sequence = (first: number): number[] =>
  Array.from({ length: PACKETS }, (_, i) => first + (i % 8 === 7 ? i - 4 : i));

const replayOf = (window: number) => {
  const ringWords = ringWordsFor(window);
  const words = new Uint32Array(ringWords + 1);
  let top = 0;
  return (numbers: readonly number[], first = 0): number => {
    let fresh = 0;
    for (let i = 0; i < numbers.length; i++) {
      const seq = inferSeq(top, window, (first + numbers[i]!) >>> 0);
      if (!isFresh(words, ringWords, 0, ringWords, window, top, seq)) continue;
      top = accept(words, ringWords, 0, ringWords, top, seq);
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

// The ring between two workers: packets of one length, from every alignment of a word, into it and out of it in batches.
const RING = 1 << 18;
const RING_BATCH = 50;
const RING_ROOM = 1536;
const ringMemory = new SharedArrayBuffer(ringOctets(RING));
const [giver, taker] = [new HandoffRing(ringMemory, 0, RING), new HandoffRing(ringMemory, 0, RING)];
const [givenMemory, takenMemory] = [Memory.allocate(RING_BATCH * RING_ROOM), Memory.allocate(RING_BATCH * RING_ROOM)];
const [given, taken] = [givenMemory.bytes, takenMemory.bytes];
for (let i = 0; i < given.length; i++) given[i] = (i * 167) >>> 3;
const handOver = (length: number) => (): void => {
  for (let done = 0; done < PACKETS; done += RING_BATCH) {
    for (let i = 0; i < RING_BATCH; i++) giver.push(givenMemory, i * RING_ROOM + (i & 3), length, -1);
    giver.publish();
    for (let i = 0; taker.next(); i++) taker.take(takenMemory, i * RING_ROOM);
    taker.release();
  }
};
for (const length of [64, 1400, 1401]) {
  taken.fill(0);
  handOver(length)();
  for (let i = 0; i < RING_BATCH; i++) {
    const at = i * RING_ROOM;
    const model = given.subarray(at + (i & 3), at + (i & 3) + length);
    strictEqual(Buffer.compare(taken.subarray(at, at + length), model), 0, `${length} octets, packet ${i}`);
  }
}

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
    const numbers = sequence(1);
    let first = 0;
    return () => {
      const fresh = judge(numbers, first);
      first += PACKETS;
      return fresh;
    };
  });

// Selectors: packets of which every other one is from a net that is not let out, by a slot of one selector and one of 32.
const packets = new Uint8Array(PACKETS * PACKET);
const view = new DataView(packets.buffer);
for (let n = 0; n < PACKETS; n++) {
  const header = [
    0x45,
    0,
    0,
    PACKET,
    0,
    0,
    0,
    0,
    64,
    17,
    0,
    0,
    ...[10, 1 + (n % 2), n >> 8, n & 255],
    ...[10, 9, 0, 1],
  ];
  packets.set(header, n * PACKET);
}
const spd = Spd.create(2);
const only = (text: string) => [parseSelector(text)!];
const others = Array.from({ length: 31 }, (_, i) => parseSelector(`172.16.${i}.0/24`)!);
spd.set(0, only("10.1.0.0/16"), only("10.9.0.0/16"));
spd.set(1, [...others, ...only("10.1.0.0/16")], only("10.9.0.0/16"));
const selected = (slot: number) => (): number => {
  let passed = 0;
  for (let n = 0; n < PACKETS; n++) {
    const version = versionOfWhole(view, n * PACKET, PACKET);
    if (spd.passesOutbound(slot, view, n * PACKET, PACKET, version)) passed++;
  }
  return passed;
};
for (const slot of [0, 1])
  for (let n = 0; n < PACKETS; n++) {
    const isOurs = view.getUint16(n * PACKET + 12) === 0x0a01; // source in 10.1.0.0/16, which is all that may leave
    strictEqual(spd.passesOutbound(slot, view, n * PACKET, PACKET, 4), isOurs, `slot ${slot}, packet ${n}`);
  }

// Framing: header, IV and trailer around packets of all lengths, and taken off again.
const ROOM = 256;
const frames = new Uint8Array(PACKETS * ROOM);
const frameView = new DataView(frames.buffer);
const LONGEST = 200;
const frame = (): number => {
  let all = 0;
  for (let n = 0; n < PACKETS; n++) {
    const at = n * ROOM;
    writeHeader(frameView, at, 0x1000, n);
    writeCounterIv(frameView, at + 8, 0, n);
    all += writeTrailer(frameView, at + 16, n % LONGEST, 4, NEXT_IPV4);
  }
  return all;
};
const unframe = (): number => {
  let all = 0;
  for (let n = 0; n < PACKETS; n++) {
    const at = n * ROOM + 16;
    const text = ((n % LONGEST) + 5) & -4;
    all += payloadLength(frameView, at, text) + nextHeaderOf(frameView, at, text);
  }
  return all;
};
frame();
for (let n = 0; n < PACKETS; n++) {
  const length = n % LONGEST;
  const padding = (4 - ((length + 2) % 4)) % 4; // RFC 4303 section 2.4 as written
  const expected = [...Array.from({ length: padding }, (_, i) => i + 1), padding, NEXT_IPV4];
  const at = n * ROOM + 16 + length;
  deepStrictEqual([...frames.subarray(at, at + expected.length)], expected, `${length} octets`);
  deepStrictEqual([frameView.getUint32(n * ROOM), frameView.getUint32(n * ROOM + 4)], [0x1000, n]);
  strictEqual(payloadLength(frameView, n * ROOM + 16, length + expected.length), length);
}

// Engines: a batch of 64 packets of 1400 octets. All that run here must seal alike.
const BATCH = 64;
const STRIDE = 1536;
const suite = suiteByName("aes256gcm16")!;
const sealers = ENGINE_DRIVERS.filter(({ name }) => suitesDoneBy(name).includes(suite)).map((driver) => {
  const room = new Uint8Array(new SharedArrayBuffer(BATCH * (STRIDE + OP_SCRATCH)));
  for (let i = 0; i < BATCH * STRIDE; i++) room[i] = (i * 167) >>> 3;
  const ops = new Ops(room, BATCH * STRIDE, BATCH);
  const engine = driver.open(room, BATCH);
  const key = engine.expand(
    suite,
    Uint8Array.from({ length: suite.keyLength }, (_, i) => i + 1),
    true,
  );
  for (let i = 0; i < BATCH; i++) {
    ops.keys[i] = key.handle;
    ops.headAt[i] = i * STRIDE;
    ops.textAt[i] = i * STRIDE + ESP_HEADER + suite.ivLength;
    ops.textLength[i] = 1404;
    ops.seqHigh[i] = i;
  }
  ops.count = BATCH;
  const clear = room.slice(0, BATCH * STRIDE);
  engine.seal(ops);
  const sealed = room.slice(0, BATCH * STRIDE);
  const sealAndOpen = (): void => {
    engine.seal(ops);
    engine.open(ops);
  };
  engine.open(ops);
  sealAndOpen();
  for (let i = 0; i < BATCH; i++) {
    strictEqual(ops.ok[i], 1, `${driver.name}: packet ${i} is authentic`);
    const [from, to] = [i * STRIDE, ops.textAt[i]! + ops.textLength[i]!];
    strictEqual(Buffer.compare(room.subarray(from, to), clear.subarray(from, to)), 0, `${driver.name}: packet ${i}`);
  }
  return { name: driver.name, sealed, seal: () => engine.seal(ops), sealAndOpen };
});
for (const { name, sealed } of sealers)
  strictEqual(Buffer.compare(sealed, sealers[0]!.sealed), 0, `${name} and ${sealers[0]!.name} differ`);

await benny.suite(
  `engines, a batch of ${BATCH} packets of 1400 octets an operation`,
  ...sealers.flatMap(({ name, seal, sealAndOpen }) => [
    benny.add(`${suite.name}: ${name} seals`, seal),
    benny.add(`${suite.name}: ${name} seals and opens`, sealAndOpen), // what is opened has to be sealed anew
  ]),
  benny.cycle(),
  benny.complete(),
);

await benny.suite(
  `hot functions, ${PACKETS} packets an operation`,
  window(64),
  window(1024),
  window(4096),
  benny.add("MSS and outer TOS: a packet that is no SYN", () => lookAtFlow),
  benny.add("selectors: one a side", selected(0)),
  benny.add("selectors: 32, the last one fits", selected(1)),
  benny.add("framing: header, IV, trailer", frame),
  benny.add("framing: padding and next header of what was opened", unframe),
  benny.add(`checksum of ${OCTETS} octets, JavaScript`, repeat(scalar)),
  benny.add(`checksum of ${OCTETS} octets, WebAssembly SIMD`, repeat(vector)),
  benny.add("handoff ring: 64 octets in and out", handOver(64)),
  benny.add("handoff ring: 1400 octets in and out", handOver(1400)),
  benny.cycle(),
  benny.complete(),
);
