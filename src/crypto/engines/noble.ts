/**
 * The engine that runs anywhere: @noble/ciphers and @noble/hashes, JavaScript alone.
 * It allocates for each packet, as the libraries do, and is by far the slowest: the last resort, and the second opinion.
 */
import { cbc, gcm } from "@noble/ciphers/aes.js";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha1 } from "@noble/hashes/legacy.js";
import { sha256, sha384, sha512 } from "@noble/hashes/sha2.js";
import { wipe } from "../../bytes.ts";
import type { EngineDriver } from "../engine.ts";
import {
  AEAD_NONCE,
  ESN_AAD,
  ESP_HEADER,
  isSameIcv,
  type Memory,
  memoryOf,
  saltOf,
  writeEsnAad,
  writeNonce,
} from "../esp-inputs.ts";
import { type Mac, SUITES, type Suite } from "../suites.ts";
import { type PacketCipher, PacketKey, SerialEngine } from "./serial-engine.ts";

const HASHES = { "hmac-sha1": sha1, "hmac-sha256": sha256, "hmac-sha384": sha384, "hmac-sha512": sha512 } as const;

class AeadKey extends PacketKey {
  readonly #key: Uint8Array;
  #salt: number;
  readonly #nonce = memoryOf(new Uint8Array(AEAD_NONCE));
  readonly #esnAad = memoryOf(new Uint8Array(ESN_AAD));

  constructor(suite: Suite, key: Uint8Array, esn: boolean) {
    super(suite, esn);
    this.#key = key.slice(0, suite.encryptionKeyLength);
    this.#salt = saltOf(suite, key);
  }

  seal(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const sealed = this.#cipher(slab, head, text, seqHigh).encrypt(slab.bytes.subarray(text, text + length));
    slab.bytes.set(sealed, text); // text and ICV
    return true;
  }

  open(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const cipher = this.#cipher(slab, head, text, seqHigh);
    try {
      slab.bytes.set(cipher.decrypt(slab.bytes.subarray(text, text + length + this.suite.icvLength)), text);
      return true;
    } catch {
      return false; // all inputs have their lengths, so this says one thing: the tag is wrong
    }
  }

  wipe(): void {
    wipe(this.#key, this.#nonce.bytes);
    this.#salt = 0;
  }

  #cipher(slab: Memory, head: number, text: number, seqHigh: number) {
    writeNonce(this.#nonce.view, 0, this.#salt, slab.view, text - this.suite.ivLength);
    if (this.esn) writeEsnAad(this.#esnAad.view, 0, slab.view, head, seqHigh);
    const aad = this.esn ? this.#esnAad.bytes : slab.bytes.subarray(head, head + ESP_HEADER);
    const aead = this.suite.cipher === "aes-gcm" ? gcm : chacha20poly1305;
    return aead(this.#key, this.#nonce.bytes, aad);
  }
}

class CbcHmacKey extends PacketKey {
  readonly #key: Uint8Array;
  /** Keyed once; each packet goes on from a clone. */
  readonly #mac: ReturnType<typeof hmac.create>;
  readonly #seqHigh = memoryOf(new Uint8Array(4));

  constructor(suite: Suite, mac: Mac, key: Uint8Array, esn: boolean) {
    super(suite, esn);
    this.#key = key.slice(0, suite.encryptionKeyLength);
    this.#mac = hmac.create(HASHES[mac], key.subarray(suite.encryptionKeyLength));
  }

  seal(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    slab.bytes.set(this.#cipher(slab, text).encrypt(slab.bytes.subarray(text, text + length)), text);
    slab.bytes.set(this.#icv(slab, head, text + length, seqHigh), text + length);
    return true;
  }

  open(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const icv = this.#icv(slab, head, text + length, seqHigh);
    if (!isSameIcv(memoryOf(icv).view, 0, slab.view, text + length, icv.length)) return false;
    slab.bytes.set(this.#cipher(slab, text).decrypt(slab.bytes.subarray(text, text + length)), text);
    return true;
  }

  wipe(): void {
    wipe(this.#key);
    this.#mac.destroy();
  }

  #cipher(slab: Memory, text: number) {
    return cbc(this.#key, slab.bytes.subarray(text - this.suite.ivLength, text), { disablePadding: true });
  }

  #icv(slab: Memory, head: number, end: number, seqHigh: number): Uint8Array {
    const mac = this.#mac.clone().update(slab.bytes.subarray(head, end));
    if (this.esn) {
      this.#seqHigh.view.setUint32(0, seqHigh);
      mac.update(this.#seqHigh.bytes);
    }
    return mac.digest().subarray(0, this.suite.icvLength);
  }
}

const NOBLE: PacketCipher = {
  name: "noble",
  supports: (suite) => SUITES.includes(suite),
  expand: (suite, key, esn) =>
    suite.mac === undefined ? new AeadKey(suite, key, esn) : new CbcHmacKey(suite, suite.mac, key, esn),
  close: () => undefined,
};

export const noble: EngineDriver = {
  name: "noble",
  unavailable: () => undefined,
  describe: () => "@noble/ciphers and @noble/hashes (JavaScript)",
  open: (slab, capacity) => new SerialEngine(NOBLE, slab, capacity),
};
