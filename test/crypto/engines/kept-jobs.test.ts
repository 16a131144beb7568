/**
 * An engine may keep from batch to batch what it told its library of suites, keys and directions. Random batches in a row,
 * with keys that come and go, must be sealed and opened as an engine does that has seen none of those before.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Key } from "../../../src/crypto/engine.ts";
import { ENGINE_DRIVERS } from "../../../src/crypto/select-engine.ts";
import { Bench, EVERY_KIND, type Packet, packetOf, sealedLength } from "./esp-batch.ts";

const CAPACITY = 130; // more than a burst of libIPSec_MB
const KEYS = 6;
const reference = ENGINE_DRIVERS.find(({ name }) => name === "node")!;

const stepOf = (kind: fc.Arbitrary<(typeof EVERY_KIND)[number]>) =>
  fc.record({
    /** Replace this key by one of another kind before the batch. */
    renew: fc.record({ which: fc.nat(KEYS - 1), kind }),
    count: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 120, max: CAPACITY })),
    /** Packets in a row with one key. */
    run: fc.integer({ min: 1, max: 8 }),
    gap: fc.nat(70),
    seed: fc.nat(1_000_000),
    open: fc.boolean(),
  });

describe.each(ENGINE_DRIVERS.map((driver) => ({ name: driver.name, driver })))("engine $name", ({ driver }) => {
  test("does every batch as if it were its first", (context) => {
    const missing = driver.unavailable();
    if (missing !== undefined) context.skip(missing);
    const engines = [driver, reference].map((each) => each.open(new Uint8Array(new SharedArrayBuffer(4096)), 1));
    const done = EVERY_KIND.filter(({ suite }) => engines.every((engine) => engine.supports(suite)));
    for (const engine of engines) engine.close();
    const kind = fc.constantFrom(...done);
    fc.assert(
      fc.property(
        fc.array(stepOf(kind), { minLength: 2, maxLength: 5 }),
        fc.array(kind, { minLength: KEYS, maxLength: KEYS }),
        (steps, kinds) => {
          const tested = new Bench((slab, n) => driver.open(slab, n), CAPACITY, CAPACITY * 512);
          const told = new Bench((slab, n) => reference.open(slab, n), CAPACITY, CAPACITY * 512);
          const make = ({ suite, esn }: (typeof EVERY_KIND)[number], seed: number) => {
            const packet = packetOf(suite, 1, esn, seed);
            return { suite, esn, seed, keys: [tested.expand(packet), told.expand(packet)] as [Key, Key] };
          };
          const live = kinds.map((of, i) => make(of, i));
          for (const { renew, count, run, gap, seed, open } of steps) {
            const old = live[renew.which]!;
            tested.engine.release(old.keys[0]);
            told.engine.release(old.keys[1]);
            live[renew.which] = make(renew.kind, seed + 7);
            const packets: Packet[] = [];
            tested.clear();
            told.clear();
            for (let i = 0; i < count; i++) {
              const { suite, esn, keys } = live[Math.floor(i / run) % KEYS]!;
              const packet = packetOf(suite, (seed + i * 31) % 300, esn, seed + i);
              packets.push(packet);
              tested.add(packet, keys[0], packet.clear, gap + (i % 3));
              told.add(packet, keys[1], packet.clear, gap + (i % 3));
            }
            tested.engine.seal(tested.ops);
            told.engine.seal(told.ops);
            packets.forEach((packet, i) => {
              expect(Buffer.compare(tested.at(i, sealedLength(packet)), told.at(i, sealedLength(packet)))).toBe(0);
            });
            if (!open) continue;
            tested.engine.open(tested.ops);
            packets.forEach((packet, i) => {
              expect(tested.ops.ok[i]).toBe(1);
              expect(Buffer.compare(tested.at(i, packet.clear.length), packet.clear)).toBe(0);
            });
          }
          tested.engine.close();
          told.engine.close();
        },
      ),
      { numRuns: driver.name === "noble" ? 5 : 60, seed: 4106 },
    );
  });
});
