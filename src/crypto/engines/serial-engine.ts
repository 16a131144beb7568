// HOT PATH
/**
 * An engine that takes the packets of a batch one after the other: all that its library knows sits in its keys.
 * Each packet is proved to lie inside the slab before a key sees it.
 */
import type { Engine, EngineName, Key, Ops } from "../engine.ts";
import { checkBatch, checkPacket, type Memory, memoryOf } from "../esp-inputs.ts";
import type { Suite } from "../suites.ts";
import { checkKeyLength, KeyRing, RingKey } from "./key-ring.ts";

/** A key that does one packet. Offsets are proved: header, IV, text and ICV adjoin and lie inside `slab`. */
export abstract class PacketKey extends RingKey {
  /** Encrypt in place and write the ICV behind the text. False when the library failed: the packet must not be sent. */
  abstract seal(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean;
  /** Verify and decrypt in place. False when the packet is not authentic. */
  abstract open(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean;
}

/** What a library gives to a serial engine. */
export interface PacketCipher {
  readonly name: EngineName;
  supports(suite: Suite): boolean;
  /** `key` has the right length and may be wiped afterwards: copy what is kept. */
  expand(suite: Suite, key: Uint8Array, esn: boolean): PacketKey;
  /** Free what is not a key's. Called once, after the last key is released. */
  close(): void;
}

export class SerialEngine implements Engine {
  readonly name: EngineName;
  readonly #cipher: PacketCipher;
  readonly #slab: Memory;
  readonly #capacity: number;
  readonly #keys = new KeyRing<PacketKey>();
  #closed = false;

  constructor(cipher: PacketCipher, slab: Uint8Array, capacity: number) {
    this.name = cipher.name;
    this.#cipher = cipher;
    this.#slab = memoryOf(slab);
    this.#capacity = capacity;
  }

  supports(suite: Suite): boolean {
    return this.#cipher.supports(suite);
  }

  expand(suite: Suite, key: Uint8Array, esn: boolean): Key {
    if (this.#closed) throw new RangeError("the engine is closed");
    if (!this.supports(suite)) throw new RangeError(`${suite.name} is not a suite of the engine ${this.name}`);
    checkKeyLength(suite, key);
    return this.#keys.add(() => this.#cipher.expand(suite, key, esn));
  }

  release(key: Key): void {
    this.#keys.release(key);
  }

  suiteOf(handle: number): Suite {
    return this.#keys.own(handle).suite;
  }

  seal(ops: Ops): void {
    const slab = this.#slab;
    checkBatch(ops, slab.bytes, this.#capacity);
    this.#checkPackets(ops);
    for (let i = 0; i < ops.count; i++) {
      const key = this.#keys.own(ops.keys[i]!);
      const sealed = key.seal(slab, ops.headAt[i]!, ops.textAt[i]!, ops.textLength[i]!, ops.seqHigh[i]!);
      ops.ok[i] = sealed ? 1 : 0;
    }
  }

  open(ops: Ops): void {
    const slab = this.#slab;
    checkBatch(ops, slab.bytes, this.#capacity);
    this.#checkPackets(ops);
    for (let i = 0; i < ops.count; i++) {
      const key = this.#keys.own(ops.keys[i]!);
      const opened = key.open(slab, ops.headAt[i]!, ops.textAt[i]!, ops.textLength[i]!, ops.seqHigh[i]!);
      ops.ok[i] = opened ? 1 : 0;
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#keys.close();
    this.#cipher.close();
  }

  /** All of the batch before any of it: a bug is found before a packet is touched. */
  #checkPackets(ops: Ops): void {
    for (let i = 0; i < ops.count; i++) {
      ops.ok[i] = 0;
      checkPacket(ops, i, this.#keys.own(ops.keys[i]!).suite, this.#slab.bytes.length);
    }
  }
}
