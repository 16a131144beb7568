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
import { AEAD_NONCE, ESN_AAD, ESP_HEADER, isSameIcv, writeEsnAad, writeNonce, writeSeqHigh } from "../esp-inputs.ts";
import { type Mac, SUITES, type Suite } from "../suites.ts";
import { type PacketCipher, PacketKey, SerialEngine } from "./serial-engine.ts";

const HASHES = { "hmac-sha1": sha1, "hmac-sha256": sha256, "hmac-sha384": sha384, "hmac-sha512": sha512 } as const;

class AeadKey extends PacketKey {
  readonly #key: Uint8Array;
  readonly #salt: Uint8Array;
  readonly #nonce = new Uint8Array(AEAD_NONCE);
  readonly #esnAad = new Uint8Array(ESN_AAD);

  constructor(suite: Suite, key: Uint8Array, esn: boolean) {
    super(suite, esn);
    this.#key = key.slice(0, suite.encryptionKeyLength);
    this.#salt = key.slice(suite.encryptionKeyLength);
  }

  seal(slab: Uint8Array, head: number, text: number, length: number, seqHigh: number): boolean {
    const sealed = this.#cipher(slab, head, text, seqHigh).encrypt(slab.subarray(text, text + length));
    slab.set(sealed, text); // text and ICV
    return true;
  }

  open(slab: Uint8Array, head: number, text: number, length: number, seqHigh: number): boolean {
    const cipher = this.#cipher(slab, head, text, seqHigh);
    try {
      slab.set(cipher.decrypt(slab.subarray(text, text + length + this.suite.icvLength)), text);
      return true;
    } catch {
      return false; // all inputs have their lengths, so this says one thing: the tag is wrong
    }
  }

  wipe(): void {
    wipe(this.#key, this.#salt, this.#nonce);
  }

  #cipher(slab: Uint8Array, head: number, text: number, seqHigh: number) {
    writeNonce(this.#nonce, 0, this.#salt, slab, text - this.suite.ivLength);
    if (this.esn) writeEsnAad(this.#esnAad, 0, slab, head, seqHigh);
    const aad = this.esn ? this.#esnAad : slab.subarray(head, head + ESP_HEADER);
    const aead = this.suite.cipher === "aes-gcm" ? gcm : chacha20poly1305;
    return aead(this.#key, this.#nonce, aad);
  }
}

class CbcHmacKey extends PacketKey {
  readonly #key: Uint8Array;
  /** Keyed once; each packet goes on from a clone. */
  readonly #mac: ReturnType<typeof hmac.create>;
  readonly #seqHigh = new Uint8Array(4);

  constructor(suite: Suite, mac: Mac, key: Uint8Array, esn: boolean) {
    super(suite, esn);
    this.#key = key.slice(0, suite.encryptionKeyLength);
    this.#mac = hmac.create(HASHES[mac], key.subarray(suite.encryptionKeyLength));
  }

  seal(slab: Uint8Array, head: number, text: number, length: number, seqHigh: number): boolean {
    slab.set(this.#cipher(slab, text).encrypt(slab.subarray(text, text + length)), text);
    slab.set(this.#icv(slab, head, text + length, seqHigh), text + length);
    return true;
  }

  open(slab: Uint8Array, head: number, text: number, length: number, seqHigh: number): boolean {
    const icv = this.#icv(slab, head, text + length, seqHigh);
    if (!isSameIcv(icv, 0, slab, text + length, icv.length)) return false;
    slab.set(this.#cipher(slab, text).decrypt(slab.subarray(text, text + length)), text);
    return true;
  }

  wipe(): void {
    wipe(this.#key);
    this.#mac.destroy();
  }

  #cipher(slab: Uint8Array, text: number) {
    return cbc(this.#key, slab.subarray(text - this.suite.ivLength, text), { disablePadding: true });
  }

  #icv(slab: Uint8Array, head: number, end: number, seqHigh: number): Uint8Array {
    const mac = this.#mac.clone().update(slab.subarray(head, end));
    if (this.esn) {
      writeSeqHigh(this.#seqHigh, 0, seqHigh);
      mac.update(this.#seqHigh);
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
