/**
 * An expanded key of the engine `ipsec-mb`: AES schedules, the hash key of GCM, the two HMAC states, in native memory,
 * worked out once when an SA begins.
 */
import { type HmacName, isHmac, type Suite } from "../suites.ts";
import { highHalf, lowHalf, NativeMemory } from "./ffi.ts";
import { CIPHER_MODE, HASH, KEY_MEMORY, MGR } from "./ipsec-mb-layout.ts";
import type { Manager } from "./ipsec-mb-library.ts";
import { RingKey } from "./key-ring.ts";

const AES_SCHEDULE = 240;

/** Per hash: its number, its compression function, octets of a block (RFC 2104 §2, RFC 4868 §2.1). */
const MACS = {
  "hmac-sha1": { algorithm: HASH.HMAC_SHA_1, oneBlock: MGR.SHA1_ONE_BLOCK, block: 64 },
  "hmac-sha256": { algorithm: HASH.HMAC_SHA_256, oneBlock: MGR.SHA256_ONE_BLOCK, block: 64 },
  "hmac-sha384": { algorithm: HASH.HMAC_SHA_384, oneBlock: MGR.SHA384_ONE_BLOCK, block: 128 },
  "hmac-sha512": { algorithm: HASH.HMAC_SHA_512, oneBlock: MGR.SHA512_ONE_BLOCK, block: 128 },
} as const;

export const Nonce = { NONE: 0, SALT_AND_IV: 1, CCM: 2 } as const;
export type Nonce = (typeof Nonce)[keyof typeof Nonce];

const CIPHERS = {
  "aes-cbc": { mode: CIPHER_MODE.CBC, nonce: Nonce.NONE },
  "aes-ctr": { mode: CIPHER_MODE.CTR, nonce: Nonce.SALT_AND_IV }, // the library counts from 1, RFC 3686 §4
  null: { mode: CIPHER_MODE.NULL, nonce: Nonce.NONE },
  "aes-gcm": { mode: CIPHER_MODE.GCM, nonce: Nonce.SALT_AND_IV },
  "aes-ccm": { mode: CIPHER_MODE.CCM, nonce: Nonce.CCM },
  "chacha20-poly1305": { mode: CIPHER_MODE.CHACHA20_POLY1305, nonce: Nonce.SALT_AND_IV },
} as const;

/**
 * What is left to other engines: GMAC, which wants header and text in one piece, as they are not with ESN; CCM with 192 bits,
 * which the library has not; CMAC of anything but CBC, since it reads whole blocks, past the end of a packet that has none.
 */
export const isDone = ({ cipher, mac, encryptionKeyLength }: Suite): boolean =>
  cipher !== "aes-gmac" &&
  !(cipher === "aes-ccm" && encryptionKeyLength === 24) &&
  !(mac === "aes-cmac" && cipher !== "aes-cbc");

export class IpsecMbKey extends RingKey {
  readonly aead: boolean;
  /** What the library takes as IV is made of salt and IV: as they follow each other, or as CCM has them. Else it is the IV. */
  readonly nonce: Nonce;
  readonly cipherMode: number;
  readonly hashAlgorithm: number;
  /** Halves of addresses in native memory: of what to encrypt and decrypt with, and of the states of HMAC. */
  readonly encryptLow: number;
  readonly encryptHigh: number;
  readonly decryptLow: number;
  readonly decryptHigh: number;
  /** Where the MAC's keys begin: states of HMAC, or schedule and blocks of XCBC and CMAC. Offsets by `KEY_MEMORY`. */
  readonly memoryAddress: number;
  /** Its octets as they lie in memory. */
  #salt: number;
  readonly #memory = new NativeMemory(KEY_MEMORY.SIZE);

  constructor(manager: Manager, suite: Suite, key: Uint8Array, esn: boolean) {
    super(suite, esn);
    const memory = this.#memory;
    const encryption = key.subarray(0, suite.encryptionKeyLength);
    this.aead = suite.mac === undefined;
    const encrypt = memory.address + KEY_MEMORY.ENCRYPT;
    const decrypt = suite.cipher === "aes-cbc" ? memory.address + KEY_MEMORY.DECRYPT : encrypt;
    this.encryptLow = lowHalf(encrypt);
    this.encryptHigh = highHalf(encrypt);
    this.decryptLow = lowHalf(decrypt);
    this.decryptHigh = highHalf(decrypt);
    this.memoryAddress = memory.address;
    this.#salt = 0;
    for (let i = 0; i < suite.saltLength; i++) this.#salt |= key[suite.encryptionKeyLength + i]! << (8 * i);

    if (suite.cipher === "aes-gmac") throw new RangeError(`${suite.name} is not done here`);
    const { mode, nonce } = CIPHERS[suite.cipher];
    this.cipherMode = mode;
    this.nonce = nonce;
    const raw = new NativeMemory(encryption.length);
    raw.bytes.set(encryption);
    if (suite.cipher === "chacha20-poly1305") memory.bytes.set(encryption, KEY_MEMORY.ENCRYPT);
    else if (suite.cipher === "aes-gcm") manager.expandGcm(encryption.length, raw.address, encrypt);
    else if (suite.cipher !== "null") this.#expandAes(manager, encryption.length, raw.address, encrypt, decrypt);
    raw.wipe();
    this.hashAlgorithm = this.#expandMac(manager, key.subarray(encryption.length + suite.saltLength));
  }

  /** The schedule for decryption is thrown away where nothing needs it. */
  #expandAes(manager: Manager, length: number, key: number, encrypt: number, decrypt: number): void {
    const unused = new NativeMemory(AES_SCHEDULE);
    manager.expandAes(length, key, encrypt, decrypt === encrypt ? unused.address : decrypt);
    unused.wipe();
  }

  /** Returns the number of the algorithm. */
  #expandMac(manager: Manager, integrity: Uint8Array): number {
    const { cipher, mac } = this.suite;
    const at = (offset: number): number => this.#memory.address + offset;
    if (mac === undefined)
      return { "aes-gcm": HASH.GMAC, "aes-ccm": HASH.AES_CCM }[cipher as "aes-gcm"] ?? HASH.CHACHA20_POLY1305;
    if (isHmac(mac)) {
      hmacState(manager, mac, integrity, 0x36, at(KEY_MEMORY.INNER));
      hmacState(manager, mac, integrity, 0x5c, at(KEY_MEMORY.OUTER));
      return MACS[mac].algorithm;
    }
    const raw = new NativeMemory(integrity.length);
    raw.bytes.set(integrity);
    const [schedule, second, third] = [
      at(KEY_MEMORY.MAC_SCHEDULE),
      at(KEY_MEMORY.MAC_SECOND),
      at(KEY_MEMORY.MAC_THIRD),
    ];
    if (mac === "aes-xcbc") manager.expandXcbc(raw.address, schedule, second, third);
    else {
      this.#expandAes(manager, integrity.length, raw.address, schedule, schedule);
      manager.expandCmac(schedule, second, third);
    }
    raw.wipe();
    return mac === "aes-xcbc" ? HASH.AES_XCBC : HASH.AES_CMAC;
  }

  /** HOT PATH. The salt's four octets as a word at `words[at]`. */
  putSalt(words: Int32Array, at: number): void {
    words[at] = this.#salt;
  }

  wipe(): void {
    this.#memory.wipe();
    this.#salt = 0;
  }
}

/** The state of the hash after `key ⊕ pad` (RFC 2104 §4). The keys of RFC 4868 are never longer than a block. */
const hmacState = (manager: Manager, mac: HmacName, key: Uint8Array, pad: number, state: number): void => {
  const { block, oneBlock } = MACS[mac];
  const padded = new NativeMemory(block);
  padded.bytes.set(key);
  for (let i = 0; i < block; i++) padded.bytes[i] = padded.bytes[i]! ^ pad;
  manager.hashOneBlock(oneBlock, padded.address, state);
  padded.wipe();
};
