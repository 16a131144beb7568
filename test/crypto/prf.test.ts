import { hmac } from "@noble/hashes/hmac.js";
import { sha1 } from "@noble/hashes/legacy.js";
import { sha256, sha384, sha512 } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat, toHex } from "../../src/bytes.ts";
import { PRFS, prfById, prfByName } from "../../src/crypto/prf.ts";

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** RFC 2202 and RFC 4231, test case 2. */
const JEFE: readonly [number, string][] = [
  [2, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"],
  [5, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"],
  [6, "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"],
  [
    7,
    "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
  ],
];

const HASHES = { prfsha1: sha1, prfsha256: sha256, prfsha384: sha384, prfsha512: sha512 };

describe("PRFs", () => {
  it.each(JEFE)("transform %i gives the known answer of its RFC", (id, expected) => {
    const prf = prfById(id)!;
    expect(toHex(prf.compute(text("Jefe"), text("what do ya "), text("want for nothing?")))).toBe(expected);
    expect(expected).toHaveLength(prf.keyLength * 2);
  });

  it("are found by name, and others are not", () => {
    for (const prf of PRFS) expect(prfByName(prf.name)).toBe(prf);
    expect(prfByName("prfmd5")).toBeUndefined();
    expect(prfById(1)).toBeUndefined();
  });
});

describe.each(PRFS.map((prf) => prf.name))("prf+ with %s", (name) => {
  const prf = prfByName(name)!;
  const hash = HASHES[name as keyof typeof HASHES];

  it("is the concatenation that RFC 7296 §2.13 draws, by another HMAC", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.uint8Array({ maxLength: 100 }),
        fc.integer({ min: 0, max: 600 }),
        (key, seed, length) => {
          let whole = new Uint8Array(0);
          let block = new Uint8Array(0);
          for (let n = 1; whole.length < length; n++) {
            block = hmac(hash, key, concat(block, seed, Uint8Array.of(n))) as Uint8Array<ArrayBuffer>;
            whole = concat(whole, block) as Uint8Array<ArrayBuffer>;
          }
          expect(toHex(prf.plus(key, seed, length))).toBe(toHex(whole.subarray(0, length)));
        },
      ),
      { numRuns: 60, seed: 1 },
    );
  });

  it("ends at 255 rounds", () => {
    const key = text("key");
    expect(prf.plus(key, key, 255 * prf.keyLength)).toHaveLength(255 * prf.keyLength);
    expect(() => prf.plus(key, key, 255 * prf.keyLength + 1)).toThrow(RangeError);
  });
});
