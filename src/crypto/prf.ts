/**
 * Pseudorandom functions of IKE: HMAC (RFC 2104) with the hashes of RFC 7296 §3.3.2, and prf+ (§2.13).
 */
import { createHmac } from "node:crypto";
import { concat, wipe } from "../bytes.ts";

export interface Prf {
  /** Transform ID of type 2. */
  readonly id: number;
  /** As in a proposal: `prfsha256`. */
  readonly name: string;
  /** Octets of its output, which is also the length of the keys that are made for it. */
  readonly keyLength: number;
  /** prf(key, data joined). The key may have any length. */
  compute(key: Uint8Array, ...data: readonly Uint8Array[]): Uint8Array;
  /** prf+(key, seed), its first `length` octets: at most 255 times `keyLength`. */
  plus(key: Uint8Array, seed: Uint8Array, length: number): Uint8Array;
}

const hmac = (id: number, hash: string, keyLength: number): Prf => {
  const compute = (key: Uint8Array, ...data: readonly Uint8Array[]): Uint8Array => {
    const mac = createHmac(hash, key);
    for (const part of data) mac.update(part);
    return new Uint8Array(mac.digest());
  };

  /** T1 | T2 | …, Tn = prf(K, Tn-1 | S | n), RFC 7296 §2.13. */
  const plus = (key: Uint8Array, seed: Uint8Array, length: number): Uint8Array => {
    const rounds = Math.ceil(length / keyLength);
    if (rounds > 255) throw new RangeError(`prf+ cannot give ${length} octets`);
    const blocks: Uint8Array[] = [];
    for (let n = 1; n <= rounds; n++)
      blocks.push(compute(key, blocks.at(-1) ?? new Uint8Array(0), seed, Uint8Array.of(n)));
    const whole = concat(...blocks);
    const wanted = whole.slice(0, length);
    wipe(whole, ...blocks);
    return wanted;
  };

  return { id, name: `prf${hash}`, keyLength, compute, plus };
};

export const PRFS: readonly Prf[] = [
  hmac(2, "sha1", 20),
  hmac(5, "sha256", 32),
  hmac(6, "sha384", 48),
  hmac(7, "sha512", 64),
];

/** The PRF with this transform ID, or undefined. */
export const prfById = (id: number): Prf | undefined => PRFS.find((prf) => prf.id === id);

/** The PRF of this name, or undefined. */
export const prfByName = (name: string): Prf | undefined => PRFS.find((prf) => prf.name === name);
