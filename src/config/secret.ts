/** A pre-shared key in memory: no printing, JSON or inspection shows it, and it can be wiped. */
import { inspect } from "node:util";
import { wipe } from "../bytes.ts";

const REDACTED = "<redacted>";

export class Secret {
  readonly #bytes: Uint8Array;

  /** Keeps its own copy of `bytes`. */
  constructor(bytes: Uint8Array) {
    this.#bytes = Uint8Array.from(bytes); // a Buffer's slice() would share its memory
  }

  get length(): number {
    return this.#bytes.length;
  }

  /** The octets themselves, not a copy: whoever asks must not show or keep them. */
  reveal(): Uint8Array {
    return this.#bytes;
  }

  wipe(): void {
    wipe(this.#bytes);
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [inspect.custom](): string {
    return REDACTED;
  }
}
