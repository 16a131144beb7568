// HOT PATH
/**
 * The engine of Node's own libcrypto, called directly: one kept context a key and direction, re-initialised with the IV
 * alone, so that a packet costs five native calls or so and no allocation.
 */
import type { EngineDriver } from "../engine.ts";
import { ESN_AAD, ESP_HEADER, isSameIcv, type Memory, saltOf, writeEsnAad, writeNonce } from "../esp-inputs.ts";
import { type Mac, SUITES, type Suite } from "../suites.ts";
import { Contexts, WORK } from "./openssl-contexts.ts";
import { EVP_CTRL_AEAD_GET_TAG, EVP_CTRL_AEAD_SET_TAG, evp } from "./openssl-evp.ts";
import { type PacketCipher, PacketKey, SerialEngine } from "./serial-engine.ts";

class AeadKey extends PacketKey {
  readonly #contexts: Contexts;
  #salt: number;
  #sealing: number;
  #opening: number;

  constructor(contexts: Contexts, suite: Suite, key: Uint8Array, esn: boolean) {
    super(suite, esn);
    this.#contexts = contexts;
    this.#sealing = contexts.cipher(suite, key.subarray(0, suite.encryptionKeyLength), 1);
    this.#opening = contexts.cipher(suite, key.subarray(0, suite.encryptionKeyLength), 0);
    this.#salt = saltOf(suite, key);
  }

  seal(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const { evp, work, slabAddress } = this.#contexts;
    const unread = work.address + WORK.LENGTH;
    const tag = slabAddress + text + length;
    return (
      this.#begin(this.#sealing, slab, head, text, seqHigh, 1) &&
      evp.update(this.#sealing, slabAddress + text, unread, slabAddress + text, length) === 1 &&
      evp.final(this.#sealing, tag, unread) === 1 && // writes nothing: a stream cipher holds nothing back
      evp.control(this.#sealing, EVP_CTRL_AEAD_GET_TAG, this.suite.icvLength, tag) === 1
    );
  }

  open(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const { evp, work, slabAddress } = this.#contexts;
    const unread = work.address + WORK.LENGTH;
    const tag = slabAddress + text + length;
    const authentic =
      this.#begin(this.#opening, slab, head, text, seqHigh, 0) &&
      evp.control(this.#opening, EVP_CTRL_AEAD_SET_TAG, this.suite.icvLength, tag) === 1 &&
      evp.update(this.#opening, slabAddress + text, unread, slabAddress + text, length) === 1 &&
      evp.final(this.#opening, tag, unread) === 1; // compares the tags in constant time
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

  /** Nonce and AAD. */
  #begin(context: number, slab: Memory, head: number, text: number, seqHigh: number, encrypt: 0 | 1): boolean {
    const { evp, work, slabAddress } = this.#contexts;
    writeNonce(work.view, WORK.NONCE, this.#salt, slab.view, text - this.suite.ivLength);
    if (evp.init(context, 0, 0, 0, work.address + WORK.NONCE, encrypt) !== 1) return false;
    const unread = work.address + WORK.LENGTH;
    if (!this.esn) return evp.update(context, 0, unread, slabAddress + head, ESP_HEADER) === 1;
    writeEsnAad(work.view, WORK.AAD, slab.view, head, seqHigh);
    return evp.update(context, 0, unread, work.address + WORK.AAD, ESN_AAD) === 1;
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
    this.#sealing = contexts.cipher(suite, key.subarray(0, suite.encryptionKeyLength), 1);
    this.#opening = contexts.cipher(suite, key.subarray(0, suite.encryptionKeyLength), 0);
    this.#mac = contexts.mac(mac, key.subarray(suite.encryptionKeyLength));
  }

  seal(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const { work } = this.#contexts;
    const icv = text + length;
    if (!this.#crypt(this.#sealing, text, length, 1)) return false;
    if (this.esn) slab.view.setUint32(icv, seqHigh); // where the ICV will be: it follows the text
    if (!this.#authenticate(head, this.esn ? icv + 4 : icv)) return false;
    for (let i = 0; i < this.suite.icvLength; i += 4) slab.view.setUint32(icv + i, work.view.getUint32(WORK.MAC + i));
    return true;
  }

  open(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const { work } = this.#contexts;
    const icv = text + length;
    const received = slab.view.getUint32(icv);
    if (this.esn) slab.view.setUint32(icv, seqHigh);
    const done = this.#authenticate(head, this.esn ? icv + 4 : icv);
    slab.view.setUint32(icv, received);
    if (!done || !isSameIcv(slab.view, icv, work.view, WORK.MAC, this.suite.icvLength)) return false;
    return this.#crypt(this.#opening, text, length, 0);
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

  /** Whole blocks and no padding: the update does it all. */
  #crypt(context: number, text: number, length: number, encrypt: 0 | 1): boolean {
    const { evp, work, slabAddress } = this.#contexts;
    const at = slabAddress + text;
    return (
      evp.init(context, 0, 0, 0, at - this.suite.ivLength, encrypt) === 1 &&
      evp.update(context, at, work.address + WORK.LENGTH, at, length) === 1
    );
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
