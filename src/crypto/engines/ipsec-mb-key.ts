/**
 * An expanded key of the engine `ipsec-mb`: AES schedules, the hash key of GCM, the two HMAC states, in native memory,
 * worked out once when an SA begins.
 */
import { memoryOf } from "../esp-inputs.ts";
import type { Mac, Suite } from "../suites.ts";
import { highHalf, lowHalf, NativeMemory } from "./ffi.ts";
import { CIPHER_MODE, HASH, KEY_MEMORY, MGR } from "./ipsec-mb-layout.ts";
import type { Manager } from "./ipsec-mb-library.ts";
import { RingKey } from "./key-ring.ts";

/** Per hash: its number, its compression function, octets of a block (RFC 2104 §2, RFC 4868 §2.1). */
const MACS = {
  "hmac-sha1": { algorithm: HASH.HMAC_SHA_1, oneBlock: MGR.SHA1_ONE_BLOCK, block: 64 },
  "hmac-sha256": { algorithm: HASH.HMAC_SHA_256, oneBlock: MGR.SHA256_ONE_BLOCK, block: 64 },
  "hmac-sha384": { algorithm: HASH.HMAC_SHA_384, oneBlock: MGR.SHA384_ONE_BLOCK, block: 128 },
  "hmac-sha512": { algorithm: HASH.HMAC_SHA_512, oneBlock: MGR.SHA512_ONE_BLOCK, block: 128 },
} as const;

export class IpsecMbKey extends RingKey {
  readonly aead: boolean;
  readonly cipherMode: number;
  readonly hashAlgorithm: number;
  /** Halves of addresses in native memory: of what to encrypt and decrypt with, and of the states of HMAC. */
  readonly encryptLow: number;
  readonly encryptHigh: number;
  readonly decryptLow: number;
  readonly decryptHigh: number;
  readonly innerLow: number;
  readonly innerHigh: number;
  readonly outerLow: number;
  readonly outerHigh: number;
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
    const inner = memory.address + KEY_MEMORY.INNER;
    const outer = memory.address + KEY_MEMORY.OUTER;
    this.encryptLow = lowHalf(encrypt);
    this.encryptHigh = highHalf(encrypt);
    this.decryptLow = lowHalf(decrypt);
    this.decryptHigh = highHalf(decrypt);
    this.innerLow = lowHalf(inner);
    this.innerHigh = highHalf(inner);
    this.outerLow = lowHalf(outer);
    this.outerHigh = highHalf(outer);
    this.#salt = suite.saltLength === 0 ? 0 : memoryOf(key).view.getInt32(suite.encryptionKeyLength, true);

    if (suite.cipher === "chacha20-poly1305") {
      this.cipherMode = CIPHER_MODE.CHACHA20_POLY1305;
      this.hashAlgorithm = HASH.CHACHA20_POLY1305;
      memory.bytes.set(encryption, KEY_MEMORY.ENCRYPT);
      return;
    }
    const raw = new NativeMemory(encryption.length);
    raw.bytes.set(encryption);
    if (suite.mac === undefined) {
      this.cipherMode = CIPHER_MODE.GCM;
      this.hashAlgorithm = HASH.GMAC;
      manager.expandGcm(encryption.length, raw.address, encrypt);
    } else {
      this.cipherMode = CIPHER_MODE.CBC;
      this.hashAlgorithm = MACS[suite.mac].algorithm;
      manager.expandAes(encryption.length, raw.address, encrypt, decrypt);
      const integrity = key.subarray(encryption.length);
      hmacState(manager, suite.mac, integrity, 0x36, inner);
      hmacState(manager, suite.mac, integrity, 0x5c, outer);
    }
    raw.wipe();
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
const hmacState = (manager: Manager, mac: Mac, key: Uint8Array, pad: number, state: number): void => {
  const { block, oneBlock } = MACS[mac];
  const padded = new NativeMemory(block);
  padded.bytes.set(key);
  for (let i = 0; i < block; i++) padded.bytes[i] = padded.bytes[i]! ^ pad;
  manager.hashOneBlock(oneBlock, padded.address, state);
  padded.wipe();
};
