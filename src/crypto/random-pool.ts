/** Unpredictable octets, drawn from the system many at a time: a handshake asks for some forty times a few. */
import { randomFillSync } from "node:crypto";

const SIZE = 4096;

export class RandomPool {
  readonly #octets = new Uint8Array(SIZE);
  #used = SIZE;

  /** Nobody gets the same twice, and what was given is not kept. */
  take(length: number): Uint8Array {
    if (length > SIZE) return randomFillSync(new Uint8Array(length));
    if (this.#used + length > SIZE) {
      randomFillSync(this.#octets);
      this.#used = 0;
    }
    const taken = this.#octets.slice(this.#used, this.#used + length);
    this.#octets.fill(0, this.#used, this.#used + length);
    this.#used += length;
    return taken;
  }
}
