/**
 * Native memory for the expanded keys of one engine, place after place in large pieces: keys that are used one after the
 * other lie one after the other. What the engine itself asks of a key is apart in a short row: the rows of four keys are one
 * cache line, those of ten thousand stay in a cache, and the first who meets a key's own lines is the library, in their order.
 */
import { highHalf, NativeMemory } from "./ffi.ts";
import { KEY_MEMORY } from "./ipsec-mb-layout.ts";

/** Keys of a piece are 2^PIECE_BITS. What is not used of it takes address space only. */
export const PIECE_BITS = 10;
const PIECE = 1 << PIECE_BITS;

/** Words from one key to the next. */
export const KEY_WORDS = KEY_MEMORY.SIZE / 4;

/** Words of a row. */
export const KEY_ROW = 4;
/** 0 where there is no key. */
export const KEY_HANDLE = 0;
/** Number of a KeyShape. */
export const KEY_SHAPE = 1;
/** Its octets as they lie in memory. */
export const KEY_SALT = 2;
/** The low half of the address of the key's own memory. */
export const KEY_LOW = 3;

const FIRST_ROWS = 64;

export class KeyMemory {
  /** By piece: its words, and the high half of its address. No piece lies across a multiple of 4 GiB. */
  readonly words: Int32Array[] = [];
  readonly highs: number[] = [];
  /** By place: a row of words. */
  rows = new Int32Array(FIRST_ROWS * KEY_ROW);
  readonly #pieces: NativeMemory[] = [];

  /** Have memory for the keys up to `place`. */
  reserve(place: number): void {
    while (this.#pieces.length <= place >> PIECE_BITS) this.#grow();
    while (this.rows.length <= place * KEY_ROW) this.#growRows();
  }

  addressOf(place: number): number {
    return this.#pieces[place >> PIECE_BITS]!.address + (place & (PIECE - 1)) * KEY_MEMORY.SIZE;
  }

  bytes(place: number): Uint8Array {
    const at = (place & (PIECE - 1)) * KEY_MEMORY.SIZE;
    return this.#pieces[place >> PIECE_BITS]!.bytes.subarray(at, at + KEY_MEMORY.SIZE);
  }

  wipe(place: number): void {
    this.bytes(place).fill(0);
    this.rows.fill(0, place * KEY_ROW, (place + 1) * KEY_ROW);
  }

  #growRows(): void {
    const old = this.rows;
    this.rows = new Int32Array(old.length * 2);
    this.rows.set(old);
    old.fill(0);
  }

  #grow(): void {
    let piece = new NativeMemory(PIECE * KEY_MEMORY.SIZE);
    if (highHalf(piece.address) !== highHalf(piece.address + PIECE * KEY_MEMORY.SIZE - 1))
      piece = new NativeMemory(PIECE * KEY_MEMORY.SIZE); // the other is still there, so this one lies elsewhere
    this.#pieces.push(piece);
    this.words.push(new Int32Array(piece.bytes.buffer, piece.bytes.byteOffset, PIECE * KEY_WORDS));
    this.highs.push(highHalf(piece.address));
  }
}
