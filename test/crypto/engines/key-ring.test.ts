/** Handles: what a batch names keys by. */
import { expect, test } from "vitest";
import { engineOf, KeyRing, placeOf, RingKey } from "../../../src/crypto/engines/key-ring.ts";
import { noble } from "../../../src/crypto/engines/noble.ts";
import { RoutedEngine } from "../../../src/crypto/engines/routed-engine.ts";
import { suiteByName } from "../../../src/crypto/suites.ts";

const [GCM, CBC] = [suiteByName("aes256gcm16")!, suiteByName("aes128-sha256")!];

class Blank extends RingKey {
  wiped = 0;
  wipe(): void {
    this.wiped++;
  }
}

const blank = (): Blank => new Blank(GCM, false);

test("a key that takes another's place has another handle, and the old one names nothing", () => {
  const ring = new KeyRing<Blank>();
  const kept = ring.add(blank);
  let last = 0;
  for (let i = 0; i < 600; i++) {
    const key = ring.add(blank);
    const { handle } = key;
    expect(handle).not.toBe(0);
    expect(handle).not.toBe(last);
    expect(placeOf(handle)).toBe(1);
    expect(handle).toBe(handle | 0); // a column of 32 bits holds it
    expect(ring.own(handle)).toBe(key);
    if (last !== 0) expect(() => ring.own(last)).toThrow(RangeError);
    ring.release(key);
    expect(key.wiped).toBe(1);
    expect(() => ring.own(handle)).toThrow(RangeError);
    last = handle;
  }
  expect(ring.own(kept.handle)).toBe(kept);
  expect(() => ring.own(0)).toThrow(RangeError);
});

test("the engines of a thread are told apart by their keys' handles", () => {
  const rings = Array.from({ length: 63 }, () => new KeyRing<Blank>());
  const handles = rings.map((ring) => ring.add(blank).handle);
  expect(new Set(handles.map(engineOf)).size).toBe(63);
  expect(handles.map(engineOf)).not.toContain(0);
  expect(() => rings[0]!.own(handles[1]!)).toThrow(RangeError);
});

test("two engines of one number cannot share the work: the second's keys are refused", () => {
  const slab = new Uint8Array(new SharedArrayBuffer(4096));
  const older = noble.open(slab, 4);
  const between = Array.from({ length: 62 }, () => new KeyRing<Blank>());
  const younger = noble.open(slab, 4);
  expect(between).toHaveLength(62);
  const both = new RoutedEngine(
    [
      { engine: older, suites: [GCM] },
      { engine: younger, suites: [CBC] },
    ],
    slab,
    4,
  );
  both.expand(GCM, new Uint8Array(GCM.keyLength), false);
  expect(() => both.expand(CBC, new Uint8Array(CBC.keyLength), false)).toThrow(RangeError);
  both.close();
});
