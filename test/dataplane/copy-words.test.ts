/** Octets copied from memory to memory, against a copy octet by octet: every alignment and length, and what lies around them. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { copyOctets, copyWords } from "../../src/dataplane/copy-words.ts";
import { Memory } from "../../src/linux/memory.ts";

const WORDS = 64;
const OCTETS = WORDS * 4;

const memoryOf = (octets: Uint8Array) => {
  const bytes = new Uint8Array(new SharedArrayBuffer(OCTETS));
  bytes.set(octets);
  return { bytes, words: new Int32Array(bytes.buffer) };
};

const copied = (source: Uint8Array, target: Uint8Array, at: number, to: number, length: number): boolean => {
  const [from, into] = [memoryOf(source), memoryOf(target)];
  copyWords(from.words, at, into.words, to, length);
  const model = [...target];
  for (let i = 0; i < length; i++) model[to + i] = source[at + i]!;
  for (let i = to + length; (i & 3) !== 0; i++) model[i] = 0; // the rest of the last word
  return Buffer.compare(from.bytes, source) === 0 && Buffer.compare(into.bytes, Uint8Array.from(model)) === 0;
};

const octets = fc.uint8Array({ minLength: OCTETS, maxLength: OCTETS });

test("the octets arrive, whatever their alignment and length, and all around stays as it was", () => {
  const place = fc
    .tuple(fc.nat(OCTETS), fc.nat(OCTETS))
    .chain(([at, length]) => fc.tuple(fc.constant(at), fc.nat(WORDS - 1), fc.constant(Math.min(length, OCTETS - at))))
    .map(([at, word, length]) => ({ at, to: word * 4, length: Math.min(length, OCTETS - word * 4) }));
  fc.assert(
    fc.property(octets, octets, place, (source, target, { at, to, length }) => copied(source, target, at, to, length)),
    { numRuns: 1000 },
  );
});

test("every length at every alignment, up to the last octet of both memories", () => {
  const source = Uint8Array.from({ length: OCTETS }, (_, i) => i * 167 + 1);
  const target = new Uint8Array(OCTETS).fill(0x5a);
  for (let length = 0; length <= 80; length++) {
    for (let at = 8; at < 12; at++) expect(copied(source, target, at, 16, length), `${at}, ${length}`).toBe(true);
    expect(copied(source, target, OCTETS - length, (OCTETS - length) & -4, length), `the last ${length}`).toBe(true);
  }
});

test.each([190, 191, 192, 193, 194, 195, 1400, 65_535])("%i octets, by words or in one call", (length) => {
  for (let at = 8; at < 12; at++) {
    const [from, into] = [Memory.allocate((length + 15) & -4), Memory.allocate((length + 15) & -4)];
    for (let i = 0; i < from.size; i++) from.bytes[i] = i * 167 + 1;
    into.bytes.fill(0x5a);
    copyOctets(from, at, into, 8, length);
    expect(Buffer.compare(into.bytes.subarray(8, 8 + length), from.bytes.subarray(at, at + length))).toBe(0);
    expect(into.bytes.subarray(0, 8)).toEqual(new Uint8Array(8).fill(0x5a));
    expect(() => copyOctets(from, 16, into, 8, length)).toThrow(RangeError);
    expect(() => copyOctets(from, at, into, 16, length)).toThrow(RangeError);
  }
});

test("what is not inside, or begins no word of the target, is refused, and nothing is copied", () => {
  const source = new Uint8Array(OCTETS).fill(1);
  const places = [
    [1, 0, OCTETS],
    [0, 4, OCTETS],
    [0, 4, OCTETS - 3],
    [OCTETS - 3, 0, 4],
    [-1, 0, 4],
    [0, -4, 4],
    [0, 0, -1],
    [0.5, 0, 4],
    [0, 2, 4],
    [0, OCTETS + 4, 0],
  ] as const;
  for (const [at, to, length] of places) {
    const [from, into] = [memoryOf(source), memoryOf(new Uint8Array(OCTETS))];
    expect(() => copyWords(from.words, at, into.words, to, length), `${at}, ${to}, ${length}`).toThrow(RangeError);
    expect(into.bytes.every((octet) => octet === 0)).toBe(true);
  }
});
