// HOT PATH
/** Keys of the engine `openssl` for suites of a cipher and a MAC: AES-CBC, AES-CTR or none, with HMAC or AES-CMAC. */
import { isSameIcv, type Memory, saltOf, writeNonce } from "../esp-inputs.ts";
import type { Mac, Suite } from "../suites.ts";
import type { Address } from "./addresses.ts";
import { type Contexts, WORK } from "./openssl-contexts.ts";
import { PacketKey } from "./serial-engine.ts";

export class MacKey extends PacketKey {
  readonly #contexts: Contexts;
  /** Null where the text is not encrypted. */
  #sealing: Address = null;
  #opening: Address = null;
  #mac: Address = null;
  #salt: number;

  constructor(contexts: Contexts, suite: Suite, mac: Mac, key: Uint8Array, esn: boolean) {
    super(suite, esn);
    this.#contexts = contexts;
    const { cipher, encryptionKeyLength, saltLength } = suite;
    if (cipher !== "null") {
      this.#sealing = contexts.cipher(suite, key.subarray(0, encryptionKeyLength), "encrypt");
      this.#opening = contexts.cipher(suite, key.subarray(0, encryptionKeyLength), "decrypt");
    }
    this.#salt = saltOf(suite, key);
    this.#mac = contexts.mac(mac, key.subarray(encryptionKeyLength + saltLength));
  }

  seal(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const { evp, work } = this.#contexts;
    const icv = text + length;
    if (this.#sealing !== null) {
      if (evp.encryptInit(this.#sealing, 0, 0, this.#iv(slab, text), 0) !== 1) return false;
      if (!this.#crypt(this.#sealing, text, length)) return false;
    }
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
    if (this.#opening === null) return true;
    if (evp.decryptInit(this.#opening, 0, 0, this.#iv(slab, text), 0) !== 1) return false;
    return this.#crypt(this.#opening, text, length);
  }

  wipe(): void {
    const { evp } = this.#contexts;
    evp.contextFree(this.#sealing ?? 0); // cleanses the key; NULL is allowed
    evp.contextFree(this.#opening ?? 0);
    evp.macContextFree(this.#mac ?? 0);
    this.#sealing = null;
    this.#opening = null;
    this.#mac = null;
    this.#salt = 0;
  }

  /** The address of the IV: in the packet for CBC, of the first block for CTR. */
  #iv(slab: Memory, text: number): Address {
    const { work, nonceAt } = this.#contexts;
    const iv = text - this.suite.ivLength;
    if (this.suite.cipher === "aes-cbc") return this.#contexts.slab.at(iv);
    writeNonce(work.view, WORK.NONCE, this.suite, this.#salt, slab.view, iv);
    return nonceAt;
  }

  /** Whole blocks and no padding, or a stream: nothing is left for a final. */
  #crypt(context: Address, text: number, length: number): boolean {
    const at = this.#contexts.slab.at(text);
    return this.#contexts.evp.cipher(context, at, at, length) > 0;
  }

  /** The MAC of the slab from `from` to `to`, into the working memory. */
  #authenticate(from: number, to: number): boolean {
    const { evp, slab, macAt, lengthAt } = this.#contexts;
    return (
      evp.macInit(this.#mac, 0, 0, 0) === 1 && // the same key again
      evp.macUpdate(this.#mac, slab.at(from), to - from) === 1 &&
      evp.macFinal(this.#mac, macAt, lengthAt, WORK.SIZE - WORK.MAC) === 1
    );
  }
}
