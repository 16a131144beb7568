/**
 * What protects the Encrypted payload of IKE: AEAD as RFC 5282 frames it, or AES-CBC then HMAC (RFC 7296 §3.14).
 *
 *   head                                       iv        text
 *     | IKE header … generic header of SK | IV | payloads, padding, pad length | ICV |
 *     |<------- AEAD: associated data ------>|    (the IV is the rest of the nonce, not associated data)
 *     |<------- HMAC covers all of this, with the ciphertext ---------------->|
 */
import { createCipheriv, createDecipheriv, createHmac } from "node:crypto";
import { concat, equalSecret, wipe } from "../bytes.ts";

export interface IkeCipher {
  /** Octets. */
  readonly encryptionKeyLength: number;
  /** Octets of the nonce that come from the key material: 4 for AEAD, else 0. */
  readonly saltLength: number;
  /** 0 for AEAD. */
  readonly integrityKeyLength: number;
  readonly ivLength: number;
  readonly icvLength: number;
  /** The text is padded to a multiple of this. */
  readonly blockLength: number;
  /** How node:crypto calls them. */
  readonly algorithm: "aes-128-gcm" | "aes-256-gcm" | "chacha20-poly1305" | "aes-128-cbc" | "aes-256-cbc";
  readonly hash: "sha1" | "sha256" | "sha384" | "sha512" | undefined;
}

interface Encryption {
  readonly id: number;
  readonly keyBits: number | undefined;
  readonly algorithm: IkeCipher["algorithm"];
  readonly keyLength: number;
}

interface Integrity {
  readonly id: number;
  readonly hash: NonNullable<IkeCipher["hash"]>;
  readonly keyLength: number;
  readonly icvLength: number;
}

// Transform IDs of type 1. ChaCha20-Poly1305 has no key length attribute (RFC 7634 §4).
const AEAD: readonly Encryption[] = [
  { id: 20, keyBits: 128, algorithm: "aes-128-gcm", keyLength: 16 },
  { id: 20, keyBits: 256, algorithm: "aes-256-gcm", keyLength: 32 },
  { id: 28, keyBits: undefined, algorithm: "chacha20-poly1305", keyLength: 32 },
];

const CBC: readonly Encryption[] = [
  { id: 12, keyBits: 128, algorithm: "aes-128-cbc", keyLength: 16 },
  { id: 12, keyBits: 256, algorithm: "aes-256-cbc", keyLength: 32 },
];

// Transform IDs of type 3.
const INTEGRITY: readonly Integrity[] = [
  { id: 2, hash: "sha1", keyLength: 20, icvLength: 12 }, // RFC 2404
  { id: 12, hash: "sha256", keyLength: 32, icvLength: 16 }, // RFC 4868
  { id: 13, hash: "sha384", keyLength: 48, icvLength: 24 },
  { id: 14, hash: "sha512", keyLength: 64, icvLength: 32 },
];

/** The cipher of these transforms, or undefined when they are not ours or do not go together. `integ` is undefined for AEAD. */
export const ikeCipher = (
  encr: number,
  keyBits: number | undefined,
  integ: number | undefined,
): IkeCipher | undefined => {
  const isIt = (row: Encryption): boolean => row.id === encr && row.keyBits === keyBits;
  const aead = AEAD.find(isIt);
  if (aead !== undefined && integ === undefined)
    return {
      encryptionKeyLength: aead.keyLength,
      saltLength: 4, // RFC 5282 §4, RFC 7634 §2
      integrityKeyLength: 0,
      ivLength: 8,
      icvLength: 16,
      blockLength: 1,
      algorithm: aead.algorithm,
      hash: undefined,
    };
  const cbc = CBC.find(isIt);
  const mac = INTEGRITY.find((row) => row.id === integ);
  if (cbc === undefined || mac === undefined) return undefined;
  return {
    encryptionKeyLength: cbc.keyLength,
    saltLength: 0,
    integrityKeyLength: mac.keyLength,
    ivLength: 16,
    icvLength: mac.icvLength,
    blockLength: 16,
    algorithm: cbc.algorithm,
    hash: mac.hash,
  };
};

/** The keys of one direction. They are private fields: nothing prints them. */
export class IkeCipherKeys {
  readonly cipher: IkeCipher;
  readonly #encryption: Uint8Array;
  readonly #salt: Uint8Array;
  readonly #integrity: Uint8Array;
  #sealed = 0;

  /** `skE` is the encryption key and, for AEAD, the salt. Both are kept, not copied, and wiped with this object. */
  constructor(cipher: IkeCipher, skE: Uint8Array, skA: Uint8Array) {
    if (skE.length !== cipher.encryptionKeyLength + cipher.saltLength || skA.length !== cipher.integrityKeyLength)
      throw new RangeError("key material of the wrong length");
    this.cipher = cipher;
    this.#encryption = skE.subarray(0, cipher.encryptionKeyLength);
    this.#salt = skE.subarray(cipher.encryptionKeyLength);
    this.#integrity = skA;
  }

  /** An IV for the next message: for AEAD a counter, which never repeats (RFC 5282 §3.1), for CBC unpredictable. */
  nextIv(random: (length: number) => Uint8Array): Uint8Array {
    if (this.cipher.hash !== undefined) return random(this.cipher.ivLength);
    const iv = new Uint8Array(this.cipher.ivLength);
    new DataView(iv.buffer).setBigUint64(0, BigInt(this.#sealed++));
    return iv;
  }

  /** Ciphertext and ICV. `text` is padded already. */
  seal(head: Uint8Array, iv: Uint8Array, text: Uint8Array): Uint8Array {
    const { algorithm, hash } = this.cipher;
    if (hash === undefined) {
      const seal = createCipheriv(aeadName(algorithm), this.#encryption, concat(this.#salt, iv), { authTagLength: 16 });
      seal.setAAD(head, { plaintextLength: text.length });
      return concat(seal.update(text), seal.final(), seal.getAuthTag());
    }
    const seal = createCipheriv(algorithm, this.#encryption, iv).setAutoPadding(false);
    const sealed = concat(seal.update(text), seal.final());
    return concat(sealed, this.#mac(hash, head, iv, sealed));
  }

  /** The text with its padding, or undefined when the ICV fails or the lengths cannot be. */
  open(head: Uint8Array, iv: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
    const { algorithm, hash, icvLength, blockLength } = this.cipher;
    const textLength = sealed.length - icvLength;
    if (textLength < 1 || textLength % blockLength !== 0) return undefined;
    const text = sealed.subarray(0, textLength);
    const icv = sealed.subarray(textLength);
    if (hash === undefined) {
      const open = createDecipheriv(aeadName(algorithm), this.#encryption, concat(this.#salt, iv), {
        authTagLength: 16,
      });
      open.setAAD(head, { plaintextLength: textLength }).setAuthTag(icv);
      const plain = open.update(text);
      try {
        return concat(plain, open.final());
      } catch {
        plain.fill(0); // not authentic, so not for anybody's eyes
        return undefined;
      }
    }
    if (!equalSecret(this.#mac(hash, head, iv, text), icv)) return undefined; // before decryption, RFC 7296 §3.14
    const open = createDecipheriv(algorithm, this.#encryption, iv).setAutoPadding(false);
    return concat(open.update(text), open.final());
  }

  wipe(): void {
    wipe(this.#encryption, this.#salt, this.#integrity);
  }

  #mac(hash: string, head: Uint8Array, iv: Uint8Array, text: Uint8Array): Uint8Array {
    const mac = createHmac(hash, this.#integrity).update(head).update(iv).update(text).digest();
    return mac.subarray(0, this.cipher.icvLength);
  }
}

/** Node's types have one signature for all AEAD of the CCM kind: the name is narrowed to what it takes. */
const aeadName = (algorithm: IkeCipher["algorithm"]): "chacha20-poly1305" => algorithm as "chacha20-poly1305";
