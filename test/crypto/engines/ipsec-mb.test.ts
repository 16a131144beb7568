/** What only the engine `ipsec-mb` has: a library of one known version, and keys in native memory. */
import { describe, expect, test } from "vitest";
import { highHalf, koffi } from "../../../src/crypto/engines/ffi.ts";
import { IpsecMbKey, isDone } from "../../../src/crypto/engines/ipsec-mb-key.ts";
import { KEY_WORDS, KeyMemory, PIECE_BITS } from "../../../src/crypto/engines/ipsec-mb-key-memory.ts";
import { JOB, KEY_MEMORY, KNOWN_VERSION, MGR } from "../../../src/crypto/engines/ipsec-mb-layout.ts";
import { ipsecMbLibrary, Manager, unknownLayout } from "../../../src/crypto/engines/ipsec-mb-library.ts";
import { SUITES } from "../../../src/crypto/suites.ts";
import { octets } from "./esp-batch.ts";

test("a library of another version is refused, and the reason names it", () => {
  expect(unknownLayout(KNOWN_VERSION, "1.3.0", MGR.SIZE)).toBeUndefined();
  expect(unknownLayout(0x010400, "1.4.0", MGR.SIZE)).toMatch(/1\.4\.0.*1\.3\.0/);
  expect(unknownLayout(0x020000, "2.0.0", MGR.SIZE)).toContain("2.0.0");
  expect(unknownLayout(KNOWN_VERSION, "1.3.0", MGR.SIZE - 1)).toContain(`${MGR.SIZE - 1} octets`);
});

describe("with the library", () => {
  const library = ipsecMbLibrary();
  const manager = (skip: (reason: string) => never): Manager =>
    typeof library === "string" ? skip(library) : new Manager(library);

  test("a key leaves nothing in native memory when it is wiped", (context) => {
    const mine = manager(context.skip);
    const places = new KeyMemory();
    for (const suite of SUITES.filter(isDone)) {
      const key = new IpsecMbKey(mine, places, 3, suite, octets(suite.keyLength, suite.id), true);
      key.handle = 3;
      key.publish();
      const memory = new Uint8Array(koffi().view(BigInt(places.addressOf(3)), KEY_MEMORY.SIZE));
      expect(memory.some((octet) => octet !== 0)).toBe(true);
      expect(places.rows.some((word) => word !== 0)).toBe(true);
      key.wipe();
      expect(memory.every((octet) => octet === 0)).toBe(true);
      expect(places.rows.every((word) => word === 0)).toBe(true);
    }
  });

  test("keys that come and go for ever take no more memory: a gateway of many rekeys lives long", (context) => {
    const mine = manager(context.skip);
    const places = new KeyMemory();
    const suites = SUITES.filter(isDone);
    const expandAll = (rounds: number): void => {
      for (let round = 0; round < rounds; round++)
        for (const suite of suites) new IpsecMbKey(mine, places, 0, suite, octets(suite.keyLength, round), true).wipe();
    };
    expandAll(20);
    const before = process.memoryUsage.rss();
    expandAll(400);
    // Some 5 kB for each prototype that the FFI library is given would be over 100 MB by now.
    expect(process.memoryUsage.rss() - before).toBeLessThan(40e6);
  });

  test("places of keys do not overlap, and each is its octets, its words and its address", () => {
    const places = new KeyMemory();
    places.reserve(2500);
    const taken = Array.from({ length: 2501 }, (_, place) => place);
    const addresses = taken.map((place) => places.addressOf(place)).sort((a, b) => a - b);
    for (let i = 1; i < addresses.length; i++)
      expect(addresses[i]! - addresses[i - 1]!).toBeGreaterThanOrEqual(KEY_MEMORY.SIZE);
    for (const place of taken) {
      const [piece, of] = [place >> PIECE_BITS, place % 2 ** PIECE_BITS];
      places.bytes(place).fill(place);
      expect(places.words[piece]![of * KEY_WORDS]).toBe(new Int32Array(new Uint8Array(4).fill(place).buffer)[0]);
      expect(places.highs[piece]).toBe(highHalf(places.addressOf(place)));
      expect(highHalf(places.addressOf(place) + KEY_MEMORY.SIZE - 1)).toBe(places.highs[piece]);
    }
    places.wipe(300);
    expect(places.bytes(300).every((octet) => octet === 0)).toBe(true);
    expect(places.bytes(301)[0]).toBe(301 % 256);
  });

  test("a manager leaves nothing in its memory when it is wiped", (context) => {
    const mine = manager(context.skip);
    expect(mine.words.some((word) => word !== 0)).toBe(true);
    mine.wipe();
    expect(mine.words.every((word) => word === 0)).toBe(true);
  });

  test("a queue that is not empty and at its beginning is not idle", (context) => {
    const mine = manager(context.skip);
    expect(mine.isIdle()).toBe(true);
    mine.words[MGR.NEXT_JOB / 4] = JOB.SIZE;
    expect(mine.isIdle()).toBe(false);
    mine.words[MGR.NEXT_JOB / 4] = 0;
    mine.words[MGR.EARLIEST_JOB / 4] = 0;
    expect(mine.isIdle()).toBe(false);
    mine.reset();
    expect(mine.isIdle()).toBe(true);
    for (const first of [-1, 1, 126, 128, 256]) expect(() => mine.beginAt(first)).toThrow(RangeError);
  });
});
