/**
 * ESP suites: what protects the packets of a Child SA, as data. One row a suite; names are those of proposals.
 *
 * KEYMAT of one direction (RFC 7296 §2.17) is encryption key ‖ salt ‖ integrity key, `keyLength` octets in all.
 */

export type Cipher = "aes-gcm" | "aes-ccm" | "aes-gmac" | "chacha20-poly1305" | "aes-cbc" | "aes-ctr" | "null";
export type HmacName = "hmac-sha1" | "hmac-sha256" | "hmac-sha384" | "hmac-sha512";
export type Mac = HmacName | "aes-xcbc" | "aes-cmac";

export interface Suite {
  /** Small number for shared memory; 0 is no suite. Never reused for another suite. */
  readonly id: number;
  /** As in a proposal: `aes256gcm16`, `aes128-sha256`, `aes128ctr-aesxcbc`, `null-sha256`. */
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
  /** Octets of IV in each packet, in the clear after the ESP header: 16 for CBC, unpredictable; 8, unique; or 0. */
  readonly ivLength: number;
  readonly icvLength: number;
  /** Payload, padding, pad length and next header together are a multiple of this: 16 for CBC, else 4 (RFC 4303 §2.4). */
  readonly alignment: number;
}

const suite = (
  id: number,
  name: string,
  cipher: Cipher,
  mac: Mac | undefined,
  lengths: Pick<Suite, "encryptionKeyLength" | "saltLength" | "integrityKeyLength" | "ivLength" | "icvLength">,
): Suite => ({
  id,
  name,
  cipher,
  mac,
  ...lengths,
  keyLength: lengths.encryptionKeyLength + lengths.saltLength + lengths.integrityKeyLength,
  alignment: cipher === "aes-cbc" ? 16 : 4,
});

const SALTS = { "aes-gcm": 4, "aes-gmac": 4, "chacha20-poly1305": 4, "aes-ccm": 3 } as const;

/** Salts: RFC 4106 §8.1, RFC 4543 §5.4, RFC 7634 §2, and for CCM 3 octets, RFC 4309 §7.1. */
const aead = (
  id: number,
  name: string,
  cipher: keyof typeof SALTS,
  encryptionKeyLength: number,
  icvLength = 16,
): Suite =>
  suite(id, name, cipher, undefined, {
    encryptionKeyLength,
    saltLength: SALTS[cipher],
    integrityKeyLength: 0,
    ivLength: 8,
    icvLength,
  });

/** What is said of an integrity algorithm once: word in names, key and ICV octets, its place among the ids of a cipher. */
const MACS = [
  { word: "sha1", mac: "hmac-sha1", keyLength: 20, icvLength: 12 }, // RFC 2404
  { word: "sha256", mac: "hmac-sha256", keyLength: 32, icvLength: 16 }, // RFC 4868
  { word: "sha384", mac: "hmac-sha384", keyLength: 48, icvLength: 24 },
  { word: "sha512", mac: "hmac-sha512", keyLength: 64, icvLength: 32 },
  { word: "aesxcbc", mac: "aes-xcbc", keyLength: 16, icvLength: 12 }, // RFC 3566
  { word: "aescmac", mac: "aes-cmac", keyLength: 16, icvLength: 12 }, // RFC 4494
] as const;

/** A cipher that needs a MAC, with each of them: ids from `id` on. */
const withMacs = (
  id: number,
  name: string,
  cipher: "aes-cbc" | "aes-ctr" | "null",
  encryptionKeyLength: number,
): Suite[] =>
  MACS.map(({ word, mac, keyLength, icvLength }, place) =>
    suite(id + place, `${name}-${word}`, cipher, mac, {
      encryptionKeyLength,
      saltLength: cipher === "aes-ctr" ? 4 : 0, // the nonce of RFC 3686 §5.1
      integrityKeyLength: keyLength,
      ivLength: { "aes-cbc": 16, "aes-ctr": 8, null: 0 }[cipher], // RFC 3602 §3, RFC 3686 §3.1, RFC 2410
      icvLength,
    }),
  );

export const SUITES: readonly Suite[] = [
  aead(1, "aes128gcm16", "aes-gcm", 16),
  aead(2, "aes192gcm16", "aes-gcm", 24),
  aead(3, "aes256gcm16", "aes-gcm", 32),
  aead(4, "chacha20poly1305", "chacha20-poly1305", 32),
  ...withMacs(10, "aes128", "aes-cbc", 16),
  ...withMacs(20, "aes256", "aes-cbc", 32),
  ...withMacs(30, "aes192", "aes-cbc", 24),
  aead(40, "aes128gcm12", "aes-gcm", 16, 12),
  aead(41, "aes192gcm12", "aes-gcm", 24, 12),
  aead(42, "aes256gcm12", "aes-gcm", 32, 12),
  aead(43, "aes128gcm8", "aes-gcm", 16, 8),
  aead(44, "aes192gcm8", "aes-gcm", 24, 8),
  aead(45, "aes256gcm8", "aes-gcm", 32, 8),
  aead(50, "aes128ccm16", "aes-ccm", 16),
  aead(51, "aes192ccm16", "aes-ccm", 24),
  aead(52, "aes256ccm16", "aes-ccm", 32),
  aead(53, "aes128ccm12", "aes-ccm", 16, 12),
  aead(54, "aes192ccm12", "aes-ccm", 24, 12),
  aead(55, "aes256ccm12", "aes-ccm", 32, 12),
  aead(56, "aes128ccm8", "aes-ccm", 16, 8),
  aead(57, "aes192ccm8", "aes-ccm", 24, 8),
  aead(58, "aes256ccm8", "aes-ccm", 32, 8),
  aead(60, "aes128gmac", "aes-gmac", 16),
  aead(61, "aes192gmac", "aes-gmac", 24),
  aead(62, "aes256gmac", "aes-gmac", 32),
  ...withMacs(70, "aes128ctr", "aes-ctr", 16),
  ...withMacs(80, "aes192ctr", "aes-ctr", 24),
  ...withMacs(90, "aes256ctr", "aes-ctr", 32),
  ...withMacs(100, "null", "null", 0),
];

const BY_ID: readonly (Suite | undefined)[] = Array.from({ length: 256 }, (_, id) =>
  SUITES.find((each) => each.id === id),
);

/** The suite of this id, or undefined. */
export const suiteById = (id: number): Suite | undefined => BY_ID[id];

/** The suite of this name, or undefined. */
export const suiteByName = (name: string): Suite | undefined => SUITES.find((each) => each.name === name);

export const isHmac = (mac: Mac): mac is HmacName => mac !== "aes-xcbc" && mac !== "aes-cmac";

/** The text is sent as it is: authentic, not secret. */
export const isClear = ({ cipher }: Suite): boolean => cipher === "null" || cipher === "aes-gmac";
