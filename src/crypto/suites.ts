/**
 * ESP suites: what protects the packets of a Child SA, as data. One row a suite; names are those of proposals.
 *
 * KEYMAT of one direction (RFC 7296 §2.17) is encryption key ‖ salt ‖ integrity key, `keyLength` octets in all.
 */

export type Cipher = "aes-gcm" | "aes-cbc" | "chacha20-poly1305";
export type Mac = "hmac-sha1" | "hmac-sha256" | "hmac-sha384" | "hmac-sha512";

export interface Suite {
  /** Small number for shared memory; 0 is no suite. Never reused for another suite. */
  readonly id: number;
  /** As in a proposal: `aes256gcm16`, `aes128-sha256`. */
  readonly name: string;
  readonly cipher: Cipher;
  /** Undefined for AEAD. */
  readonly mac: Mac | undefined;
  /** Octets of key material, in the order in which KEYMAT gives them. */
  readonly encryptionKeyLength: number;
  readonly saltLength: number;
  readonly integrityKeyLength: number;
  /** The three together. */
  readonly keyLength: number;
  /** Octets of IV in each packet, in the clear after the ESP header. */
  readonly ivLength: number;
  readonly icvLength: number;
  /** Payload, padding, pad length and next header together are a multiple of this: 16 for CBC, else 4 (RFC 4303 §2.4). */
  readonly alignment: number;
}

const aead = (id: number, name: string, cipher: Cipher, encryptionKeyLength: number): Suite => ({
  id,
  name,
  cipher,
  mac: undefined,
  encryptionKeyLength,
  saltLength: 4, // RFC 4106 §8.1, RFC 7634 §2
  integrityKeyLength: 0,
  keyLength: encryptionKeyLength + 4,
  ivLength: 8,
  icvLength: 16,
  alignment: 4,
});

const cbc = (
  id: number,
  name: string,
  encryptionKeyLength: number,
  mac: Mac,
  integrityKeyLength: number,
  icvLength: number,
): Suite => ({
  id,
  name,
  cipher: "aes-cbc",
  mac,
  encryptionKeyLength,
  saltLength: 0,
  integrityKeyLength,
  keyLength: encryptionKeyLength + integrityKeyLength,
  ivLength: 16, // RFC 3602 §3
  icvLength,
  alignment: 16,
});

export const SUITES: readonly Suite[] = [
  aead(1, "aes128gcm16", "aes-gcm", 16),
  aead(3, "aes256gcm16", "aes-gcm", 32),
  aead(4, "chacha20poly1305", "chacha20-poly1305", 32),
  cbc(10, "aes128-sha1", 16, "hmac-sha1", 20, 12), // RFC 2404
  cbc(11, "aes128-sha256", 16, "hmac-sha256", 32, 16), // RFC 4868
  cbc(12, "aes128-sha384", 16, "hmac-sha384", 48, 24),
  cbc(13, "aes128-sha512", 16, "hmac-sha512", 64, 32),
  cbc(20, "aes256-sha1", 32, "hmac-sha1", 20, 12),
  cbc(21, "aes256-sha256", 32, "hmac-sha256", 32, 16),
  cbc(22, "aes256-sha384", 32, "hmac-sha384", 48, 24),
  cbc(23, "aes256-sha512", 32, "hmac-sha512", 64, 32),
];

const BY_ID: readonly (Suite | undefined)[] = Array.from({ length: 256 }, (_, id) =>
  SUITES.find((suite) => suite.id === id),
);

/** The suite of this id, or undefined. */
export const suiteById = (id: number): Suite | undefined => BY_ID[id];

/** The suite of this name, or undefined. */
export const suiteByName = (name: string): Suite | undefined => SUITES.find((suite) => suite.name === name);

export const isAead = (suite: Suite): boolean => suite.mac === undefined;
