// HOT PATH
/**
 * Unpredictable IVs for CBC (RFC 3602 §3): random octets, drawn from the operating system's generator many at a time and
 * used once.
 */
import { randomFillSync } from "node:crypto";

const SIZE = 16 * 1024;

/** Octets of an IV. */
const IV = 16;

export class IvPool {
  readonly #pool = new Uint8Array(SIZE);
  readonly #words = new DataView(this.#pool.buffer);
  #at = SIZE;

  /** Put 16 fresh octets at `at`. */
  take(view: DataView, at: number): void {
    if (this.#at === SIZE) {
      randomFillSync(this.#pool);
      this.#at = 0;
    }
    const words = this.#words;
    const from = this.#at;
    view.setInt32(at, words.getInt32(from));
    view.setInt32(at + 4, words.getInt32(from + 4));
    view.setInt32(at + 8, words.getInt32(from + 8));
    view.setInt32(at + 12, words.getInt32(from + 12));
    this.#at = from + IV;
  }
}
