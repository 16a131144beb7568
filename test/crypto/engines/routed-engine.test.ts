/** Several engines as one do what each of them would. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { toHex } from "../../../src/bytes.ts";
import type { Engine } from "../../../src/crypto/engine.ts";
import { noble } from "../../../src/crypto/engines/noble.ts";
import { node } from "../../../src/crypto/engines/node.ts";
import { RoutedEngine } from "../../../src/crypto/engines/routed-engine.ts";
import { suiteByName } from "../../../src/crypto/suites.ts";
import { openEngine } from "../../../src/dataplane/open-engine.ts";
import { Bench, EVERY_KIND, packetOf, sealedLength, suitesOf } from "./esp-batch.ts";

const able = suitesOf(noble).filter((suite) => suitesOf(node).includes(suite));
const aead = able.filter(({ mac }) => mac === undefined);
const others = able.filter(({ mac }) => mac !== undefined && mac !== "hmac-sha512");

const open = (slab: Uint8Array, capacity: number): Engine =>
  new RoutedEngine(
    [
      { engine: node.open(slab, capacity), suites: aead },
      { engine: noble.open(slab, capacity), suites: others },
    ],
    slab,
    capacity,
  );

const KINDS = EVERY_KIND.filter(({ suite }) => aead.includes(suite) || others.includes(suite));

test("a mixed batch is what one engine makes of it, verdicts in their places", () => {
  const routed = new Bench(open, 40, 40_000);
  const plain = new Bench(node.open, 40, 40_000);
  fc.assert(
    fc.property(
      fc.array(fc.record({ kind: fc.nat(KINDS.length - 1), payload: fc.nat(300), spoil: fc.boolean() }), {
        minLength: 1,
        maxLength: 40,
      }),
      (drawn) => {
        const packets = drawn.map(({ kind, payload }, i) => {
          const { suite, esn } = KINDS[kind]!;
          return packetOf(suite, payload, esn, i);
        });
        const hold = [routed, plain].map((bench) => {
          bench.clear();
          const keys = packets.map((packet) => bench.expand(packet));
          packets.forEach((packet, i) => {
            bench.add(packet, keys[i]!, packet.clear);
          });
          bench.engine.seal(bench.ops);
          return keys;
        });
        packets.forEach((packet, i) => {
          expect(routed.ops.ok[i]).toBe(1);
          expect(toHex(routed.at(i, sealedLength(packet)))).toBe(toHex(plain.at(i, sealedLength(packet))));
          const last = routed.ops.headAt[i]! + sealedLength(packet) - 1;
          if (drawn[i]!.spoil) routed.ops.slab[last] = routed.ops.slab[last]! ^ 1;
        });
        routed.engine.open(routed.ops);
        packets.forEach((packet, i) => {
          expect(routed.ops.ok[i]).toBe(drawn[i]!.spoil ? 0 : 1);
          if (!drawn[i]!.spoil) expect(toHex(routed.at(i, packet.clear.length))).toBe(toHex(packet.clear));
        });
        for (const key of hold[0]!) routed.engine.release(key);
        for (const key of hold[1]!) plain.engine.release(key);
      },
    ),
    { numRuns: 40, seed: 5 },
  );
  routed.engine.close();
  plain.engine.close();
});

test("refuses suites without a route, strangers' and released keys, and packets outside the slab", () => {
  const b = new Bench(open, 4, 4096);
  const orphan = suiteByName("aes128-sha512")!;
  expect(b.engine.supports(orphan)).toBe(false);
  expect(b.engine.supports(aead[0]!)).toBe(true);
  expect(() => b.engine.expand(orphan, new Uint8Array(orphan.keyLength), false)).toThrow(RangeError);
  const [one, two] = [packetOf(aead[0]!, 20, true, 1), packetOf(others[0]!, 20, true, 2)];
  const keys = [b.expand(one), b.expand(two)] as const;
  b.add(one, keys[0], one.clear);
  b.add(two, keys[1], two.clear);
  const before = b.ops.slab.slice();
  const refuses = (change: () => void, restore: () => void): void => {
    change();
    expect(() => b.engine.seal(b.ops)).toThrow(RangeError);
    expect(() => b.engine.open(b.ops)).toThrow(RangeError);
    restore();
  };
  refuses(
    () => {
      b.ops.keys[1] = 0;
    },
    () => {
      b.ops.keys[1] = keys[1].handle;
    },
  );
  const at = b.ops.headAt[1]!;
  refuses(
    () => {
      b.ops.headAt[1] = -1;
    },
    () => {
      b.ops.headAt[1] = at;
    },
  );
  expect(Buffer.compare(b.ops.slab, before)).toBe(0);
  b.engine.seal(b.ops);
  expect([...b.ops.ok.subarray(0, 2)]).toEqual([1, 1]);
  b.engine.release(keys[1]);
  expect(() => b.engine.seal(b.ops)).toThrow(RangeError);
  b.engine.close();
});

test("a plan opens the engines that it names, and one alone as it is", () => {
  const slab = new Uint8Array(new SharedArrayBuffer(8192));
  const one = openEngine({ aes256gcm16: "node", "aes128-sha256": "node" }, slab, 4);
  expect(one.name).toBe("node");
  one.close();
  const two = openEngine({ aes256gcm16: "noble", aes128gcm16: "noble", "aes128-sha256": "node" }, slab, 4);
  expect(two.name).toBe("noble, node");
  expect(two.supports(suiteByName("aes128-sha256")!)).toBe(true);
  expect(two.supports(suiteByName("aes256-sha256")!)).toBe(false);
  two.close();
});
