/**
 * Native memory for the expanded keys of one engine, place after place in large pieces: keys that are used one after the
 * other lie one after the other, and a key costs no object of its own.
 */
import { NativeMemory } from "./ffi.ts";
import { KEY_MEMORY } from "./ipsec-mb-layout.ts";

/** Keys of a piece. What is not used of it takes address space only. */
const PIECE = 256;

export class KeyMemory {
  readonly #pieces: NativeMemory[] = [];
  readonly #free: number[] = [];

  /** A place of zeros. */
  take(): number {
    if (this.#free.length === 0) this.#grow();
    return this.#free.pop()!;
  }

  addressOf(place: number): number {
    return this.#pieces[Math.floor(place / PIECE)]!.address + (place % PIECE) * KEY_MEMORY.SIZE;
  }

  bytes(place: number): Uint8Array {
    const at = (place % PIECE) * KEY_MEMORY.SIZE;
    return this.#pieces[Math.floor(place / PIECE)]!.bytes.subarray(at, at + KEY_MEMORY.SIZE);
  }

  /** Wipe a place and have it free again. */
  give(place: number): void {
    this.bytes(place).fill(0);
    this.#free.push(place);
  }

  #grow(): void {
    const first = this.#pieces.length * PIECE;
    this.#pieces.push(new NativeMemory(PIECE * KEY_MEMORY.SIZE));
    for (let i = PIECE - 1; i >= 0; i--) this.#free.push(first + i);
  }
}
