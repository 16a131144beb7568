/**
 * Messages that arrive in pieces, RFC 7383 §2.6. A piece is kept only when its ICV is good, so what an IKE SA holds comes
 * from its peer alone, and that is held to limits: one message in each direction, so many pieces and octets, so long.
 */
import { concat } from "../bytes.ts";
import { MOST_FRAGMENTS, openFragment } from "./fragment.ts";
import { IkeError } from "./ike-error.ts";
import type { DirectionKeys } from "./keymat.ts";
import type { ParsedMessage, Payload } from "./message.ts";
import { parseInner } from "./sk.ts";

export interface ReassemblyLimits {
  /** Octets of one piece as a datagram, and of all the text of a message. */
  readonly piece: number;
  readonly text: number;
  /** How long the pieces of a message are waited for after the first, ms. */
  readonly patience: number;
}

export const REASSEMBLY_LIMITS: ReassemblyLimits = { piece: 1932, text: 10_000, patience: 10_000 };

/** What became of a piece: why it was dropped, that more are to come, or the message. */
export type Taken =
  | { readonly dropped: string }
  | { readonly kept: number }
  | { readonly payloads: readonly Payload[] | IkeError; readonly first: Uint8Array };

interface Partial {
  readonly messageId: number;
  readonly total: number;
  readonly until: number;
  readonly texts: Map<number, Uint8Array>;
  firstPayload: number;
  /** Piece number 1 as it came: the one whose repetition asks for the answer again (RFC 7383 §2.6.1). */
  first: Uint8Array | undefined;
  length: number;
}

/** The pieces of one direction of an IKE SA: of the peer's requests, or of its answers. */
export class Reassembly {
  readonly #limits: ReassemblyLimits;
  #partial: Partial | undefined;

  constructor(limits: ReassemblyLimits = REASSEMBLY_LIMITS) {
    this.#limits = limits;
  }

  /** When what is there is to be forgotten; undefined: nothing is there. */
  get until(): number | undefined {
    return this.#partial?.until;
  }

  /** Octets of text held now. */
  get held(): number {
    return this.#partial?.length ?? 0;
  }

  forget(): void {
    for (const text of this.#partial?.texts.values() ?? []) text.fill(0);
    this.#partial = undefined;
  }

  /** One piece of the message that is expected now. Never throws for what a peer sends. */
  take(bytes: Uint8Array, message: ParsedMessage, keys: DirectionKeys, now: number): Taken {
    const { messageId } = message.header;
    const fragment = message.protected?.fragment;
    if (fragment === undefined) return { dropped: "malformed" };
    const { number, total } = fragment;
    if (number === 0 || number > total || total > MOST_FRAGMENTS) return { dropped: "fragment-number" };
    if (bytes.length > this.#limits.piece) return { dropped: "fragment-too-long" };
    if (this.#partial !== undefined && (this.#partial.messageId !== messageId || this.#partial.until <= now))
      this.forget();
    const known = this.#partial;
    // Fewer pieces than of a set that has begun to arrive: an older, larger cut of the same message (RFC 7383 §2.6).
    if (known !== undefined && total < known.total) return { dropped: "fragment-of-older-set" };
    if (known?.total === total && known.texts.has(number)) return { dropped: "fragment-repeated" };

    const text = openFragment(bytes, message, keys);
    if (text === undefined) return { dropped: "bad-icv" };
    // Only now, so that nobody else makes us give up what is there.
    if (known !== undefined && total > known.total) this.forget();
    return this.#keep(bytes, message, text, { number, total }, now);
  }

  #keep(
    bytes: Uint8Array,
    { header, protected: skf }: ParsedMessage,
    text: Uint8Array,
    { number, total }: { readonly number: number; readonly total: number },
    now: number,
  ): Taken {
    this.#partial ??= {
      messageId: header.messageId,
      total,
      until: now + this.#limits.patience,
      texts: new Map(),
      firstPayload: 0,
      first: undefined,
      length: 0,
    };
    const partial = this.#partial;
    if (partial.length + text.length > this.#limits.text) {
      this.forget();
      return { dropped: "fragments-too-many-octets" };
    }
    partial.texts.set(number, text);
    partial.length += text.length;
    if (number === 1) {
      partial.first = bytes;
      partial.firstPayload = skf?.firstPayload ?? 0;
    }
    if (partial.texts.size < total || partial.first === undefined) return { kept: partial.texts.size };
    this.#partial = undefined;
    const whole = concat(...Array.from({ length: total }, (_, index) => partial.texts.get(index + 1) ?? EMPTY));
    return { payloads: parsed(partial.firstPayload, whole), first: partial.first };
  }
}

const EMPTY = new Uint8Array(0);

const parsed = (firstPayload: number, text: Uint8Array): readonly Payload[] | IkeError => {
  try {
    return parseInner(firstPayload, text);
  } catch (error) {
    if (error instanceof IkeError) return error;
    throw error;
  }
};
