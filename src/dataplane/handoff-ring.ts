// HOT PATH
/**
 * A ring of packets in shared memory from one thread to one other: single producer, single consumer, no lock. Positions
 * count octets and go round at 2^32; a record never goes round the end of the ring.
 *
 *   | HEAD, the producer's | TAIL, the consumer's | records ...                                     |
 *                                                   ^ tail            ^ head        ^ skip to the end
 *
 * The producer writes records and then HEAD; the consumer copies them and then writes TAIL. Atomics order each of the two
 * behind what it stands for, so a thread never sees a record that is not whole, nor room that is still being read. A
 * producer that dies before `publish` has given nothing; a consumer that dies after `release` has lost what it took, and
 * whoever comes after it takes nothing twice.
 *
 * Words of a record: octets of the packet, tunnel, where it came from, its address, outer TOS, and then the packet.
 */

import { Memory } from "../linux/memory.ts";
import { copyOctets } from "./copy-words.ts";

/** Records begin at multiples of this. */
const UNIT = 32;
const HEAD = 0;
const TAIL = 16; // its own cache line
const DATA = 128; // octets
/** Instead of a length: the rest of the ring up to its end is empty. */
const SKIP = -1;

const LENGTH = 0;
const TUNNEL = 1;
const SOURCE = 2;
const ADDRESS = 3; // 4 words
const TOS = 7;

/** Octets of memory for a ring of `capacity` octets. */
export const ringOctets = (capacity: number): number => DATA + capacity;

/** Octets that a packet of `length` octets takes in a ring. */
export const recordOctets = (length: number): number => (UNIT + length + UNIT - 1) & ~(UNIT - 1);

export class HandoffRing {
  readonly #memory: Memory;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #capacity: number;
  // The producer's and the consumer's sides. Each instance is used for one of them.
  #head: number;
  #tail: number;
  /** The record that `next` found: its first octet in `#bytes`. */
  #at = 0;

  /** `capacity` octets of records, a power of two, at `offset`, a multiple of 64. Zeroed memory is an empty ring. */
  constructor(memory: SharedArrayBuffer, offset: number, capacity: number) {
    this.#memory = new Memory(memory, offset, ringOctets(capacity));
    this.#words = this.#memory.words;
    this.#bytes = new Uint8Array(memory, offset + DATA, capacity);
    this.#capacity = capacity;
    this.#head = Atomics.load(this.#words, HEAD);
    this.#tail = Atomics.load(this.#words, TAIL);
  }

  // The producer

  /**
   * Write a packet of `length` octets at octet `at` of `slab`; the consumer sees it after `publish`. `tunnel`: which it leaves,
   * -1 for one that came in. False when the ring is full: nothing is written then.
   */
  push(slab: Memory, at: number, length: number, tunnel: number): boolean {
    const need = recordOctets(length);
    const mask = this.#capacity - 1;
    const left = this.#capacity - (this.#head & mask);
    const whole = need <= left ? need : need + left;
    if (whole > this.#free()) {
      this.#tail = Atomics.load(this.#words, TAIL);
      if (whole > this.#free()) return false;
    }
    if (need > left) {
      this.#set(LENGTH, SKIP);
      this.#head = (this.#head + left) | 0;
    }
    this.#set(LENGTH, length);
    this.#set(TUNNEL, tunnel);
    this.#set(SOURCE, 0);
    this.#set(TOS, 0);
    copyOctets(slab, at, this.#memory, DATA + (this.#head & mask) + UNIT, length);
    this.#head = (this.#head + need) | 0;
    return true;
  }

  /** Say where the packet pushed last came from: an address of 4 or 16 octets and a port. */
  setSource(lastLength: number, source: Uint8Array, addressAt: number, addressLength: number, port: number): void {
    const record = (this.#head - recordOctets(lastLength)) & (this.#capacity - 1);
    this.#words[(DATA + record) / 4 + SOURCE] = (addressLength << 16) | port;
    const to = record + ADDRESS * 4;
    for (let i = 0; i < addressLength; i++) this.#bytes[to + i] = source[addressAt + i]!;
  }

  /** TOS of the outer header of the packet pushed last. */
  setTos(lastLength: number, tos: number): void {
    const record = (this.#head - recordOctets(lastLength)) & (this.#capacity - 1);
    this.#words[(DATA + record) / 4 + TOS] = tos;
  }

  publish(): void {
    Atomics.store(this.#words, HEAD, this.#head);
  }

  #free(): number {
    return this.#capacity - ((this.#head - this.#tail) >>> 0);
  }

  #set(word: number, value: number): void {
    this.#words[(DATA + (this.#head & (this.#capacity - 1))) / 4 + word] = value;
  }

  // The consumer

  /** Go to the next record that the producer has published; false when there is none. The getters then speak of it. */
  next(): boolean {
    for (;;) {
      if (this.#tail === this.#head) {
        this.#head = Atomics.load(this.#words, HEAD);
        if (this.#tail === this.#head) return false;
      }
      this.#at = this.#tail & (this.#capacity - 1);
      if (this.length !== SKIP) return true;
      this.#tail = (this.#tail + this.#capacity - this.#at) | 0;
    }
  }

  get length(): number {
    return this.#words[(DATA + this.#at) / 4 + LENGTH]!;
  }

  get tunnel(): number {
    return this.#words[(DATA + this.#at) / 4 + TUNNEL]!;
  }

  /** 4 or 16; 0 when no source was set. */
  get sourceLength(): number {
    return this.#words[(DATA + this.#at) / 4 + SOURCE]! >>> 16;
  }

  get sourcePort(): number {
    return this.#words[(DATA + this.#at) / 4 + SOURCE]! & 0xffff;
  }

  get tos(): number {
    return this.#words[(DATA + this.#at) / 4 + TOS]!;
  }

  copySource(to: Uint8Array, toAt: number): void {
    const from = this.#at + ADDRESS * 4;
    for (let i = 0; i < 16; i++) to[toAt + i] = this.#bytes[from + i]!;
  }

  /** Copy the packet to octet `at` of `slab`, a multiple of 4, and be done with the record. Up to three octets behind it may become zero. */
  take(slab: Memory, at: number): void {
    const { length } = this;
    copyOctets(this.#memory, DATA + this.#at + UNIT, slab, at, length);
    this.#tail = (this.#tail + recordOctets(length)) | 0;
  }

  /** Give the producer the room of what was taken. */
  release(): void {
    Atomics.store(this.#words, TAIL, this.#tail);
  }
}
