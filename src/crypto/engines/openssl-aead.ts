// HOT PATH
/** Keys of the engine `openssl` for AEAD suites: AES-GCM and ChaCha20-Poly1305, and with more calls AES-CCM and AES-GMAC. */
import { ESN_AAD, ESP_HEADER, type Memory, saltOf, writeEsnAad, writeNonce } from "../esp-inputs.ts";
import type { Suite } from "../suites.ts";
import type { Address } from "./addresses.ts";
import { type Contexts, WORK } from "./openssl-contexts.ts";
import { PacketKey } from "./serial-engine.ts";

/** A context for each direction, and what nonce and AAD are made of. */
abstract class TwoContextsKey extends PacketKey {
  protected readonly contexts: Contexts;
  protected sealing: Address = null;
  protected opening: Address = null;
  #salt: number;

  constructor(contexts: Contexts, suite: Suite, key: Uint8Array, esn: boolean) {
    super(suite, esn);
    this.contexts = contexts;
    this.sealing = contexts.cipher(suite, key.subarray(0, suite.encryptionKeyLength), "encrypt");
    this.opening = contexts.cipher(suite, key.subarray(0, suite.encryptionKeyLength), "decrypt");
    this.#salt = saltOf(suite, key);
  }

  wipe(): void {
    this.contexts.evp.contextFree(this.sealing ?? 0); // cleanses the key
    this.contexts.evp.contextFree(this.opening ?? 0);
    this.sealing = null;
    this.opening = null;
    this.#salt = 0;
  }

  /** Write the nonce; returns its address. */
  protected nonce(slab: Memory, text: number): Address {
    const { work, nonceAt } = this.contexts;
    writeNonce(work.view, WORK.NONCE, this.suite, this.#salt, slab.view, text - this.suite.ivLength);
    return nonceAt;
  }

  /** The address of the AAD, which is written only for ESN. */
  protected aad(slab: Memory, head: number, seqHigh: number): Address {
    const { work, aadAt } = this.contexts;
    if (!this.esn) return this.contexts.slab.at(head);
    writeEsnAad(work.view, WORK.AAD, slab.view, head, seqHigh);
    return aadAt;
  }

  protected get aadLength(): number {
    return this.esn ? ESN_AAD : ESP_HEADER;
  }
}

/** AES-GCM (RFC 4106) and ChaCha20-Poly1305 (RFC 7634). */
export class AeadKey extends TwoContextsKey {
  seal(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const { evp, tag, lengthAt } = this.contexts;
    const context = this.sealing;
    const at = this.contexts.slab.at(text);
    const sealed =
      evp.encryptInit(context, 0, 0, this.nonce(slab, text), 0) === 1 &&
      evp.cipher(context, 0, this.aad(slab, head, seqHigh), this.aadLength) > 0 &&
      evp.cipher(context, at, at, length) > 0 &&
      evp.encryptFinal(context, 0, lengthAt) === 1 && // writes nothing: no octet is held back
      evp.getParameters(context, tag.at(text + length, this.suite.icvLength)) === 1;
    if (!sealed) evp.clearErrors();
    return sealed;
  }

  open(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const { evp, tag, lengthAt } = this.contexts;
    const context = this.opening;
    const at = this.contexts.slab.at(text);
    const authentic =
      evp.decryptInit(context, 0, 0, this.nonce(slab, text), tag.at(text + length, this.suite.icvLength)) === 1 &&
      evp.cipher(context, 0, this.aad(slab, head, seqHigh), this.aadLength) > 0 &&
      evp.cipher(context, at, at, length) > 0 &&
      evp.decryptFinal(context, 0, lengthAt) === 1; // compares the tags in constant time
    if (!authentic) evp.clearErrors(); // the thread's error queue is shared with node:crypto
    return authentic;
  }
}

/** AES-CCM (RFC 4309): wants the length before all else, works in one go, and judges with the text. */
export class CcmKey extends TwoContextsKey {
  seal(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const { evp, tag, lengthAt } = this.contexts;
    const context = this.sealing;
    const { icvLength } = this.suite;
    const at = this.contexts.slab.at(text);
    const sealed =
      evp.encryptInit(context, 0, 0, this.nonce(slab, text), 0) === 1 &&
      evp.update(context, 0, lengthAt, 0, length) === 1 &&
      evp.cipher(context, 0, this.aad(slab, head, seqHigh), this.aadLength) > 0 &&
      evp.cipher(context, at, at, length) > 0 &&
      evp.getParameters(context, tag.at(text + length, icvLength)) === 1;
    if (!sealed) evp.clearErrors();
    return sealed;
  }

  open(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const { evp, tag, lengthAt } = this.contexts;
    const context = this.opening;
    const at = this.contexts.slab.at(text);
    const authentic =
      evp.decryptInit(context, 0, 0, this.nonce(slab, text), tag.at(text + length, this.suite.icvLength)) === 1 &&
      evp.update(context, 0, lengthAt, 0, length) === 1 &&
      evp.cipher(context, 0, this.aad(slab, head, seqHigh), this.aadLength) > 0 &&
      evp.cipher(context, at, at, length) > 0; // compares the tags in constant time
    if (!authentic) evp.clearErrors();
    return authentic;
  }
}

/** AES-GMAC (RFC 4543 §3.3): all is AAD, IV and text behind the numbers. */
export class GmacKey extends TwoContextsKey {
  seal(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const { evp, tag, lengthAt } = this.contexts;
    const context = this.sealing;
    const sealed =
      evp.encryptInit(context, 0, 0, this.nonce(slab, text), 0) === 1 &&
      this.#authenticate(context, slab, head, text, length, seqHigh) &&
      evp.encryptFinal(context, 0, lengthAt) === 1 &&
      evp.getParameters(context, tag.at(text + length, this.suite.icvLength)) === 1;
    if (!sealed) evp.clearErrors();
    return sealed;
  }

  open(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const { evp, tag, lengthAt } = this.contexts;
    const context = this.opening;
    const icv = tag.at(text + length, this.suite.icvLength);
    const authentic =
      evp.decryptInit(context, 0, 0, this.nonce(slab, text), icv) === 1 &&
      this.#authenticate(context, slab, head, text, length, seqHigh) &&
      evp.decryptFinal(context, 0, lengthAt) === 1;
    if (!authentic) evp.clearErrors();
    return authentic;
  }

  #authenticate(context: Address, slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const { evp } = this.contexts;
    if (!this.esn) return evp.cipher(context, 0, this.contexts.slab.at(head), text + length - head) > 0; // it adjoins
    const iv = text - this.suite.ivLength;
    return (
      evp.cipher(context, 0, this.aad(slab, head, seqHigh), ESN_AAD) > 0 &&
      evp.cipher(context, 0, this.contexts.slab.at(iv), text + length - iv) > 0
    );
  }
}
