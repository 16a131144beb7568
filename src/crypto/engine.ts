/**
 * What a crypto engine is. An engine runs in one thread and works on batches of ESP packets that lie in one slab of shared
 * memory: one call a batch, a verdict per packet, no exception for a bad ICV, no allocation per packet.
 *
 *   headAt            textAt                                textAt + textLength
 *     | SPI | Seq | IV  | payload … padding, pad length, NH  | ICV |
 *     |<--- ICV covers this, and for ESN the high 32 bits -->|
 */
import type { Suite } from "./suites.ts";

/** An expanded key, bound to the engine and the thread that made it. Holds no enumerable secret. */
export interface Key {
  readonly suite: Suite;
  /** What a batch names it by: a number that no other live key of this thread's engines has, and never 0. */
  readonly handle: number;
  /** Extended sequence numbers: the high half takes part in the ICV (RFC 4303 §2.2.1, RFC 4106 §5). */
  readonly esn: boolean;
}

/** Octets of scratch in the slab for each packet of a batch: nonce, AAD, a saved ICV. Cache line aligned. */
export const OP_SCRATCH = 128;

/** A batch as columns. Offsets are into `slab`. Made once, filled again for each batch. */
export class Ops {
  count = 0;
  readonly capacity: number;
  readonly slab: Uint8Array;
  /** Where `capacity * OP_SCRATCH` octets lie that an engine may use as it likes during a call. */
  readonly scratchAt: number;
  /** Handles of keys: numbers, since a reference for each packet is one more place in memory for each SA. */
  readonly keys: Int32Array;
  /** The SPI's first octet. */
  readonly headAt: Int32Array;
  /** First octet after the IV. */
  readonly textAt: Int32Array;
  /** Octets of ciphertext, ICV not counted: a multiple of the suite's alignment. */
  readonly textLength: Int32Array;
  /** High 32 bits of the sequence number; used when the key says ESN. */
  readonly seqHigh: Uint32Array;
  /** 1: sealed, or opened and authentic. 0: not authentic. */
  readonly ok: Uint8Array;

  constructor(slab: Uint8Array, scratchAt: number, capacity: number) {
    this.slab = slab;
    this.scratchAt = scratchAt;
    this.capacity = capacity;
    this.keys = new Int32Array(capacity);
    this.headAt = new Int32Array(capacity);
    this.textAt = new Int32Array(capacity);
    this.textLength = new Int32Array(capacity);
    this.seqHigh = new Uint32Array(capacity);
    this.ok = new Uint8Array(capacity);
  }
}

export interface Engine {
  /** Its name, or those of several that share the work. */
  readonly name: string;
  supports(suite: Suite): boolean;
  /**
   * Expand `key` (`suite.keyLength` octets, order as in KEYMAT) once, when an SA begins. The caller may wipe `key` after.
   * Throws a RangeError when the length is wrong or the suite is not supported: that is a bug, not a peer.
   */
  expand(suite: Suite, key: Uint8Array, esn: boolean): Key;
  /** Forget an expanded key and wipe what it held. */
  release(key: Key): void;
  /** The suite of the key that `handle` names. Throws a RangeError when that is none of this engine's. */
  suiteOf(handle: number): Suite;
  /** Encrypt `ops[0..count)` in place and write each ICV behind its text. SPI, sequence number and IV are there already. */
  seal(ops: Ops): void;
  /** Verify and decrypt `ops[0..count)` in place and set `ok`. Text that fails its ICV is left unspecified. */
  open(ops: Ops): void;
  /** Wipe and free everything. */
  close(): void;
}

export type EngineName = "ipsec-mb" | "openssl" | "node" | "noble";

export interface EngineDriver {
  readonly name: EngineName;
  /** Why this engine cannot run here, or undefined when it can. Never throws: a missing library is an answer. */
  unavailable(): string | undefined;
  /** A short line on what was found: `libIPSec_MB 1.3.0`, `OpenSSL 3.0.19 of node`. Call only when available. */
  describe(): string;
  /** An engine of the calling thread over `slab`, of at most `capacity` packets a batch. */
  open(slab: Uint8Array, capacity: number): Engine;
}
