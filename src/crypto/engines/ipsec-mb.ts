// HOT PATH
/**
 * The engine of libIPSec_MB (Debian: libipsec-mb1): the whole batch in one or two native calls, many packets in the lanes of
 * wide registers at once.
 *
 *   prove every packet and write its job -> submit_burst_nocheck -> flush_burst if lanes wait -> judge every packet
 *
 * The jobs lie in the manager, which is memory of this engine, so writing them is storing numbers. The queue is empty
 * between two bursts, and an empty queue may begin anywhere: packet i of a burst always has job i of the part of the queue
 * that is for its direction, and what a job says of the suite and of the key is written only when they are others than at
 * its last use. The library is asked to
 * check nothing, as everything is proved here: addresses in a job are a key's, this engine's own memory's, or the slab's
 * plus offsets that `checkBatch` and `prove` have looked at. Nothing else reaches the library.
 */
import type { Engine, EngineDriver, Key, Ops } from "../engine.ts";
import {
  AEAD_NONCE,
  CCM_NONCE,
  checkBatch,
  checkPacket,
  ESN_AAD,
  ESP_HEADER,
  type Memory,
  memoryOf,
} from "../esp-inputs.ts";
import { SUITES, type Suite } from "../suites.ts";
import { addressOf, highHalf, lowHalf, NativeMemory } from "./ffi.ts";
import { IpsecMbKey, isDone, KEY_SHAPES, type KeyShape, Nonce } from "./ipsec-mb-key.ts";
import {
  KEY_HANDLE,
  KEY_LOW,
  KEY_ROW,
  KEY_SALT,
  KEY_SHAPE,
  KEY_WORDS,
  KeyMemory,
  PIECE_BITS,
} from "./ipsec-mb-key-memory.ts";
import { CIPHER_MODE, DIRECTION, JOB, KEY_MEMORY, MGR, ORDER, STATUS_COMPLETED } from "./ipsec-mb-layout.ts";
import { type IpsecMb, ipsecMbLibrary, Manager } from "./ipsec-mb-library.ts";
import { checkKeyLength, KeyRing, placeOf, refuseKey } from "./key-ring.ts";

// Words of a job.
const JOB_WORDS = JOB.SIZE / 4;
const FIRST_JOB = MGR.JOBS / 4;
const ENC_KEYS = JOB.ENC_KEYS / 4;
const DEC_KEYS = JOB.DEC_KEYS / 4;
const SRC = JOB.SRC / 4;
const DST = JOB.DST / 4;
const CIPHER_LENGTH = JOB.CIPHER_LENGTH / 4;
const HASH_LENGTH = JOB.HASH_LENGTH / 4;
const IV = JOB.IV / 4;
const TAG = JOB.TAG / 4;
const AAD = JOB.AAD / 4;
const MAC_FIRST = JOB.HMAC_INNER / 4;
const MAC_SECOND = JOB.HMAC_OUTER / 4;
const MAC_THIRD = JOB.MAC_THIRD / 4;
const STATUS = JOB.STATUS / 4;

/** Octets of the IV that goes with a salt. */
const SALTED_IV = 8;
// Words of a key.
const IN_PIECE = (1 << PIECE_BITS) - 1;
/** A cache line. */
const LINE = 16;
/** Octets of text that take few powers of GCM's hash key. */
const SHORT_TEXT = 512;
/** Pieces of key memory of which the nearest caches hold what short texts take. */
const NEAR_PIECES = 2;

/** The first job of a burst, by direction: they share one job, which only the longest batches reach. */
const SEALING = 0;
const OPENING = MGR.SECOND_BURST;

/** Memory of this engine for each job: a cache line. Words of it. */
const ASIDE = 64;
const ASIDE_WORDS = ASIDE / 4;
const NONCE_WORD = 0;
const SAVED_WORD = 3; // four octets of a received ICV
const AAD_WORD = 4;
const TAG_WORD = 8; // the ICV worked out for an opened packet, 32 octets at most

// What a module keeps to itself is a constant to V8; what it imports is looked up and checked for every packet.
const OF_SHAPE = KEY_SHAPES;
const ROW = KEY_ROW;
const HANDLE = KEY_HANDLE;
const SALT = KEY_SALT;
const SHAPE = KEY_SHAPE;
const LOW = KEY_LOW;
const OF_PIECE = PIECE_BITS;
const ONE_KEY = KEY_WORDS;
const { NONE, SALT_AND_IV, CCM } = Nonce;
const { GCM } = CIPHER_MODE;
const { INNER, MAC_THIRD: THIRD } = KEY_MEMORY;
const HEADER = ESP_HEADER;
const COMPLETED = STATUS_COMPLETED;

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
  readonly #keyMemory = new KeyMemory();
  readonly #asideMemory = new NativeMemory(MGR.MAX_JOBS * ASIDE);
  readonly #aside = new Int32Array(
    this.#asideMemory.bytes.buffer,
    this.#asideMemory.bytes.byteOffset,
    MGR.MAX_JOBS * ASIDE_WORDS,
  );
  /** By job: the suite, numbers and direction that it was last written for, -1 for none, and the key's handle, 0 for none. */
  readonly #shapes = new Int32Array(MGR.MAX_JOBS).fill(-1);
  readonly #keyed = new Int32Array(MGR.MAX_JOBS);
  /** By packet: words of its ICV. */
  readonly #icvWords: Uint8Array;
  /** Where what `#touchKeys` has loaded goes: a load whose value nobody wants would not be made. */
  readonly #touched = new Int32Array(1);
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
    this.#icvWords = new Uint8Array(capacity);
  }

  supports(suite: Suite): boolean {
    return SUITES.includes(suite) && isDone(suite);
  }

  expand(suite: Suite, key: Uint8Array, esn: boolean): Key {
    if (this.#closed) throw new RangeError("the engine is closed");
    if (!this.supports(suite)) throw new RangeError(`${suite.name} is not a suite of the engine ${this.name}`);
    checkKeyLength(suite, key);
    const expanded = this.#keys.add((place) => new IpsecMbKey(this.#manager, this.#keyMemory, place, suite, key, esn));
    expanded.publish();
    return expanded;
  }

  /** No job names the key any more. */
  release(key: Key): void {
    if (!this.#keys.has(key)) return;
    for (let i = 0; i < MGR.MAX_JOBS; i++) if (this.#keyed[i] === key.handle) this.#keyed[i] = 0;
    this.#keys.release(key);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#keys.close();
    this.#manager.wipe();
    this.#asideMemory.wipe();
  }

  suiteOf(handle: number): Suite {
    return this.#keys.own(handle).suite;
  }

  seal(ops: Ops): void {
    this.#run(ops, true);
  }

  open(ops: Ops): void {
    this.#run(ops, false);
  }

  #run(ops: Ops, seal: boolean): void {
    if (this.#closed) throw new RangeError("the engine is closed");
    checkBatch(ops, this.#slab.bytes, this.#capacity);
    const { count } = ops;
    // All packets are proved before the first one is touched.
    if (count > MGR.MAX_BURST)
      for (let i = 0; i < count; i++) checkPacket(ops, i, this.#keys.own(ops.keys[i]!).suite, this.#slab.bytes.length);
    for (let from = 0; from < count; from += MGR.MAX_BURST)
      this.#burst(ops, from, Math.min(count - from, MGR.MAX_BURST), seal);
  }

  #burst(ops: Ops, from: number, count: number, seal: boolean): void {
    const manager = this.#manager;
    if (!manager.isIdle()) this.#fail();
    const first = seal ? SEALING : OPENING;
    const far = this.#keyMemory.words.length > NEAR_PIECES;
    if (far && count > 1 && ops.keys[from] !== ops.keys[from + 1] && ops.textLength[from]! <= SHORT_TEXT)
      this.#touchKeys(ops, from, count);
    const saved = this.#writeJobs(ops, from, count, seal, first);
    if (saved) this.#lendIcvs(ops, from, count, first);
    let done = manager.submitBurst(manager.address, count, manager.beginAt(first));
    if (manager.error !== 0) this.#fail();
    while (done < count) {
      const flushed = manager.flushBurst(manager.address, count - done, manager.flushedAddress);
      if (flushed === 0) this.#fail();
      done += flushed;
    }
    if (saved && !seal) this.#returnIcvs(ops, from, count, first); // sealed, the new ICV is there
    if (seal) this.#judgeSealed(ops, from, count);
    else this.#judgeOpened(ops, from, count);
  }

  /**
   * A burst of short texts and many keys, of more than the caches hold: load what the library reads of each key, all at once and not
   * packet after packet, the schedule in front and the lowest powers of GCM's hash key at the end. For long texts it reads a key
   * from end to end, and the processor is ahead of it by itself.
   */
  #touchKeys(ops: Ops, from: number, count: number): void {
    const { keys } = ops;
    const pieces = this.#keyMemory.words;
    let last = 0;
    let seen = 0;
    for (let n = from; n < from + count; n++) {
      const handle = keys[n]!;
      if (handle === last) continue;
      last = handle;
      const place = placeOf(handle);
      const piece = pieces[place >> OF_PIECE];
      if (piece === undefined) continue;
      const key = (place & IN_PIECE) * ONE_KEY;
      seen ^=
        piece[key]! ^
        piece[key + LINE]! ^
        piece[key + 2 * LINE]! ^
        piece[key + 3 * LINE]! ^
        piece[key + 14 * LINE]! ^
        piece[key + 15 * LINE]!;
    }
    this.#touched[0] = seen;
  }

  /** Prove each packet and write its job. True when there are some whose high sequence number must follow the text. */
  #writeJobs(ops: Ops, from: number, count: number, seal: boolean, first: number): boolean {
    const { words } = this.#manager;
    const { view, bytes } = this.#slab;
    const slabLength = bytes.length;
    const aside = this.#aside;
    const shapes = this.#shapes;
    const keyed = this.#keyed;
    const { rows, highs } = this.#keyMemory;
    const icvWords = this.#icvWords;
    const slabLow = this.#slabLow;
    const turns = this.#slabTurn < slabLength;
    const { keys, headAt, textAt, textLength, seqHigh, ok } = ops;
    let last = 0;
    let low = 0; // of the key's address, and its high half
    let high = 0;
    let salt = 0;
    let shapeId = 0;
    let shape = OF_SHAPE[0]!;
    let { aead, nonce, esn, headLength, longest, icvLength, odd } = shape;
    let lend = false;
    for (let i = 0; i < count; i++) {
      const n = from + i;
      const handle = keys[n]!;
      if (handle !== last || handle === 0) {
        const place = placeOf(handle);
        const row = place * ROW;
        if (rows[row + HANDLE] !== handle || handle === 0) return refuseKey(handle);
        last = handle;
        salt = rows[row + SALT]!;
        low = rows[row + LOW]!;
        high = highs[place >> OF_PIECE]!; // of the whole piece
        const id = rows[row + SHAPE]!;
        if (id !== shapeId) {
          shapeId = id;
          shape = OF_SHAPE[id]!;
          ({ aead, nonce, esn, headLength, longest, icvLength, odd } = shape);
        }
        lend = lend || (esn && !aead);
      }
      const head = headAt[n]!;
      const text = textAt[n]!;
      const length = textLength[n]!;
      // Anything but a whole packet inside the slab fails: `checkPacket` says it at length, and throws.
      const proved =
        head >= 0 &&
        text === head + headLength &&
        length > 0 &&
        (length & odd) === 0 &&
        length <= longest &&
        text + length + icvLength <= slabLength;
      if (!proved) checkPacket(ops, n, shape.suite, slabLength);
      ok[n] = 0;
      icvWords[n] = icvLength >> 2;

      const job = first + i;
      const word = FIRST_JOB + job * JOB_WORDS;
      const own = job * ASIDE_WORDS;
      const stamp = shapeId * 2 + (seal ? 1 : 0);
      if (shapes[job] !== stamp) {
        this.#writeShape(job, shape, seal);
        shapes[job] = stamp;
        keyed[job] = 0;
      }
      if (keyed[job] !== handle) {
        words[word + ENC_KEYS] = low; // KEY_MEMORY.ENCRYPT is 0
        words[word + ENC_KEYS + 1] = high;
        words[word + DEC_KEYS] = (low + shape.decryptAt) | 0;
        words[word + DEC_KEYS + 1] = high;
        if (nonce !== NONE) aside[own + NONCE_WORD] = salt;
        if (!aead) {
          words[word + MAC_FIRST] = (low + INNER) | 0; // or MAC_SCHEDULE
          words[word + MAC_FIRST + 1] = high;
          words[word + MAC_SECOND] = (low + shape.macSecondAt) | 0;
          words[word + MAC_SECOND + 1] = high;
          words[word + MAC_THIRD] = (low + THIRD) | 0; // HMAC does not look at it
          words[word + MAC_THIRD + 1] = high;
        }
        keyed[job] = handle;
      }
      words[word + SRC] = (slabLow + head) | 0;
      words[word + DST] = (slabLow + text) | 0;
      words[word + CIPHER_LENGTH] = length;
      if (seal) words[word + TAG] = (slabLow + text + length) | 0;
      if (nonce === SALT_AND_IV) {
        const iv = text - SALTED_IV;
        aside[own + NONCE_WORD + 1] = view.getInt32(iv, true); // octets as they lie: RFC 4106 §4, RFC 7634 §2
        aside[own + NONCE_WORD + 2] = view.getInt32(iv + 4, true);
      } else if (nonce === CCM) {
        const iv = text - SALTED_IV; // behind three octets of salt: RFC 4309 §4
        aside[own + NONCE_WORD] = (aside[own + NONCE_WORD]! & 0xffffff) | (view.getUint8(iv) << 24);
        aside[own + NONCE_WORD + 1] = view.getInt32(iv + 1, true);
        aside[own + NONCE_WORD + 2] = view.getInt32(iv + 4, true) >>> 8;
      }
      if (aead) {
        if (esn) {
          aside[own + AAD_WORD] = view.getInt32(head, true); // RFC 4106 §5
          aside[own + AAD_WORD + 1] = swapped(seqHigh[n]!);
          aside[own + AAD_WORD + 2] = view.getInt32(head + 4, true);
        } else words[word + AAD] = (slabLow + head) | 0;
        if (shape.cipherMode !== GCM) words[word + HASH_LENGTH] = length;
      } else {
        words[word + HASH_LENGTH] = headLength + length + (esn ? 4 : 0);
        if (nonce === NONE) words[word + IV] = (slabLow + head + HEADER) | 0;
      }
      if (turns) this.#writeHighHalves(word, seal, shape, head, text, length);
    }
    return lend;
  }

  /** All of a job that the suite, the kind of sequence number and the direction settle. */
  #writeShape(job: number, shape: KeyShape, seal: boolean): void {
    const { words } = this.#manager;
    const { suite, headLength } = shape;
    const word = FIRST_JOB + job * JOB_WORDS;
    const aside = this.#asideMemory.address + job * ASIDE;
    words.fill(0, word, word + JOB_WORDS);
    words[word + JOB.KEY_LENGTH / 4] = suite.encryptionKeyLength;
    words[word + JOB.CIPHER_OFFSET / 4] = headLength;
    words[word + JOB.TAG_LENGTH / 4] = suite.icvLength;
    words[word + JOB.CIPHER_MODE / 4] = shape.cipherMode;
    words[word + JOB.DIRECTION / 4] = seal ? DIRECTION.ENCRYPT : DIRECTION.DECRYPT;
    words[word + JOB.HASH_ALGORITHM / 4] = shape.hashAlgorithm;
    // Encrypt, then authenticate; verify, then decrypt (RFC 4303 §3.3.2, §3.4.4).
    // CCM authenticates what is not encrypted yet, or not any more (RFC 3610 §2.2).
    const cipherFirst = seal !== (shape.nonce === Nonce.CCM);
    words[word + JOB.CHAIN_ORDER / 4] = cipherFirst ? ORDER.CIPHER_HASH : ORDER.HASH_CIPHER;
    words[word + SRC + 1] = this.#slabHigh;
    words[word + DST + 1] = this.#slabHigh;
    words[word + TAG + 1] = this.#slabHigh;
    if (!seal) putAddress(words, word + TAG, aside + TAG_WORD * 4);
    if (shape.nonce === Nonce.NONE) {
      words[word + IV + 1] = this.#slabHigh;
      words[word + JOB.IV_LENGTH / 4] = suite.ivLength;
    } else {
      putAddress(words, word + IV, aside + NONCE_WORD * 4);
      words[word + JOB.IV_LENGTH / 4] = shape.nonce === Nonce.CCM ? CCM_NONCE : AEAD_NONCE;
    }
    if (shape.aead) {
      words[word + JOB.HASH_OFFSET / 4] = headLength;
      words[word + AAD + 1] = this.#slabHigh;
      if (shape.esn) putAddress(words, word + AAD, aside + AAD_WORD * 4);
      words[word + JOB.AAD_LENGTH / 4] = shape.esn ? ESN_AAD : ESP_HEADER;
    }
  }

  /** The slab lies across a multiple of 4 GiB: the high halves differ between its ends. */
  #writeHighHalves(word: number, seal: boolean, shape: KeyShape, head: number, text: number, length: number): void {
    const { words } = this.#manager;
    words[word + SRC + 1] = this.#highOf(head);
    words[word + DST + 1] = this.#highOf(text);
    if (seal) words[word + TAG + 1] = this.#highOf(text + length);
    if (shape.nonce === Nonce.NONE) words[word + IV + 1] = this.#highOf(head + ESP_HEADER);
    if (shape.aead && !shape.esn) words[word + AAD + 1] = this.#highOf(head);
  }

  #highOf(offset: number): number {
    return offset < this.#slabTurn ? this.#slabHigh : this.#slabHigh + 1;
  }

  /** The high 32 bits follow the text for the MAC alone: they lie where the ICV is, for as long as the call lasts. */
  #lendIcvs(ops: Ops, from: number, count: number, first: number): void {
    const { view } = this.#slab;
    for (let i = 0; i < count; i++) {
      const { esn, aead } = KEY_SHAPES[this.#shapes[first + i]! >> 1]!;
      if (!esn || aead) continue;
      const icv = ops.textAt[from + i]! + ops.textLength[from + i]!;
      this.#aside[(first + i) * ASIDE_WORDS + SAVED_WORD] = view.getInt32(icv, true);
      view.setUint32(icv, ops.seqHigh[from + i]!);
    }
  }

  #returnIcvs(ops: Ops, from: number, count: number, first: number): void {
    const { view } = this.#slab;
    for (let i = 0; i < count; i++) {
      const { esn, aead } = KEY_SHAPES[this.#shapes[first + i]! >> 1]!;
      if (!esn || aead) continue;
      view.setInt32(
        ops.textAt[from + i]! + ops.textLength[from + i]!,
        this.#aside[(first + i) * ASIDE_WORDS + SAVED_WORD]!,
        true,
      );
    }
  }

  #judgeSealed(ops: Ops, from: number, count: number): void {
    const { words } = this.#manager;
    const { ok } = ops;
    for (let i = 0; i < count; i++)
      ok[from + i] = words[FIRST_JOB + (SEALING + i) * JOB_WORDS + STATUS] === COMPLETED ? 1 : 0;
  }

  #judgeOpened(ops: Ops, from: number, count: number): void {
    const { words } = this.#manager;
    const { view } = this.#slab;
    const aside = this.#aside;
    const icvWords = this.#icvWords;
    const { textAt, textLength, ok } = ops;
    for (let i = 0; i < count; i++) {
      const n = from + i;
      const length = icvWords[n]!;
      const icv = textAt[n]! + textLength[n]!;
      const tag = (OPENING + i) * ASIDE_WORDS + TAG_WORD;
      // In time that depends on the length alone: every word is looked at, whatever the others were.
      let difference = words[FIRST_JOB + (OPENING + i) * JOB_WORDS + STATUS]! ^ COMPLETED;
      for (let w = 0; w < length; w++) difference |= view.getInt32(icv + 4 * w, true) ^ aside[tag + w]!;
      ok[n] = difference === 0 ? 1 : 0;
    }
  }

  /** The library refused what was proved right. Nothing may stay in its queue that points into the slab. */
  #fail(): never {
    const reason = this.#manager.errorText;
    this.#manager.reset();
    this.#shapes.fill(-1);
    throw new Error(`libIPSec_MB refused a burst: ${reason}`); // cold
  }
}

const putAddress = (words: Int32Array, at: number, address: number): void => {
  words[at] = lowHalf(address);
  words[at + 1] = highHalf(address);
};

/** A number of 32 bits as a word whose octets lie in network order. */
const swapped = (value: number): number =>
  (value << 24) | ((value << 8) & 0xff0000) | ((value >>> 8) & 0xff00) | (value >>> 24);

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
