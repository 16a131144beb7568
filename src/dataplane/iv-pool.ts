// HOT PATH
/**
 * Unpredictable IVs for CBC (RFC 3602 §3): random octets, drawn from the operating system's generator many at a time and
 * used once.
 */
import { randomFillSync } from "node:crypto";

const SIZE = 16 * 1024;

export class IvPool {
  readonly #pool = new Uint8Array(SIZE);
  #at = SIZE;

  /** Put `length` fresh octets at `at`. */
  take(slab: Uint8Array, at: number, length: number): void {
    if (this.#at + length > SIZE) {
      randomFillSync(this.#pool);
      this.#at = 0;
    }
    for (let i = 0; i < length; i++) slab[at + i] = this.#pool[this.#at + i]!;
    this.#at += length;
  }
}
