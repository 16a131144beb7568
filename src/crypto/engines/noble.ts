/**
 * The engine that runs anywhere: @noble/ciphers and @noble/hashes, JavaScript alone.
 * It allocates for each packet, as the libraries do, and is by far the slowest: the last resort, and the second opinion.
 */
import { cbc, cmac, ctr, gcm } from "@noble/ciphers/aes.js";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import type { Cipher } from "@noble/ciphers/utils.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha1 } from "@noble/hashes/legacy.js";
import { sha256, sha384, sha512 } from "@noble/hashes/sha2.js";
import { concat, wipe } from "../../bytes.ts";
import type { EngineDriver } from "../engine.ts";
import {
  AEAD_NONCE,
  CTR_BLOCK,
  ESN_AAD,
  ESP_HEADER,
  isSameIcv,
  type Memory,
  memoryOf,
  NONCE_ROOM,
  saltOf,
  writeEsnAad,
  writeNonce,
} from "../esp-inputs.ts";
import { type HmacName, isClear, isHmac, SUITES, type Suite } from "../suites.ts";
import { copyOf } from "./key-ring.ts";
import { type PacketCipher, PacketKey, SerialEngine } from "./serial-engine.ts";

const HASHES = {
  "hmac-sha1": sha1,
  "hmac-sha256": sha256,
  "hmac-sha384": sha384,
  "hmac-sha512": sha512,
} as const satisfies Record<HmacName, unknown>;

const NOTHING = new Uint8Array(0);
const WHOLE_TAG = 16;

/** What the libraries cannot do: CCM and XCBC. */
const supports = (suite: Suite): boolean =>
  SUITES.includes(suite) && suite.cipher !== "aes-ccm" && suite.mac !== "aes-xcbc";

class AeadKey extends PacketKey {
  readonly #key: Uint8Array;
  #salt: number;
  readonly #nonce = memoryOf(new Uint8Array(NONCE_ROOM));
  readonly #esnAad = memoryOf(new Uint8Array(ESN_AAD));

  constructor(suite: Suite, key: Uint8Array, esn: boolean) {
    super(suite, esn);
    this.#key = copyOf(key, 0, suite.encryptionKeyLength);
    this.#salt = saltOf(suite, key);
  }

  seal(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const clear = isClear(this.suite);
    const cipher = this.#cipher(slab, head, text, length, seqHigh);
    const sealed = cipher.encrypt(clear ? NOTHING : slab.bytes.subarray(text, text + length));
    const octets = (clear ? 0 : length) + this.suite.icvLength; // text and ICV, which may be cut short
    slab.bytes.set(sealed.subarray(0, octets), clear ? text + length : text);
    return true;
  }

  open(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const { icvLength } = this.suite;
    const cipher = this.#cipher(slab, head, text, length, seqHigh);
    if (icvLength < WHOLE_TAG) return this.#openShort(slab, text, length, cipher);
    const clear = isClear(this.suite);
    try {
      const opened = cipher.decrypt(slab.bytes.subarray(clear ? text + length : text, text + length + icvLength));
      if (!clear) slab.bytes.set(opened, text);
      return true;
    } catch {
      return false; // all inputs have their lengths, so this says one thing: the tag is wrong
    }
  }

  wipe(): void {
    wipe(this.#key, this.#nonce.bytes);
    this.#salt = 0;
  }

  /** The library knows whole tags alone: work the tag out anew, of what the text would be, and compare its beginning. */
  #openShort(slab: Memory, text: number, length: number, cipher: Cipher): boolean {
    this.#nonce.view.setUint32(AEAD_NONCE, 2); // NIST SP 800-38D §7.2: the counter of the first block of text
    const opened = ctr(this.#key, this.#nonce.bytes).decrypt(slab.bytes.subarray(text, text + length));
    const tag = memoryOf(cipher.encrypt(opened).subarray(length));
    if (!isSameIcv(tag.view, 0, slab.view, text + length, this.suite.icvLength)) return false;
    slab.bytes.set(opened, text);
    return true;
  }

  #cipher(slab: Memory, head: number, text: number, length: number, seqHigh: number): Cipher {
    writeNonce(this.#nonce.view, 0, this.suite, this.#salt, slab.view, text - this.suite.ivLength);
    const aead = this.suite.cipher === "chacha20-poly1305" ? chacha20poly1305 : gcm;
    return aead(this.#key, this.#nonce.bytes.subarray(0, AEAD_NONCE), this.#aad(slab, head, text, length, seqHigh));
  }

  #aad(slab: Memory, head: number, text: number, length: number, seqHigh: number): Uint8Array {
    const gmac = isClear(this.suite);
    if (!this.esn) return slab.bytes.subarray(head, gmac ? text + length : head + ESP_HEADER);
    writeEsnAad(this.#esnAad.view, 0, slab.view, head, seqHigh);
    if (!gmac) return this.#esnAad.bytes;
    return concat(this.#esnAad.bytes, slab.bytes.subarray(head + ESP_HEADER, text + length)); // RFC 4543 §3.3
  }
}

/** A MAC that goes on from its key. */
interface Mac {
  update(bytes: Uint8Array): Mac;
  digest(): Uint8Array;
}

class MacKey extends PacketKey {
  readonly #key: Uint8Array;
  readonly #macKey: Uint8Array;
  readonly #begin: () => Mac;
  #salt: number;
  readonly #block = memoryOf(new Uint8Array(CTR_BLOCK));
  readonly #seqHigh = memoryOf(new Uint8Array(4));

  constructor(suite: Suite, key: Uint8Array, esn: boolean) {
    super(suite, esn);
    this.#key = copyOf(key, 0, suite.encryptionKeyLength);
    this.#macKey = copyOf(key, suite.encryptionKeyLength + suite.saltLength);
    this.#salt = saltOf(suite, key);
    const { mac } = suite;
    if (mac !== undefined && isHmac(mac)) {
      const keyed = hmac.create(HASHES[mac], this.#macKey); // keyed once; each packet goes on from a clone
      this.#begin = () => keyed.clone();
    } else this.#begin = () => cmac.create(this.#macKey);
  }

  seal(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const cipher = this.#cipher(slab, text);
    if (cipher !== undefined) slab.bytes.set(cipher.encrypt(slab.bytes.subarray(text, text + length)), text);
    slab.bytes.set(this.#icv(slab, head, text + length, seqHigh), text + length);
    return true;
  }

  open(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const icv = this.#icv(slab, head, text + length, seqHigh);
    if (!isSameIcv(memoryOf(icv).view, 0, slab.view, text + length, icv.length)) return false;
    const cipher = this.#cipher(slab, text);
    if (cipher !== undefined) slab.bytes.set(cipher.decrypt(slab.bytes.subarray(text, text + length)), text);
    return true;
  }

  wipe(): void {
    wipe(this.#key, this.#macKey, this.#block.bytes);
    this.#salt = 0;
  }

  #cipher(slab: Memory, text: number): Cipher | undefined {
    const iv = text - this.suite.ivLength;
    if (this.suite.cipher === "null") return undefined;
    if (this.suite.cipher === "aes-cbc") return cbc(this.#key, slab.bytes.subarray(iv, text), { disablePadding: true });
    writeNonce(this.#block.view, 0, this.suite, this.#salt, slab.view, iv);
    return ctr(this.#key, this.#block.bytes);
  }

  #icv(slab: Memory, head: number, end: number, seqHigh: number): Uint8Array {
    const mac = this.#begin().update(slab.bytes.subarray(head, end));
    if (this.esn) {
      this.#seqHigh.view.setUint32(0, seqHigh);
      mac.update(this.#seqHigh.bytes);
    }
    return mac.digest().subarray(0, this.suite.icvLength);
  }
}

const NOBLE: PacketCipher = {
  name: "noble",
  supports,
  expand: (suite, key, esn) => (suite.mac === undefined ? new AeadKey(suite, key, esn) : new MacKey(suite, key, esn)),
  close: () => undefined,
};

export const noble: EngineDriver = {
  name: "noble",
  unavailable: () => undefined,
  describe: () => "@noble/ciphers and @noble/hashes (JavaScript)",
  open: (slab, capacity) => new SerialEngine(NOBLE, slab, capacity),
};
