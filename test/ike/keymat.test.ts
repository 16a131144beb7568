import { inspect } from "node:util";
import { hmac } from "@noble/hashes/hmac.js";
import { sha384 } from "@noble/hashes/sha2.js";
import { describe, expect, it } from "vitest";
import { concat, fromHex, toHex } from "../../src/bytes.ts";
import { IkeCipherKeys } from "../../src/crypto/ike-cipher.ts";
import { prfById } from "../../src/crypto/prf.ts";
import { suiteByName } from "../../src/crypto/suites.ts";
import { deriveChildKeys, deriveIkeKeys, deriveRekeyedIkeKeys } from "../../src/ike/keymat.ts";
import { keysOf, pattern, suiteOf } from "./sample-messages.ts";

/** From NIST's validation vectors of the IKEv2 key derivation (SP 800-135), PRF HMAC-SHA1, key material of 132 octets. */
const NIST = {
  ni: fromHex("32b50d5f4a3763f3"),
  nr: fromHex("9206a04b26564cb1"),
  spiI: fromHex("34c9e7c188868785"),
  spiR: fromHex("3ff77d760d2b2199"),
  shared: fromHex("4b2c1f971981a8ad8d0abeafabf38cf75fc8349c148142465ed9c8b516b8be52"),
  newShared: fromHex("863f3c9d06efd39d2b907b97f8699e5dd5251ef64a2a176f36ee40c87d4f9330"),
  material:
    "a14293677cc80ff8f9cc0eee30d895da9d8f405666e30ef0dfcb63c634a46002a2a63080e514a062768b76606f9fa5e992204fc5" +
    "a670bde3f10d6b027113936a5c55b648a194ae587b0088d52204b702c979fa280870d2ed41efa9c549fd11198af1670b143d384b" +
    "d275c5f594cf266b05ebadca855e4249520a441a81157435a7a56cc4",
  child:
    "8059e3ee8810e6c3a91bc8bcd2a7a41151b8d0e6ae239c7b38093ad85ef4c5811a8e7b5d1cdabd9560b2d5e092d1f24e2d4b85ec" +
    "cdf0ad0dc9abd94b51ee71814ca6dbc8bb51b630",
  childWithKe:
    "bb43244c1860ad65ee1e211ffe8bb3661750c8f89cb9f547df7f4fa61d37301628190e38c66232eab4b3ab14c400a5197dd3730e" +
    "d4820a8a10394d51e1c0400052f63ebd36b0e7ef",
  rekeyedSeed: "63e81194946ebd05df7df5ebf5d8750056bf1f1d",
};

const SHA1 = prfById(2)!;
const octets = (hex: string, from: number, length: number): Uint8Array => fromHex(hex).subarray(from, from + length);

describe("keys of an IKE SA", () => {
  // Five keys of 20 octets and two of 16: what the vector's 132 octets are for.
  const suite = suiteOf("aes128-sha1-modp2048");
  const keys = deriveIkeKeys({ ...NIST, prf: SHA1, suite });

  it("are those of a known answer, in the order of RFC 7296", () => {
    expect(toHex(keys.skD)).toBe(NIST.material.slice(0, 40));
    expect(toHex(keys.skPi)).toBe(NIST.material.slice(2 * 92, 2 * 112));
    expect(toHex(keys.skPr)).toBe(NIST.material.slice(2 * 112));
  });

  it("protect each direction with its own, in that order", () => {
    const { material } = NIST;
    const [skAi, skAr] = [octets(material, 20, 20), octets(material, 40, 20)];
    const [skEi, skEr] = [octets(material, 60, 16), octets(material, 76, 16)];
    const iv = pattern(16);
    const text = pattern(32);
    const expected = (skE: Uint8Array, skA: Uint8Array): string =>
      toHex(new IkeCipherKeys(keys.initiator.cipher, skE, skA).seal(NIST.ni, iv, text));
    expect(toHex(keys.initiator.seal(NIST.ni, iv, text))).toBe(expected(skEi, skAi));
    expect(toHex(keys.responder.seal(NIST.ni, iv, text))).toBe(expected(skEr, skAr));
  });

  it("of a rekeyed IKE SA follow from the old SK_d, with the PRF of the old one", () => {
    const sha256 = prfById(5)!;
    const rekeyed = deriveRekeyedIkeKeys({
      ...NIST,
      shared: NIST.newShared,
      oldPrf: SHA1,
      oldSkD: keys.skD,
      suite: suiteOf("aes128-sha256-modp2048"),
    });
    const seed = concat(NIST.ni, NIST.nr, NIST.spiI, NIST.spiR);
    expect(rekeyed.prf).toBe(sha256);
    expect(toHex(rekeyed.skD)).toBe(toHex(sha256.plus(fromHex(NIST.rekeyedSeed), seed, 32)));
  });

  it("have no integrity keys and end in a salt with AEAD", () => {
    const aead = keysOf("aes256gcm16-prfsha384-ecp384");
    const prf = (key: Uint8Array, ...data: Uint8Array[]): Uint8Array => hmac(sha384, key, concat(...data));
    const [ni, nr, spiI, spiR] = [pattern(32, 3), pattern(32, 5), pattern(8, 1), pattern(8, 2)];
    const skeyseed = prf(concat(ni, nr), pattern(32, 4));
    const blocks: Uint8Array[] = [];
    for (let n = 1; n <= 5; n++)
      blocks.push(prf(skeyseed, blocks.at(-1) ?? new Uint8Array(0), ni, nr, spiI, spiR, Uint8Array.of(n)));
    const material = concat(...blocks);
    expect(toHex(aead.skD)).toBe(toHex(material.subarray(0, 48)));
    expect(toHex(aead.skPi)).toBe(toHex(material.subarray(48 + 36 + 36, 48 + 36 + 36 + 48)));
    expect(toHex(aead.skPr)).toBe(toHex(material.subarray(168, 168 + 48)));
  });

  it("do not show when they are printed, and are gone when wiped", () => {
    const printed = `${inspect(keys, { depth: 9, showHidden: true })}${JSON.stringify(keys)}`;
    expect(printed).not.toContain(toHex(keys.skD));
    expect(printed).not.toMatch(/Uint8Array\(/);
    const other = deriveIkeKeys({ ...NIST, prf: SHA1, suite });
    const { skD, skPi, skPr } = other;
    other.wipe();
    for (const key of [skD, skPi, skPr]) expect(key.every((octet) => octet === 0)).toBe(true);
  });
});

describe("keys of a Child SA", () => {
  const skD = octets(NIST.material, 0, 20);
  const suite = suiteByName("aes128-sha1")!;

  it("are those of a known answer, the initiator's first", () => {
    const keys = deriveChildKeys({ prf: SHA1, skD, ni: NIST.ni, nr: NIST.nr, suite });
    expect(toHex(keys.initiatorToResponder)).toBe(NIST.child.slice(0, 72));
    expect(toHex(keys.responderToInitiator)).toBe(NIST.child.slice(72, 144));
  });

  it("are those of a known answer with a key exchange of their own", () => {
    const keys = deriveChildKeys({ prf: SHA1, skD, shared: NIST.newShared, ni: NIST.ni, nr: NIST.nr, suite });
    expect(toHex(keys.initiatorToResponder)).toBe(NIST.childWithKe.slice(0, 72));
    expect(toHex(keys.responderToInitiator)).toBe(NIST.childWithKe.slice(72, 144));
  });
});
