// HOT PATH
/**
 * The engine of libIPSec_MB (Debian: libipsec-mb1): the whole batch in a few native calls, many packets in the lanes of
 * wide registers at once.
 *
 *   prove every packet -> get_next_burst -> write the jobs -> submit_burst -> flush_burst -> judge every packet
 *
 * The jobs lie in the manager, which is memory of this engine, so writing them is storing numbers. All addresses in them
 * are the slab's or a key's plus offsets that `checkBatch` and `checkPacket` have proved: nothing else reaches the library.
 */
import { type Engine, type EngineDriver, type Key, OP_SCRATCH, type Ops } from "../engine.ts";
import {
  AEAD_NONCE,
  checkBatch,
  checkPacket,
  ESN_AAD,
  ESP_HEADER,
  isSameIcv,
  type Memory,
  memoryOf,
  writeEsnAad,
} from "../esp-inputs.ts";
import { SUITES, type Suite } from "../suites.ts";
import { addressOf, highHalf, lowHalf } from "./ffi.ts";
import { IpsecMbKey } from "./ipsec-mb-key.ts";
import { DIRECTION, JOB, MGR, ORDER, STATUS_COMPLETED } from "./ipsec-mb-layout.ts";
import { type IpsecMb, ipsecMbLibrary, Manager } from "./ipsec-mb-library.ts";
import { checkKeyLength, KeyRing } from "./key-ring.ts";

/** The scratch of one packet. */
const NONCE_AT = 0;
const AAD_AT = 16;
const SAVED_AT = 32; // four octets of a received ICV
const TAG_AT = 64; // the ICV worked out for an opened packet

class IpsecMbEngine implements Engine {
  readonly name = "ipsec-mb";
  readonly #manager: Manager;
  readonly #slab: Memory;
  /** The slab's address in halves, and the first offset into it whose address has another high half. */
  readonly #slabLow: number;
  readonly #slabHigh: number;
  readonly #slabTurn: number;
  readonly #capacity: number;
  readonly #keys = new KeyRing<IpsecMbKey>();
  /** Where the job of each packet of the burst lies, in words of the manager. */
  readonly #jobs = new Int32Array(MGR.MAX_BURST);
  #closed = false;

  constructor(library: IpsecMb, slab: Uint8Array, capacity: number) {
    this.#manager = new Manager(library);
    this.#slab = memoryOf(slab);
    if (slab.length > 0x7fffffff) throw new RangeError("a slab of 2 GiB or more: offsets have 31 bits");
    const address = addressOf(slab);
    this.#slabLow = lowHalf(address);
    this.#slabHigh = highHalf(address);
    this.#slabTurn = Math.min(2 ** 32 - (address % 2 ** 32), 0x7fffffff);
    this.#capacity = capacity;
  }

  supports(suite: Suite): boolean {
    return SUITES.includes(suite);
  }

  expand(suite: Suite, key: Uint8Array, esn: boolean): Key {
    if (this.#closed) throw new RangeError("the engine is closed");
    if (!this.supports(suite)) throw new RangeError(`${suite.name} is not a suite of the engine ${this.name}`);
    checkKeyLength(suite, key);
    return this.#keys.add(new IpsecMbKey(this.#manager, suite, key, esn));
  }

  release(key: Key): void {
    this.#keys.release(key);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#keys.close();
    this.#manager.wipe();
  }

  seal(ops: Ops): void {
    this.#run(ops, true);
  }

  open(ops: Ops): void {
    this.#run(ops, false);
  }

  #run(ops: Ops, seal: boolean): void {
    checkBatch(ops, this.#slab.bytes, this.#capacity);
    for (let i = 0; i < ops.count; i++) {
      ops.ok[i] = 0;
      checkPacket(ops, i, this.#keys.own(ops.keys[i]).suite, this.#slab.bytes.length);
    }
    for (let from = 0; from < ops.count; from += MGR.MAX_BURST)
      this.#burst(ops, from, Math.min(ops.count - from, MGR.MAX_BURST), seal);
  }

  #burst(ops: Ops, from: number, count: number, seal: boolean): void {
    const manager = this.#manager;
    if (manager.getNextBurst(manager.address, count, manager.jobsAddress) !== count) this.#fail();
    for (let i = 0; i < count; i++) {
      const word = manager.jobWord(i);
      this.#jobs[i] = word;
      this.#writeJob(ops, from + i, word, seal);
    }
    let done = manager.submitBurst(manager.address, count, manager.jobsAddress);
    if (manager.error !== 0) this.#fail();
    while (done < count) {
      const flushed = manager.flushBurst(manager.address, count - done, manager.jobsAddress);
      if (flushed === 0) this.#fail();
      done += flushed;
    }
    const status = JOB.STATUS / 4;
    for (let i = 0; i < count; i++) {
      const completed = manager.words[this.#jobs[i]! + status] === STATUS_COMPLETED;
      ops.ok[from + i] = completed && (seal || this.#isAuthentic(ops, from + i)) ? 1 : 0;
    }
  }

  #writeJob(ops: Ops, i: number, word: number, seal: boolean): void {
    const words = this.#manager.words;
    const key = ops.keys[i] as IpsecMbKey; // `#run` has asked the ring
    const { suite } = key;
    const head = ops.headAt[i]!;
    const text = ops.textAt[i]!;
    const length = ops.textLength[i]!;
    const scratch = ops.scratchAt + i * OP_SCRATCH;

    words[word + JOB.ENC_KEYS / 4] = key.encryptLow;
    words[word + JOB.ENC_KEYS / 4 + 1] = key.encryptHigh;
    words[word + JOB.DEC_KEYS / 4] = key.decryptLow;
    words[word + JOB.DEC_KEYS / 4 + 1] = key.decryptHigh;
    putNumber(words, word + JOB.KEY_LENGTH / 4, suite.encryptionKeyLength);
    this.#putOffset(word + JOB.SRC / 4, head);
    this.#putOffset(word + JOB.DST / 4, text);
    putNumber(words, word + JOB.CIPHER_OFFSET / 4, text - head);
    putNumber(words, word + JOB.CIPHER_LENGTH / 4, length);
    this.#putOffset(word + JOB.TAG / 4, seal ? text + length : scratch + TAG_AT);
    putNumber(words, word + JOB.TAG_LENGTH / 4, suite.icvLength);
    words[word + JOB.CIPHER_MODE / 4] = key.cipherMode;
    words[word + JOB.DIRECTION / 4] = seal ? DIRECTION.ENCRYPT : DIRECTION.DECRYPT;
    words[word + JOB.HASH_ALGORITHM / 4] = key.hashAlgorithm;
    // Encrypt, then authenticate; verify, then decrypt (RFC 4303 §3.3.2, §3.4.4).
    words[word + JOB.CHAIN_ORDER / 4] = seal ? ORDER.CIPHER_HASH : ORDER.HASH_CIPHER;
    if (key.aead) this.#writeAead(words, word, key, head, text, length, scratch, ops.seqHigh[i]!);
    else this.#writeCbcHmac(words, word, key, head, text, length, scratch, ops.seqHigh[i]!);
  }

  #writeAead(
    words: Int32Array,
    word: number,
    key: IpsecMbKey,
    head: number,
    text: number,
    length: number,
    scratch: number,
    seqHigh: number,
  ): void {
    key.writeNonce(this.#slab.view, scratch + NONCE_AT, text - key.suite.ivLength);
    if (key.esn) writeEsnAad(this.#slab.view, scratch + AAD_AT, this.#slab.view, head, seqHigh);
    putNumber(words, word + JOB.HASH_OFFSET / 4, text - head);
    putNumber(words, word + JOB.HASH_LENGTH / 4, length);
    this.#putOffset(word + JOB.IV / 4, scratch + NONCE_AT);
    putNumber(words, word + JOB.IV_LENGTH / 4, AEAD_NONCE);
    this.#putOffset(word + JOB.AAD / 4, key.esn ? scratch + AAD_AT : head);
    putNumber(words, word + JOB.AAD_LENGTH / 4, key.esn ? ESN_AAD : ESP_HEADER);
    putNumber(words, word + JOB.AEAD_CONTEXT / 4, 0);
  }

  #writeCbcHmac(
    words: Int32Array,
    word: number,
    key: IpsecMbKey,
    head: number,
    text: number,
    length: number,
    scratch: number,
    seqHigh: number,
  ): void {
    const { view } = this.#slab;
    const icv = text + length;
    if (key.esn) {
      // The high 32 bits follow the text for the MAC alone: they lie where the ICV is, for as long as the call lasts.
      view.setUint32(scratch + SAVED_AT, view.getUint32(icv));
      view.setUint32(icv, seqHigh);
    }
    putNumber(words, word + JOB.HASH_OFFSET / 4, 0);
    putNumber(words, word + JOB.HASH_LENGTH / 4, (key.esn ? icv + 4 : icv) - head);
    this.#putOffset(word + JOB.IV / 4, text - key.suite.ivLength);
    putNumber(words, word + JOB.IV_LENGTH / 4, key.suite.ivLength);
    words[word + JOB.HMAC_INNER / 4] = key.innerLow;
    words[word + JOB.HMAC_INNER / 4 + 1] = key.innerHigh;
    words[word + JOB.HMAC_OUTER / 4] = key.outerLow;
    words[word + JOB.HMAC_OUTER / 4 + 1] = key.outerHigh;
  }

  #isAuthentic(ops: Ops, i: number): boolean {
    const { view } = this.#slab;
    const key = ops.keys[i] as IpsecMbKey;
    const icv = ops.textAt[i]! + ops.textLength[i]!;
    const scratch = ops.scratchAt + i * OP_SCRATCH;
    if (key.esn && !key.aead) view.setUint32(icv, view.getUint32(scratch + SAVED_AT));
    return isSameIcv(view, icv, view, scratch + TAG_AT, key.suite.icvLength);
  }

  /** Store the address of `slab[offset]` as 64 bits, little-endian. */
  #putOffset(at: number, offset: number): void {
    const { words } = this.#manager;
    words[at] = (this.#slabLow + offset) | 0;
    words[at + 1] = offset < this.#slabTurn ? this.#slabHigh : this.#slabHigh + 1;
  }

  /** The library refused what was proved right. Nothing may stay in its queue that points into the slab. */
  #fail(): never {
    const reason = this.#manager.errorText;
    this.#manager.reset();
    throw new Error(`libIPSec_MB refused a burst: ${reason}`); // cold
  }
}

/** Store a whole number below 2^32 as 64 bits. */
const putNumber = (words: Int32Array, at: number, value: number): void => {
  words[at] = value;
  words[at + 1] = 0;
};

export const ipsecMb: EngineDriver = {
  name: "ipsec-mb",
  unavailable: () => {
    const library = ipsecMbLibrary();
    return typeof library === "string" ? library : undefined;
  },
  describe: () => {
    const library = ipsecMbLibrary();
    return typeof library === "string" ? library : `libIPSec_MB ${library.versionText()}`;
  },
  open: (slab, capacity) => {
    const library = ipsecMbLibrary();
    if (typeof library === "string") throw new RangeError(`ipsec-mb: ${library}`);
    return new IpsecMbEngine(library, slab, capacity);
  },
};
