/**
 * Transforms, RFC 7296 §3.3.2 and the registry that it began: number, name in proposals, and what we think of each, once.
 */
import { TransformType } from "./payload/sa.ts";

export { TransformType } from "./payload/sa.ts";

/** Transform ID 0 of types INTEG and KE: none. */
export const NONE = 0;

export interface TransformRow {
  readonly type: number;
  readonly id: number;
  readonly keyBits?: number;
  readonly name: string;
  /** Why we do not negotiate it; undefined when we do. Such a row names what peers offer and answers who writes it. */
  readonly refused?: string;
  /** Negotiated for Child SAs alone: what to use for the IKE SA instead. */
  readonly espOnly?: string;
}

const { ENCR, PRF, INTEG, KE, ESN } = TransformType;

const WEAK_CIPHER = "it is weak: use aes128 or aes256, or an AEAD such as aes256gcm16";
const WEAK_HASH = "it is weak: use sha256, sha384 or sha512";
const WEAK_GROUP = "it is too small: use x25519, ecp256 or modp2048, or larger";
const SECRET = "aes256 or aes256gcm16"; // an IKE SA always encrypts
const GCM_256 = "aes256gcm16";
const SHA_256 = "sha256";
const ABSENT = "it is not supported";

export const TRANSFORMS: readonly TransformRow[] = [
  { type: ENCR, id: 20, keyBits: 128, name: "aes128gcm16" }, // RFC 5282, RFC 4106
  { type: ENCR, id: 20, keyBits: 256, name: "aes256gcm16" },
  { type: ENCR, id: 28, name: "chacha20poly1305" }, // RFC 7634
  { type: ENCR, id: 12, keyBits: 128, name: "aes128" }, // RFC 3602
  { type: ENCR, id: 12, keyBits: 256, name: "aes256" },
  { type: ENCR, id: 12, keyBits: 192, name: "aes192", espOnly: "aes256" },
  { type: ENCR, id: 20, keyBits: 192, name: "aes192gcm16", espOnly: GCM_256 },
  { type: ENCR, id: 19, keyBits: 128, name: "aes128gcm12", espOnly: GCM_256 },
  { type: ENCR, id: 19, keyBits: 192, name: "aes192gcm12", espOnly: GCM_256 },
  { type: ENCR, id: 19, keyBits: 256, name: "aes256gcm12", espOnly: GCM_256 },
  { type: ENCR, id: 18, keyBits: 128, name: "aes128gcm8", espOnly: GCM_256 },
  { type: ENCR, id: 18, keyBits: 192, name: "aes192gcm8", espOnly: GCM_256 },
  { type: ENCR, id: 18, keyBits: 256, name: "aes256gcm8", espOnly: GCM_256 },
  { type: ENCR, id: 16, keyBits: 128, name: "aes128ccm16", espOnly: GCM_256 }, // RFC 4309
  { type: ENCR, id: 16, keyBits: 192, name: "aes192ccm16", espOnly: GCM_256 },
  { type: ENCR, id: 16, keyBits: 256, name: "aes256ccm16", espOnly: GCM_256 },
  { type: ENCR, id: 15, keyBits: 128, name: "aes128ccm12", espOnly: GCM_256 },
  { type: ENCR, id: 15, keyBits: 192, name: "aes192ccm12", espOnly: GCM_256 },
  { type: ENCR, id: 15, keyBits: 256, name: "aes256ccm12", espOnly: GCM_256 },
  { type: ENCR, id: 14, keyBits: 128, name: "aes128ccm8", espOnly: GCM_256 },
  { type: ENCR, id: 14, keyBits: 192, name: "aes192ccm8", espOnly: GCM_256 },
  { type: ENCR, id: 14, keyBits: 256, name: "aes256ccm8", espOnly: GCM_256 },
  { type: ENCR, id: 13, keyBits: 128, name: "aes128ctr", espOnly: "aes128" }, // RFC 3686
  { type: ENCR, id: 13, keyBits: 192, name: "aes192ctr", espOnly: "aes256" },
  { type: ENCR, id: 13, keyBits: 256, name: "aes256ctr", espOnly: "aes256" },
  { type: ENCR, id: 21, keyBits: 128, name: "aes128gmac", espOnly: SECRET }, // RFC 4543
  { type: ENCR, id: 21, keyBits: 192, name: "aes192gmac", espOnly: SECRET },
  { type: ENCR, id: 21, keyBits: 256, name: "aes256gmac", espOnly: SECRET },
  { type: ENCR, id: 11, name: "null", espOnly: SECRET }, // RFC 2410
  { type: ENCR, id: 1, name: "des-iv64", refused: WEAK_CIPHER },
  { type: ENCR, id: 2, name: "des", refused: WEAK_CIPHER },
  { type: ENCR, id: 3, name: "3des", refused: WEAK_CIPHER },
  { type: ENCR, id: 23, keyBits: 128, name: "camellia128", refused: ABSENT },
  { type: ENCR, id: 23, keyBits: 256, name: "camellia256", refused: ABSENT },

  { type: INTEG, id: 2, name: "sha1" }, // RFC 2404; only where a user writes it
  { type: INTEG, id: 12, name: "sha256" }, // RFC 4868
  { type: INTEG, id: 13, name: "sha384" },
  { type: INTEG, id: 14, name: "sha512" },
  { type: INTEG, id: NONE, name: "noauth", refused: "it does not protect: use sha256, sha384 or sha512" },
  { type: INTEG, id: 1, name: "md5", refused: WEAK_HASH },
  { type: INTEG, id: 5, name: "aesxcbc", espOnly: SHA_256 }, // RFC 3566
  { type: INTEG, id: 8, name: "aescmac", espOnly: SHA_256 }, // RFC 4494

  { type: PRF, id: 2, name: "prfsha1" },
  { type: PRF, id: 5, name: "prfsha256" },
  { type: PRF, id: 6, name: "prfsha384" },
  { type: PRF, id: 7, name: "prfsha512" },
  { type: PRF, id: 1, name: "prfmd5", refused: WEAK_HASH },
  { type: PRF, id: 4, name: "prfaesxcbc", refused: ABSENT },
  { type: PRF, id: 8, name: "prfaescmac", refused: ABSENT },

  { type: KE, id: 31, name: "x25519" }, // RFC 8031
  { type: KE, id: 19, name: "ecp256" }, // RFC 5903
  { type: KE, id: 20, name: "ecp384" },
  { type: KE, id: 21, name: "ecp521" },
  { type: KE, id: 14, name: "modp2048" }, // RFC 3526
  { type: KE, id: 15, name: "modp3072" },
  { type: KE, id: 16, name: "modp4096" },
  { type: KE, id: NONE, name: "modpnone", refused: "leave the key exchange method away for none" },
  { type: KE, id: 1, name: "modp768", refused: WEAK_GROUP },
  { type: KE, id: 2, name: "modp1024", refused: WEAK_GROUP },
  { type: KE, id: 5, name: "modp1536", refused: WEAK_GROUP },
  { type: KE, id: 17, name: "modp6144", refused: `${ABSENT}: use modp4096` },
  { type: KE, id: 18, name: "modp8192", refused: `${ABSENT}: use modp4096` },
  { type: KE, id: 22, name: "modp1024s160", refused: WEAK_GROUP },
  { type: KE, id: 23, name: "modp2048s224", refused: `${ABSENT}: use modp2048` },
  { type: KE, id: 24, name: "modp2048s256", refused: `${ABSENT}: use modp2048` },
  { type: KE, id: 25, name: "ecp192", refused: WEAK_GROUP },
  { type: KE, id: 26, name: "ecp224", refused: WEAK_GROUP },
  { type: KE, id: 28, name: "ecp256bp", refused: `${ABSENT}: use ecp256` },
  { type: KE, id: 29, name: "ecp384bp", refused: `${ABSENT}: use ecp384` },
  { type: KE, id: 30, name: "ecp512bp", refused: `${ABSENT}: use ecp521` },
  { type: KE, id: 32, name: "x448", refused: `${ABSENT}: use x25519` },
  { type: KE, id: 35, name: "mlkem512", refused: ABSENT },
  { type: KE, id: 36, name: "mlkem768", refused: ABSENT },
  { type: KE, id: 37, name: "mlkem1024", refused: ABSENT },

  { type: ESN, id: 0, name: "noesn", refused: "extended sequence numbers are a setting of their own: esn" },
  { type: ESN, id: 1, name: "esn", refused: "extended sequence numbers are a setting of their own: esn" },
];

/** Other spellings that users of the field know. */
const ALIASES: Readonly<Record<string, string>> = {
  aes: "aes128",
  aes128cbc: "aes128",
  aes256cbc: "aes256",
  aes192cbc: "aes192",
  aes128gcm: "aes128gcm16",
  aes128gcm64: "aes128gcm8",
  aes128gcm96: "aes128gcm12",
  aes128gcm128: "aes128gcm16",
  aes192gcm: "aes192gcm16",
  aes192gcm64: "aes192gcm8",
  aes192gcm96: "aes192gcm12",
  aes192gcm128: "aes192gcm16",
  aes256gcm: "aes256gcm16",
  aes256gcm64: "aes256gcm8",
  aes256gcm96: "aes256gcm12",
  aes256gcm128: "aes256gcm16",
  aes128ccm: "aes128ccm16",
  aes192ccm: "aes192ccm16",
  aes256ccm: "aes256ccm16",
  chacha20: "chacha20poly1305",
  sha: "sha1",
  sha2_256: "sha256",
  sha2_384: "sha384",
  sha2_512: "sha512",
  prfsha: "prfsha1",
  curve25519: "x25519",
  curve448: "x448",
};

const BY_NAME = new Map(TRANSFORMS.map((row) => [row.name, row]));

/** The transform that a word of a proposal names, refused ones too; undefined when the word is unknown. */
export const transformByName = (word: string): TransformRow | undefined => BY_NAME.get(ALIASES[word] ?? word);

/** Words of the transforms that we negotiate for such an SA, of these types. */
export const knownNames = (types: readonly number[], sa: "IKE" | "ESP"): string[] =>
  TRANSFORMS.filter(
    ({ type, refused, espOnly }) =>
      refused === undefined && types.includes(type) && (sa === "ESP" || espOnly === undefined),
  ).map((row) => row.name);

const AEAD_IDS: readonly number[] = [14, 15, 16, 18, 19, 20, 21, 28];

/** Whether an encryption transform protects integrity itself, so that no INTEG goes with it (RFC 5282 §8). */
export const isAeadTransform = ({ id }: { readonly id: number }): boolean => AEAD_IDS.includes(id);

const TYPE_NAMES: Readonly<Record<number, string>> = {
  [ENCR]: "encr",
  [PRF]: "prf",
  [INTEG]: "integ",
  [KE]: "ke",
  [ESN]: "esn",
};

/** Its name, or such as `encr-99` and `type6-1` where it is unknown to us. */
export const transformName = (transform: {
  readonly type: number;
  readonly id: number;
  readonly keyBits?: number | undefined;
}): string => {
  const { type, id, keyBits } = transform;
  const row = TRANSFORMS.find((known) => known.type === type && known.id === id && known.keyBits === keyBits);
  if (row !== undefined) return row.name;
  return `${TYPE_NAMES[type] ?? `type${type}`}-${id}${keyBits === undefined ? "" : `-${keyBits}`}`;
};
