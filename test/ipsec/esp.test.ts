import fc from "fast-check";
import { expect, test } from "vitest";
import {
  highOf,
  lowSeqOf,
  NEXT_IPV4,
  nextHeaderOf,
  payloadLength,
  spiOf,
  textLengthFor,
  writeCounterIv,
  writeHeader,
  writeTrailer,
} from "../../src/ipsec/esp.ts";

const viewOf = (slab: Uint8Array): DataView => new DataView(slab.buffer, slab.byteOffset, slab.byteLength);

test("31 octets for CBC are padded by 15 to 48", () => {
  const slab = new Uint8Array(64).fill(0xee);
  expect(writeTrailer(viewOf(slab), 4, 31, 16, NEXT_IPV4)).toBe(48);
  expect([...slab.subarray(4 + 31, 4 + 48)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 15, 4]);
  expect(slab[4 + 48]).toBe(0xee);
});

test("a trailer is read as it was written, for every length and alignment", () => {
  const slab = new Uint8Array(4096);
  for (const alignment of [4, 16])
    for (let payload = 0; payload < 200; payload++) {
      const length = writeTrailer(viewOf(slab), 7, payload, alignment, 41);
      expect(length).toBe(textLengthFor(payload, alignment));
      expect(length % alignment).toBe(0);
      expect(length - payload).toBeLessThan(alignment + 2);
      expect(payloadLength(viewOf(slab), 7, length)).toBe(payload);
      expect(nextHeaderOf(viewOf(slab), 7, length)).toBe(41);
    }
});

test("255 octets of padding are read, one more than there is room for is not", () => {
  const slab = new Uint8Array(512);
  for (let i = 0; i < 255; i++) slab[9 + i] = i + 1;
  slab[9 + 255] = 255;
  expect(payloadLength(viewOf(slab), 0, 9 + 257)).toBe(9);
  expect(payloadLength(viewOf(slab), 9, 257)).toBe(0);
  expect(payloadLength(viewOf(slab), 10, 256)).toBe(-1);
});

test("padding that does not count 1, 2, 3 is refused", () => {
  const slab = Uint8Array.of(9, 9, 1, 2, 4, 3, 0, 4);
  expect(payloadLength(viewOf(slab), 0, 7)).toBe(-1); // 1, 2, 4 with pad length 3
  expect(payloadLength(viewOf(Uint8Array.of(9, 1, 2, 3, 3, 4)), 0, 6)).toBe(1);
});

test("header and counter IV hold all 53 bits of a sequence number", () => {
  fc.assert(
    fc.property(fc.integer({ min: 256, max: 0xffff_ffff }), fc.maxSafeNat(), (spi, seq) => {
      const slab = new Uint8Array(16);
      writeHeader(viewOf(slab), 0, spi, seq);
      writeCounterIv(viewOf(slab), 8, highOf(seq), seq);
      const view = new DataView(slab.buffer);
      expect([spiOf(viewOf(slab), 0), lowSeqOf(viewOf(slab), 0)]).toEqual([spi, Number(BigInt(seq) & 0xffff_ffffn)]);
      expect(view.getBigUint64(8)).toBe(BigInt(seq));
      expect(highOf(seq)).toBe(Number(BigInt(seq) >> 32n));
    }),
  );
});
