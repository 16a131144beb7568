// HOT PATH
/**
 * Addresses for native calls, without garbage. V8 makes an object of every number beyond 2^31 that it works out and gives to a
 * call. What lies in a field or an array that holds other things too is the same object each time: so an address that does not
 * change is kept in a field that began as null, and those of packets, which lie where others lay before, in a table.
 */

/** Null is what a field begins with; no call is given it. */
export type Address = number | null;

const BITS = 14;
/** 2^32 over the golden ratio: spreads offsets that are multiples of something. */
const SPREAD = 0x9e3779b1;

/** The addresses behind a base that were asked for last. An offset has two places, one beside the other. */
export class Addresses {
  readonly #base: number;
  readonly #offsets = new Int32Array(1 << BITS).fill(-1);
  readonly #addresses = new Array<Address>(1 << BITS).fill(null);

  constructor(base: number) {
    this.#base = base;
  }

  /** `offset` is a whole number from 0 to 2^31 - 1. */
  at(offset: number): Address {
    const place = Math.imul(offset, SPREAD) >>> (32 - BITS);
    if (this.#offsets[place] === offset) return this.#addresses[place]!;
    if (this.#offsets[place ^ 1] === offset) return this.#addresses[place ^ 1]!;
    return this.#keep(place, offset);
  }

  /** In the first place; what was there takes the second. */
  #keep(place: number, offset: number): Address {
    const address = this.#base + offset;
    this.#offsets[place ^ 1] = this.#offsets[place]!;
    this.#addresses[place ^ 1] = this.#addresses[place]!;
    this.#offsets[place] = offset;
    this.#addresses[place] = address;
    return address;
  }
}
