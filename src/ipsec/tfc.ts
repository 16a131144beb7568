// HOT PATH
/**
 * Traffic flow confidentiality in tunnel mode: padding that hides how long an inner packet is (RFC 4303 §2.7), and dummy
 * packets that hide when there is one (§2.6). A receiver finds the end of the inner packet by its own length field, and drops
 * dummies in silence; both are its duty but for the padding it said it does not take (RFC 7296 §1.3.1).
 *
 *   | IP packet ........ | zeros, up to the length asked for | 1 2 3 … | pad length | next header |
 */
import { NEXT_DUMMY, writeTrailer } from "./esp.ts";

/** How long packets are made: to a multiple of so many octets, or all as long as the tunnel takes. */
export type TfcPadding =
  | { readonly kind: "none" }
  | { readonly kind: "full" }
  | { readonly kind: "multiple"; readonly octets: number };

/** No packet is longer than this multiple, so all are as long as the MTU allows. */
const FULL = 0x1_0000;

/**
 * The multiple that packets are padded to, 0 for none: for `paddedLength`. `refused`: the peer sent
 * ESP_TFC_PADDING_NOT_SUPPORTED for this SA.
 */
export const tfcMultiple = (padding: TfcPadding, refused: boolean): number => {
  if (refused || padding.kind === "none") return 0;
  return padding.kind === "full" ? FULL : padding.octets;
};

/** Octets of an inner packet with its padding: never more than `mtu`, and never less than the packet. */
export const paddedLength = (length: number, multiple: number, mtu: number): number =>
  multiple === 0 ? length : Math.max(length, Math.min(mtu, Math.ceil(length / multiple) * multiple));

/** Write the padding behind the packet of `length` octets at `at`. */
export const writeTfcPadding = (slab: Uint8Array, at: number, length: number, padded: number): void => {
  slab.fill(0, at + length, at + padded);
};

/**
 * A dummy packet whose text begins at `textAt`, as long as the text of an inner packet of `length` octets. Returns the length
 * of the text. Zeros do: nobody without the key tells them from a packet.
 */
export const writeDummy = (view: DataView, textAt: number, length: number, alignment: number): number => {
  for (let i = 0; i < length; i++) view.setUint8(textAt + i, 0);
  return writeTrailer(view, textAt, length, alignment, NEXT_DUMMY);
};

/** When dummies are due: so many a second, whether or not there is traffic. Time is passed in. */
export class DummyClock {
  readonly #interval: number;
  #due: number;

  /** `interval`: ms from one to the next. */
  constructor(interval: number, now: number) {
    this.#interval = interval;
    this.#due = now + interval;
  }

  /** ms until the next one; 0 when it is due. */
  wait(now: number): number {
    return Math.max(0, this.#due - now);
  }

  /** Whether one is to be sent at `now`. After a pause the missed ones are not sent in a heap: that would tell of it. */
  take(now: number): boolean {
    if (now < this.#due) return false;
    const late = now - this.#due;
    this.#due = late < this.#interval ? this.#due + this.#interval : now + this.#interval;
    return true;
  }
}
