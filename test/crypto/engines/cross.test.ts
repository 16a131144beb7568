/** Every engine opens what every other sealed, and seals the same octets, whatever shares a batch and wherever it lies. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { toHex } from "../../../src/bytes.ts";
import { ENGINE_DRIVERS } from "../../../src/crypto/select-engine.ts";
import { Bench, EVERY_KIND, type Packet, packetOf, sealedLength } from "./esp-batch.ts";

const CAPACITY = 40;
const ROOM = 256 * 1024;
const here = ENGINE_DRIVERS.filter((driver) => driver.unavailable() === undefined);
const benches = () => here.map(({ name, open }) => ({ name, bench: new Bench(open, CAPACITY, ROOM) }));

test.each(EVERY_KIND)("every engine that does $kind agrees with every other", ({ suite, esn, kind }) => {
  const able = benches().filter(({ bench }) => bench.engine.supports(suite));
  expect(able.length, kind).toBeGreaterThan(0);
  fc.assert(
    fc.property(fc.nat(400), fc.nat(1_000_000), (payload, seed) => {
      const packet = packetOf(suite, payload, esn, seed);
      const sealed = able.map(({ bench }) => {
        const key = bench.expand(packet);
        const octets = bench.sealOne(packet, key);
        bench.engine.release(key);
        return octets;
      });
      able.forEach(({ name, bench }, i) => {
        expect(toHex(sealed[i]!), `sealed by ${name}`).toBe(toHex(sealed[0]!));
        const key = bench.expand(packet);
        expect(toHex(bench.openOne(packet, key, sealed[0]!) ?? sealed[0]!), `opened by ${name}`).toBe(
          toHex(packet.clear),
        );
        bench.engine.release(key);
      });
    }),
    { numRuns: 20, seed: suite.id },
  );
  for (const { bench } of able) bench.engine.close();
});

const drawn = fc.array(
  fc.record({
    kind: fc.nat(EVERY_KIND.length - 1),
    payload: fc.oneof({ weight: 6, arbitrary: fc.nat(200) }, { weight: 3, arbitrary: fc.nat(1500) }, fc.nat(6000)),
    gap: fc.nat(70),
    forge: fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, fc.nat(1_000_000)),
  }),
  { minLength: 1, maxLength: CAPACITY },
);

test("every engine makes the same of a batch of anything anywhere, and finds the same packets forged", () => {
  const all = benches();
  fc.assert(
    fc.property(drawn, fc.nat(1_000_000), (rows, seed) => {
      const chosen = rows.map((row, i) => {
        const { suite, esn } = EVERY_KIND[row.kind]!;
        return { ...row, packet: packetOf(suite, row.payload, esn, seed + i) };
      });
      const outcomes: Map<Packet, string>[] = [];
      for (const { name, bench } of all) {
        const able = chosen.filter(({ packet }) => bench.engine.supports(packet.suite));
        const keys = able.map(({ packet }) => bench.expand(packet));
        bench.clear();
        able.forEach(({ packet, gap }, i) => {
          bench.add(packet, keys[i]!, packet.clear, gap);
        });
        bench.engine.seal(bench.ops);
        const outcome = new Map<Packet, string>();
        able.forEach(({ packet, forge }, i) => {
          expect(bench.ops.ok[i], name).toBe(1);
          outcome.set(packet, toHex(bench.at(i, sealedLength(packet))));
          if (forge === undefined) return;
          const bit = forge % (sealedLength(packet) * 8);
          const at = bench.ops.headAt[i]! + (bit >> 3);
          bench.ops.slab[at] = bench.ops.slab[at]! ^ (1 << (bit & 7));
        });
        bench.engine.open(bench.ops);
        able.forEach(({ packet, forge }, i) => {
          expect(bench.ops.ok[i], `${packet.suite.name} by ${name}`).toBe(forge === undefined ? 1 : 0);
          if (forge === undefined) expect(toHex(bench.at(i, packet.clear.length)), name).toBe(toHex(packet.clear));
        });
        for (const key of keys) bench.engine.release(key);
        outcomes.push(outcome);
      }
      for (const { packet } of chosen) {
        const results = outcomes.map((outcome) => outcome.get(packet)).filter((result) => result !== undefined);
        expect(new Set(results).size, packet.suite.name).toBe(1);
      }
    }),
    { numRuns: 60, seed: 20_261 },
  );
  for (const { bench } of all) bench.engine.close();
});
