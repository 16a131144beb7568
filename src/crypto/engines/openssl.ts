// HOT PATH
/**
 * The engine of Node's own libcrypto, called directly: one kept context a key and direction, re-initialised with the IV
 * alone, so that a packet costs five native calls or so and no allocation.
 */
import type { EngineDriver } from "../engine.ts";
import { ESN_AAD, ESP_HEADER, isSameIcv, type Memory, saltOf, writeEsnAad, writeNonce } from "../esp-inputs.ts";
import { type Mac, SUITES, type Suite } from "../suites.ts";
import { Contexts, WORK } from "./openssl-contexts.ts";
import { evp } from "./openssl-evp.ts";
import { type PacketCipher, PacketKey, SerialEngine } from "./serial-engine.ts";

class AeadKey extends PacketKey {
  readonly #contexts: Contexts;
  #salt: number;
  #sealing: number;
  #opening: number;

  constructor(contexts: Contexts, suite: Suite, key: Uint8Array, esn: boolean) {
    super(suite, esn);
    this.#contexts = contexts;
    this.#sealing = contexts.cipher(suite, key.subarray(0, suite.encryptionKeyLength), "encrypt");
    this.#opening = contexts.cipher(suite, key.subarray(0, suite.encryptionKeyLength), "decrypt");
    this.#salt = saltOf(suite, key);
  }

  seal(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const { evp, work, tag, slabAddress } = this.#contexts;
    const context = this.#sealing;
    const at = slabAddress + text;
    const sealed =
      evp.encryptInit(context, 0, 0, this.#nonce(slab, text), 0) === 1 &&
      evp.cipher(context, 0, this.#aad(slab, head, seqHigh), this.esn ? ESN_AAD : ESP_HEADER) > 0 &&
      evp.cipher(context, at, at, length) > 0 &&
      evp.encryptFinal(context, 0, work.address + WORK.LENGTH) === 1 && // writes nothing: no octet is held back
      evp.getParameters(context, tag.at(at + length, this.suite.icvLength)) === 1;
    if (!sealed) evp.clearErrors();
    return sealed;
  }

  open(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const { evp, work, tag, slabAddress } = this.#contexts;
    const context = this.#opening;
    const at = slabAddress + text;
    const authentic =
      evp.decryptInit(context, 0, 0, this.#nonce(slab, text), tag.at(at + length, this.suite.icvLength)) === 1 &&
      evp.cipher(context, 0, this.#aad(slab, head, seqHigh), this.esn ? ESN_AAD : ESP_HEADER) > 0 &&
      evp.cipher(context, at, at, length) > 0 &&
      evp.decryptFinal(context, 0, work.address + WORK.LENGTH) === 1; // compares the tags in constant time
    if (!authentic) evp.clearErrors(); // the thread's error queue is shared with node:crypto
    return authentic;
  }

  wipe(): void {
    this.#contexts.evp.contextFree(this.#sealing); // cleanses the key
    this.#contexts.evp.contextFree(this.#opening);
    this.#sealing = 0;
    this.#opening = 0;
    this.#salt = 0;
  }

  /** Write the nonce; returns its address. */
  #nonce(slab: Memory, text: number): number {
    const { work } = this.#contexts;
    writeNonce(work.view, WORK.NONCE, this.#salt, slab.view, text - this.suite.ivLength);
    return work.address + WORK.NONCE;
  }

  /** The address of the AAD, which is written only for ESN. */
  #aad(slab: Memory, head: number, seqHigh: number): number {
    const { work, slabAddress } = this.#contexts;
    if (!this.esn) return slabAddress + head;
    writeEsnAad(work.view, WORK.AAD, slab.view, head, seqHigh);
    return work.address + WORK.AAD;
  }
}

class CbcHmacKey extends PacketKey {
  readonly #contexts: Contexts;
  #sealing: number;
  #opening: number;
  #mac: number;

  constructor(contexts: Contexts, suite: Suite, mac: Mac, key: Uint8Array, esn: boolean) {
    super(suite, esn);
    this.#contexts = contexts;
    this.#sealing = contexts.cipher(suite, key.subarray(0, suite.encryptionKeyLength), "encrypt");
    this.#opening = contexts.cipher(suite, key.subarray(0, suite.encryptionKeyLength), "decrypt");
    this.#mac = contexts.mac(mac, key.subarray(suite.encryptionKeyLength));
  }

  seal(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const { evp, work } = this.#contexts;
    const icv = text + length;
    if (evp.encryptInit(this.#sealing, 0, 0, this.#ivAddress(text), 0) !== 1) return false;
    if (!this.#crypt(this.#sealing, text, length)) return false;
    if (this.esn) slab.view.setUint32(icv, seqHigh); // where the ICV will be: it follows the text
    if (!this.#authenticate(head, this.esn ? icv + 4 : icv)) return false;
    for (let i = 0; i < this.suite.icvLength; i += 4) slab.view.setUint32(icv + i, work.view.getUint32(WORK.MAC + i));
    return true;
  }

  open(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const { evp, work } = this.#contexts;
    const icv = text + length;
    const received = slab.view.getUint32(icv);
    if (this.esn) slab.view.setUint32(icv, seqHigh);
    const done = this.#authenticate(head, this.esn ? icv + 4 : icv);
    slab.view.setUint32(icv, received);
    if (!done || !isSameIcv(slab.view, icv, work.view, WORK.MAC, this.suite.icvLength)) return false;
    if (evp.decryptInit(this.#opening, 0, 0, this.#ivAddress(text), 0) !== 1) return false;
    return this.#crypt(this.#opening, text, length);
  }

  wipe(): void {
    const { evp } = this.#contexts;
    evp.contextFree(this.#sealing); // cleanses the key
    evp.contextFree(this.#opening);
    evp.macContextFree(this.#mac);
    this.#sealing = 0;
    this.#opening = 0;
    this.#mac = 0;
  }

  #ivAddress(text: number): number {
    return this.#contexts.slabAddress + text - this.suite.ivLength;
  }

  /** Whole blocks and no padding: nothing is left for a final. */
  #crypt(context: number, text: number, length: number): boolean {
    const { evp, slabAddress } = this.#contexts;
    return evp.cipher(context, slabAddress + text, slabAddress + text, length) > 0;
  }

  /** The MAC of the slab from `from` to `to`, into the working memory. */
  #authenticate(from: number, to: number): boolean {
    const { evp, work, slabAddress } = this.#contexts;
    return (
      evp.macInit(this.#mac, 0, 0, 0) === 1 && // the same key again
      evp.macUpdate(this.#mac, slabAddress + from, to - from) === 1 &&
      evp.macFinal(this.#mac, work.address + WORK.MAC, work.address + WORK.LENGTH, WORK.SIZE - WORK.MAC) === 1
    );
  }
}

const cipherOver = (slab: Uint8Array): PacketCipher => {
  const functions = evp();
  if (typeof functions === "string") throw new RangeError(`openssl: ${functions}`);
  const contexts = new Contexts(functions, slab);
  return {
    name: "openssl",
    supports: (suite) => SUITES.includes(suite) && contexts.supports(suite),
    expand: (suite, key, esn) =>
      suite.mac === undefined
        ? new AeadKey(contexts, suite, key, esn)
        : new CbcHmacKey(contexts, suite, suite.mac, key, esn),
    close: () => contexts.close(),
  };
};

export const openssl: EngineDriver = {
  name: "openssl",
  unavailable: () => {
    const functions = evp();
    return typeof functions === "string" ? functions : undefined;
  },
  describe: () => `OpenSSL ${process.versions.openssl} of Node ${process.versions.node}`,
  open: (slab, capacity) => new SerialEngine(cipherOver(slab), slab, capacity),
};
