/**
 * Key exchange as work that somebody else may do: what is to be computed, without anything that only one thread can hold.
 */
import { equalBytes, wipe } from "../bytes.ts";
import { generateKeyPair, type KexMethod, type KeyPair, kexById, keyPairOf } from "./kex.ts";

export type KeyWork =
  /** A key pair to offer. */
  | { readonly what: "generate"; readonly method: number }
  /** What a key pair of ours and the peer's public value come to. */
  | {
      readonly what: "agree";
      readonly method: number;
      readonly privateValue: Uint8Array;
      readonly publicValue: Uint8Array;
      readonly peer: Uint8Array;
    }
  /** Both: a key pair for the peer's public value, which nobody needs after. */
  | { readonly what: "answer"; readonly method: number; readonly peer: Uint8Array };

export interface KeyResult {
  readonly publicValue: Uint8Array;
  /** Of a key pair that is to be kept. */
  readonly privateValue: Uint8Array | undefined;
  /** Undefined when the peer's value is invalid, or when there is none. */
  readonly shared: Uint8Array | undefined;
}

/** Throws a RangeError for a method that is not ours. */
export const doKeyWork = (work: KeyWork): KeyResult => {
  const method = kexById(work.method);
  if (method === undefined) throw new RangeError(`no key exchange method has the number ${work.method}`);
  if (work.what === "agree") {
    const { privateValue, publicValue, peer } = work;
    const keyPair = keyPairOf(method, privateValue, publicValue);
    const shared = keyPair.agree(peer);
    keyPair.destroy();
    return { publicValue, privateValue: undefined, shared };
  }
  const keyPair = generateKeyPair(method);
  const { publicValue } = keyPair;
  const isKept = work.what === "generate";
  const privateValue = isKept ? keyPair.privateValue() : undefined;
  const shared = isKept ? undefined : keyPair.agree(work.peer);
  keyPair.destroy();
  return { publicValue, privateValue, shared };
};

/** Overwrite what is secret in a result that nobody wants. */
export const wipeResult = ({ privateValue, shared }: KeyResult): void => wipe(privateValue, shared);

/** A key pair that somebody else made: what it comes to with a peer's value may be computed elsewhere too, and told it. */
export class MadeKeyPair implements KeyPair {
  readonly method: KexMethod;
  readonly publicValue: Uint8Array;
  #privateValue: Uint8Array | undefined;
  #agreed: { readonly peer: Uint8Array; readonly shared: Uint8Array | undefined } | undefined;

  /** The private value is kept, not copied, and wiped with this object. */
  constructor(method: KexMethod, { publicValue, privateValue }: KeyResult) {
    if (privateValue === undefined) throw new RangeError("a key pair has a private value");
    this.method = method;
    this.publicValue = publicValue;
    this.#privateValue = privateValue;
  }

  privateValue(): Uint8Array {
    return this.#own().slice();
  }

  /** What is to be computed for this peer's value; undefined where that is known already, or the value cannot be right. */
  workFor(peer: Uint8Array): KeyWork | undefined {
    const { method, publicValue } = this;
    if (peer.length !== method.publicLength) return undefined;
    if (this.#agreed !== undefined && equalBytes(this.#agreed.peer, peer)) return undefined;
    return { what: "agree", method: method.id, privateValue: this.#own(), publicValue, peer };
  }

  /** The work for this peer's value is done. */
  learn(peer: Uint8Array, shared: Uint8Array | undefined): void {
    if (this.#privateValue === undefined) {
      wipe(shared); // it was destroyed meanwhile
      return;
    }
    wipe(this.#agreed?.shared);
    this.#agreed = { peer, shared };
  }

  /** Computes it now when nobody has told. */
  agree(peer: Uint8Array): Uint8Array | undefined {
    const own = this.#own();
    if (this.#agreed !== undefined && equalBytes(this.#agreed.peer, peer)) return this.#agreed.shared?.slice();
    const keyPair = keyPairOf(this.method, own, this.publicValue);
    const shared = keyPair.agree(peer);
    keyPair.destroy();
    return shared;
  }

  destroy(): void {
    wipe(this.#privateValue, this.#agreed?.shared);
    this.#privateValue = undefined;
    this.#agreed = undefined;
  }

  #own(): Uint8Array {
    if (this.#privateValue === undefined) throw new RangeError("this key pair was destroyed");
    return this.#privateValue;
  }
}
