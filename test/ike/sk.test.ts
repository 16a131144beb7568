import { createDecipheriv, createHmac } from "node:crypto";
import { gcm } from "@noble/ciphers/aes.js";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat, fromHex, toHex } from "../../src/bytes.ts";
import { IkeCipherKeys, ikeCipher } from "../../src/crypto/ike-cipher.ts";
import { IkeError } from "../../src/ike/ike-error.ts";
import { parseMessage } from "../../src/ike/message.ts";
import { Notify } from "../../src/ike/notify.ts";
import { chainSize, type Payload } from "../../src/ike/payload/index.ts";
import { openProtected, sealProtected } from "../../src/ike/sk.ts";
import { anyPayload } from "./payload/payloads.arbitrary.ts";
import { AUTH_HEADER, AUTH_PAYLOADS, pattern } from "./sample-messages.ts";

const random = (length: number): Uint8Array => pattern(length, 99);

const CIPHERS: readonly [string, number, number | undefined, number | undefined][] = [
  ["AES-128-GCM", 20, 128, undefined],
  ["AES-256-GCM", 20, 256, undefined],
  ["ChaCha20-Poly1305", 28, undefined, undefined],
  ["AES-128-CBC and HMAC-SHA1-96", 12, 128, 2],
  ["AES-128-CBC and HMAC-SHA2-256-128", 12, 128, 12],
  ["AES-256-CBC and HMAC-SHA2-384-192", 12, 256, 13],
  ["AES-256-CBC and HMAC-SHA2-512-256", 12, 256, 14],
];

const keysFor = (encr: number, keyBits: number | undefined, integ: number | undefined, seed = 0): IkeCipherKeys => {
  const cipher = ikeCipher(encr, keyBits, integ)!;
  const skE = pattern(cipher.encryptionKeyLength + cipher.saltLength, 10 + seed);
  return new IkeCipherKeys(cipher, skE, pattern(cipher.integrityKeyLength, 20 + seed));
};

const opened = (bytes: Uint8Array, keys: IkeCipherKeys): readonly Payload[] | undefined =>
  openProtected(bytes, parseMessage(bytes), keys);

describe.each(CIPHERS)("the encrypted payload with %s", (_name, encr, keyBits, integ) => {
  it("gives back what was sealed", () => {
    fc.assert(
      fc.property(fc.array(anyPayload, { maxLength: 6 }), (payloads) => {
        const bytes = sealProtected(AUTH_HEADER, payloads, keysFor(encr, keyBits, integ), random);
        expect(opened(bytes, keysFor(encr, keyBits, integ))).toEqual(payloads);
      }),
      { numRuns: 50, seed: 5 },
    );
  });

  it("is not opened by other keys", () => {
    const bytes = sealProtected(AUTH_HEADER, AUTH_PAYLOADS, keysFor(encr, keyBits, integ), random);
    expect(opened(bytes, keysFor(encr, keyBits, integ, 1))).toBeUndefined();
  });

  it("is not opened when any one bit of the message differs", () => {
    const keys = keysFor(encr, keyBits, integ);
    const bytes = sealProtected(AUTH_HEADER, [], keys, random);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const forged = bytes.slice();
      forged[bit >> 3]! ^= 0x80 >> (bit & 7);
      // The location is that of the true message: what protects the header is the ICV, not that it would not parse.
      expect(openProtected(forged, parseMessage(bytes), keys)).toBeUndefined();
    }
  });

  it("is not opened when it is cut short, and never throws then", () => {
    const keys = keysFor(encr, keyBits, integ);
    const bytes = sealProtected(AUTH_HEADER, AUTH_PAYLOADS, keys, random);
    const { at } = parseMessage(bytes).protected!;
    for (let length = at + 4; length < bytes.length; length++) {
      const cut = bytes.slice(0, length);
      new DataView(cut.buffer).setUint32(24, length);
      new DataView(cut.buffer).setUint16(at + 2, length - at);
      expect(opened(cut, keys)).toBeUndefined();
    }
  });

  it("may have more padding than the cipher needs, with any octets", () => {
    const keys = keysFor(encr, keyBits, integ);
    const padded = concat(fromHex("00000008deadbeef"), pattern(39, 3), Uint8Array.of(39));
    expect(opened(sealText(keys, 43, padded), keys)).toEqual([{ kind: "V", value: { data: fromHex("deadbeef") } }]);
  });

  it("is ignored when the padding is longer than the text", () => {
    const keys = keysFor(encr, keyBits, integ);
    expect(opened(sealText(keys, 43, concat(new Uint8Array(15), Uint8Array.of(16))), keys)).toBeUndefined();
  });

  it("throws INVALID_SYNTAX when it is authentic and its payloads are malformed", () => {
    const keys = keysFor(encr, keyBits, integ);
    const text = concat(fromHex("0000000cdeadbeef"), new Uint8Array(7), Uint8Array.of(7));
    expect(() => opened(sealText(keys, 43, text), keys)).toThrow(IkeError);
    expect(() => opened(sealText(keys, 43, text), keys)).toThrow(/INVALID_SYNTAX/);
  });

  it("throws UNSUPPORTED_CRITICAL_PAYLOAD when it is authentic and holds one", () => {
    const keys = keysFor(encr, keyBits, integ);
    const text = concat(fromHex("00800008deadbeef"), new Uint8Array(7), Uint8Array.of(7));
    try {
      opened(sealText(keys, 250, text), keys);
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ notify: Notify.UNSUPPORTED_CRITICAL_PAYLOAD, data: Uint8Array.of(250) });
    }
  });

  it("does not hold another encrypted payload", () => {
    const keys = keysFor(encr, keyBits, integ);
    const text = concat(fromHex("00000008deadbeef"), new Uint8Array(7), Uint8Array.of(7));
    expect(() => opened(sealText(keys, 46, text), keys)).toThrow(/INVALID_SYNTAX/);
  });

  it("cannot be made or read once the keys are wiped", () => {
    const keys = keysFor(encr, keyBits, integ);
    const bytes = sealProtected(AUTH_HEADER, AUTH_PAYLOADS, keys, random);
    keys.wipe();
    expect(opened(bytes, keys)).toBeUndefined();
  });
});

/** A message around a text of the test's own making. */
const sealText = (keys: IkeCipherKeys, firstPayload: number, text: Uint8Array): Uint8Array => {
  const { ivLength, icvLength } = keys.cipher;
  const length = 32 + ivLength + text.length + icvLength;
  const head = new Uint8Array(32);
  head.set(sealProtected(AUTH_HEADER, [], keys, random).subarray(0, 28));
  head[28] = firstPayload;
  new DataView(head.buffer).setUint32(24, length);
  new DataView(head.buffer).setUint16(30, length - 28);
  const iv = pattern(ivLength, 6);
  return concat(head, iv, keys.seal(head, iv, text));
};

describe("the frame of RFC 5282", () => {
  it("has an IV of 8 octets, a nonce that begins with the salt, and the header up to SK's as associated data", () => {
    const keys = keysFor(20, 256, undefined);
    const bytes = sealProtected(AUTH_HEADER, AUTH_PAYLOADS, keys, random);
    const skE = pattern(36, 10);
    const nonce = concat(skE.subarray(32), bytes.subarray(32, 40));
    const text = gcm(skE.subarray(0, 32), nonce, bytes.subarray(0, 32)).decrypt(bytes.subarray(40));
    expect(text.length).toBe(chainSize(AUTH_PAYLOADS) + 1); // no padding: AEAD needs none
    expect(text.at(-1)).toBe(0);
  });

  it("is the same for ChaCha20-Poly1305", () => {
    const bytes = sealProtected(AUTH_HEADER, AUTH_PAYLOADS, keysFor(28, undefined, undefined), random);
    const skE = pattern(36, 10);
    const nonce = concat(skE.subarray(32), bytes.subarray(32, 40));
    const text = chacha20poly1305(skE.subarray(0, 32), nonce, bytes.subarray(0, 32)).decrypt(bytes.subarray(40));
    expect(text.length).toBe(chainSize(AUTH_PAYLOADS) + 1);
  });

  it("never repeats an IV under one key", () => {
    const keys = keysFor(20, 128, undefined);
    const ivs = Array.from({ length: 300 }, () => toHex(sealProtected(AUTH_HEADER, [], keys, random).subarray(32, 40)));
    expect(new Set(ivs).size).toBe(300);
  });

  it("associates payloads in front of SK as well", () => {
    const keys = keysFor(20, 128, undefined);
    const inner = sealProtected(AUTH_HEADER, [], keys, random);
    const head = concat(inner.subarray(0, 28), fromHex("2e000006abcd"), fromHex("0000001d"));
    head[16] = 43;
    new DataView(head.buffer).setUint32(24, 28 + 6 + 29);
    const iv = pattern(8, 7);
    const bytes = concat(head, iv, keys.seal(head, iv, Uint8Array.of(0)));
    expect(opened(bytes, keys)).toEqual([]);
    bytes[32]! ^= 1;
    expect(opened(bytes, keys)).toBeUndefined();
  });
});

describe("the frame of AES-CBC and HMAC", () => {
  it("is padded to blocks, and the MAC covers the whole message but itself", () => {
    const bytes = sealProtected(AUTH_HEADER, AUTH_PAYLOADS, keysFor(12, 128, 12), random);
    const mac = createHmac("sha256", pattern(32, 20)).update(bytes.subarray(0, -16)).digest();
    expect(toHex(bytes.subarray(-16))).toBe(toHex(mac.subarray(0, 16)));
    const open = createDecipheriv("aes-128-cbc", pattern(16, 10), bytes.subarray(32, 48)).setAutoPadding(false);
    const text = concat(open.update(bytes.subarray(48, -16)), open.final());
    expect(text.length % 16).toBe(0);
    expect(text.length - 1 - text.at(-1)!).toBe(chainSize(AUTH_PAYLOADS));
  });

  it("of 116 octets with HMAC-SHA1-96 is 160: header 4, IV 16, text 128 with 11 of padding, ICV 12", () => {
    const bytes = sealProtected(
      AUTH_HEADER,
      [{ kind: "V", value: { data: pattern(112) } }],
      keysFor(12, 128, 2),
      random,
    );
    expect(bytes.length).toBe(28 + 160);
    const open = createDecipheriv("aes-128-cbc", pattern(16, 10), bytes.subarray(32, 48)).setAutoPadding(false);
    expect(concat(open.update(bytes.subarray(48, -12)), open.final()).at(-1)).toBe(11);
  });

  it("of a Delete of one ESP SA is 48 in a message of 76", () => {
    const payloads: Payload[] = [{ kind: "Delete", value: { protocol: 3, spis: [fromHex("cb989cce")] } }];
    expect(sealProtected(AUTH_HEADER, payloads, keysFor(12, 128, 2), random).length).toBe(76);
  });

  it("of an EAP payload of 14 is 48 in a message of 76", () => {
    const payloads: Payload[] = [{ kind: "EAP", value: { raw: pattern(10) } }];
    expect(sealProtected(AUTH_HEADER, payloads, keysFor(12, 128, 2), random).length).toBe(76);
  });
});

describe("ciphers of IKE", () => {
  it("are not made of transforms that do not go together", () => {
    expect(ikeCipher(20, 256, 12)).toBeUndefined(); // AEAD and an HMAC
    expect(ikeCipher(12, 128, undefined)).toBeUndefined(); // CBC alone
    expect(ikeCipher(12, 192, 12)).toBeUndefined();
    expect(ikeCipher(28, 256, undefined)).toBeUndefined(); // ChaCha20 has no key length
  });

  it("refuse key material of the wrong length", () => {
    expect(() => new IkeCipherKeys(ikeCipher(20, 128, undefined)!, pattern(16), pattern(0))).toThrow(RangeError);
  });
});
