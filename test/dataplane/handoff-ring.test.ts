/** The ring between two threads against a queue in plain memory, over all lengths, full, empty and round its end. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { HandoffRing, recordOctets, ringOctets } from "../../src/dataplane/handoff-ring.ts";
import { Memory } from "../../src/linux/memory.ts";

interface Packet {
  readonly bytes: Uint8Array;
  readonly tunnel: number;
  readonly source: Uint8Array;
  readonly port: number;
}

const ends = (capacity: number, offset = 0) => {
  const memory = new SharedArrayBuffer(offset + ringOctets(capacity) + 64);
  return {
    memory,
    producer: new HandoffRing(memory, offset, capacity),
    consumer: () => new HandoffRing(memory, offset, capacity),
  };
};

const slabMemory = Memory.allocate(70_000);
const slab = slabMemory.bytes;
const outMemory = Memory.allocate(70_000);
const out = outMemory.bytes;
const address = new Uint8Array(16);

const push = (ring: HandoffRing, { bytes, tunnel, source, port }: Packet): boolean => {
  const at = 13 + (bytes.length & 3);
  slab.set(bytes, at);
  if (!ring.push(slabMemory, at, bytes.length, tunnel)) return false;
  if (source.length > 0) ring.setSource(bytes.length, source, 0, source.length, port);
  return true;
};

const take = (ring: HandoffRing): Packet | undefined => {
  if (!ring.next()) return undefined;
  const { length, tunnel, sourceLength, sourcePort } = ring;
  ring.copySource(address, 0);
  out.fill(0);
  ring.take(outMemory, 8);
  expect(out.subarray(0, 8).every((octet) => octet === 0)).toBe(true);
  return { bytes: out.slice(8, 8 + length), tunnel, source: address.slice(0, sourceLength), port: sourcePort };
};

const packets = (most: number): fc.Arbitrary<Packet> =>
  fc.record({
    bytes: fc.uint8Array({ maxLength: most }),
    tunnel: fc.integer({ min: -1, max: 1023 }),
    source: fc.constantFrom(0, 4, 16).chain((length) => fc.uint8Array({ minLength: length, maxLength: length })),
    port: fc.integer({ min: 0, max: 65535 }),
  });

/** What its consumer must get: source and port only where a source was given. */
const expected = (packet: Packet): Packet => ({ ...packet, port: packet.source.length === 0 ? 0 : packet.port });

test("whatever is pushed, published, taken and released, and whoever dies: what comes out is what went in, in order", () => {
  const steps = fc.array(
    fc.oneof(
      { weight: 6, arbitrary: packets(200).map((packet) => ({ do: "push" as const, packet })) },
      { weight: 2, arbitrary: fc.constant({ do: "publish" as const }) },
      { weight: 4, arbitrary: fc.constant({ do: "take" as const }) },
      { weight: 2, arbitrary: fc.constant({ do: "release" as const }) },
      { weight: 1, arbitrary: fc.constant({ do: "replace consumer" as const }) },
      { weight: 1, arbitrary: fc.constant({ do: "replace producer" as const }) },
    ),
    { maxLength: 300 },
  );
  fc.assert(
    fc.property(steps, (run) => {
      const capacity = 1024;
      const ring = ends(capacity, 64);
      let { producer } = ring;
      let consumer = ring.consumer();
      let pushed: Packet[] = [];
      let published: Packet[] = [];
      let taken: Packet[] = []; // and not released
      for (const step of run) {
        if (step.do === "push") {
          const used = [...taken, ...published, ...pushed].reduce((n, { bytes }) => n + recordOctets(bytes.length), 0);
          const done = push(producer, step.packet);
          // What is free may lie on both sides of the end, of which one is of no use to a record.
          const need = recordOctets(step.packet.bytes.length);
          if (done) expect(used + need).toBeLessThanOrEqual(capacity);
          else expect(used + 2 * need).toBeGreaterThan(capacity - 200);
          if (done) pushed.push(expected(step.packet));
        } else if (step.do === "publish") {
          producer.publish();
          published.push(...pushed);
          pushed = [];
        } else if (step.do === "take") {
          const packet = take(consumer);
          expect(packet).toEqual(published[0]);
          if (packet !== undefined) taken.push(published.shift()!);
        } else if (step.do === "release") {
          consumer.release();
          taken = [];
        } else if (step.do === "replace consumer") {
          consumer = ring.consumer();
          published = [...taken, ...published];
          taken = [];
        } else {
          producer = ring.consumer(); // another instance over the same memory
          pushed = [];
        }
      }
      producer.publish();
      for (const packet of [...published, ...pushed]) expect(take(consumer)).toEqual(packet);
      expect(take(consumer)).toBeUndefined();
    }),
    { numRuns: 300 },
  );
});

test("packets of every length go through, and fill the ring to the last octet", () => {
  const { producer, consumer } = ends(1 << 18);
  const end = consumer();
  for (let length = 0; length <= 65_535; length += length < 300 ? 1 : 997) {
    const packet = { bytes: new Uint8Array(length).fill(length), tunnel: 3, source: new Uint8Array(0), port: 0 };
    expect(push(producer, packet)).toBe(true);
    producer.publish();
    const got = take(end)!;
    end.release();
    expect(got.bytes.length).toBe(length);
    expect(got.bytes.every((octet) => octet === (length & 255))).toBe(true);
  }
  const small = ends(1024);
  const packet = { bytes: new Uint8Array(32).fill(9), tunnel: -1, source: new Uint8Array(0), port: 0 };
  for (let i = 0; i < 1024 / 64; i++) expect(push(small.producer, packet)).toBe(true);
  expect(push(small.producer, packet)).toBe(false);
});

test("positions go round at 2^32", () => {
  const capacity = 1024;
  const memory = new SharedArrayBuffer(ringOctets(capacity));
  new Int32Array(memory).set([-64], 0); // head and tail just before the end of their range
  new Int32Array(memory).set([-64], 16);
  const [producer, consumer] = [new HandoffRing(memory, 0, capacity), new HandoffRing(memory, 0, capacity)];
  for (let i = 0; i < 50; i++) {
    const packet = { bytes: Uint8Array.from([i, 1, 2]), tunnel: i, source: new Uint8Array(4).fill(i), port: i };
    expect(push(producer, packet)).toBe(true);
    producer.publish();
    expect(take(consumer)).toEqual(packet);
    consumer.release();
  }
});

test("nothing is written beyond the ring", () => {
  const { memory, producer, consumer } = ends(1024, 64);
  const end = consumer();
  for (let i = 0; i < 200; i++) {
    push(producer, { bytes: new Uint8Array((i * 37) % 200).fill(255), tunnel: -1, source: address, port: 7 });
    producer.publish();
    take(end);
    end.release();
  }
  const bytes = new Uint8Array(memory);
  expect(bytes.subarray(0, 64).every((octet) => octet === 0)).toBe(true);
  expect(bytes.subarray(64 + ringOctets(1024)).every((octet) => octet === 0)).toBe(true);
});
