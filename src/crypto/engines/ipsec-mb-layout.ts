/**
 * Where things lie in the structures of libIPSec_MB 1.3 (intel-ipsec-mb.h), in octets. They belong to that version alone:
 * the library is asked for its version before any of them is used.
 */

/** imb_get_version() of the one version that these are the offsets of. */
export const KNOWN_VERSION = 0x010300;

/** IMB_MGR. The function pointers are the API: the header's macros call through them. */
export const MGR = {
  SIZE: 52_520,
  ALIGNMENT: 64,
  USED_ARCH: 56, // uint32, IMB_ARCH_NONE is 0
  ERRNO: 60, // int
  KEYEXP_128: 112,
  KEYEXP_192: 120,
  KEYEXP_256: 128,
  CMAC_SUBKEYS_128: 136,
  XCBC_KEYEXP: 144,
  SHA1_ONE_BLOCK: 160,
  SHA256_ONE_BLOCK: 176,
  SHA384_ONE_BLOCK: 184,
  SHA512_ONE_BLOCK: 192,
  GCM128_PRE: 448,
  GCM192_PRE: 456,
  GCM256_PRE: 464,
  SUBMIT_BURST_NOCHECK: 968,
  FLUSH_BURST: 976,
  EARLIEST_JOB: 1016, // int, octets from JOBS, -1 when the queue is empty
  NEXT_JOB: 1020, // int, octets from JOBS
  JOBS: 1024,
  MAX_JOBS: 256,
  MAX_BURST: 128,
  SECOND_BURST: 127, // from here the longest burst does not reach the queue's end, behind which the library counts wrongly
} as const;

/** IMB_JOB. Unless said otherwise each field is 64 bits. */
export const JOB = {
  SIZE: 200,
  ENC_KEYS: 0,
  DEC_KEYS: 8,
  KEY_LENGTH: 16,
  SRC: 24,
  DST: 32,
  CIPHER_OFFSET: 40, // from SRC; DST is where the text goes, offset counted
  CIPHER_LENGTH: 48,
  HASH_OFFSET: 56, // from SRC
  HASH_LENGTH: 64,
  IV: 72,
  IV_LENGTH: 80,
  TAG: 88,
  TAG_LENGTH: 96,
  HMAC_INNER: 104,
  HMAC_OUTER: 112,
  MAC_SCHEDULE: 104, // of XCBC and CMAC, and their two other keys
  MAC_SECOND: 112,
  MAC_THIRD: 120,
  AAD: 104,
  AAD_LENGTH: 112,
  AEAD_CONTEXT: 120, // for scattered input only
  STATUS: 128, // 32 bits, as are the four below
  CIPHER_MODE: 132,
  DIRECTION: 136,
  HASH_ALGORITHM: 140,
  CHAIN_ORDER: 144,
} as const;

export const CIPHER_MODE = { CBC: 1, CTR: 2, NULL: 3, GCM: 5, CCM: 9, CHACHA20_POLY1305: 19 } as const;
export const HASH = {
  HMAC_SHA_1: 1,
  HMAC_SHA_256: 3,
  HMAC_SHA_384: 4,
  HMAC_SHA_512: 5,
  AES_XCBC: 6,
  GMAC: 9,
  AES_CCM: 11,
  AES_CMAC: 12,
  CHACHA20_POLY1305: 29,
} as const;
export const DIRECTION = { ENCRYPT: 1, DECRYPT: 2 } as const;
export const ORDER = { CIPHER_HASH: 1, HASH_CIPHER: 2 } as const;
export const STATUS_COMPLETED = 3;

/** The native memory of one expanded key, ours to lay out: what a suite does not need stays zero. */
export const KEY_MEMORY = {
  ENCRYPT: 0, // AES schedule of 240 octets, or struct gcm_key_data of 1008, or the ChaCha20 key
  DECRYPT: 256, // AES schedule: CBC alone
  INNER: 512, // HMAC states of at most 64 octets
  OUTER: 576,
  MAC_SCHEDULE: 512, // AES schedule of XCBC or CMAC, in place of the states of HMAC
  MAC_SECOND: 768,
  MAC_THIRD: 784,
  SIZE: 1024,
} as const;
