/**
 * An expanded key of the engine `ipsec-mb`: AES schedules, the hash key of GCM, the two HMAC states, in native memory,
 * worked out once when an SA begins.
 */
import { ESP_HEADER, MAX_ESP_PACKET, memoryOf } from "../esp-inputs.ts";
import { type Mac, SUITES, type Suite } from "../suites.ts";
import { highHalf, lowHalf, NativeMemory } from "./ffi.ts";
import type { KeyMemory } from "./ipsec-mb-key-memory.ts";
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

/** Words of a row of the key table, by key: a cache line. */
export const KEY_ROW = 16;
export const KEY_SHAPE = 0;
/** The salt's octets as they lie in memory. */
export const KEY_SALT = 1;
/** Addresses in halves: what to encrypt with, what to decrypt with, and the two states of HMAC. */
export const KEY_ENCRYPT = 2;
export const KEY_DECRYPT = 4;
export const KEY_INNER = 6;
export const KEY_OUTER = 8;

/** What all keys of a suite and a kind of sequence number have in common. */
export class KeyShape {
  readonly id: number;
  readonly suite: Suite;
  readonly esn: boolean;
  readonly aead: boolean;
  readonly cipherMode: number;
  readonly hashAlgorithm: number;
  /** Octets from the SPI to the text, and of the longest text. */
  readonly headLength: number;
  readonly longest: number;

  constructor(suite: Suite, esn: boolean) {
    this.id = shapeId(suite, esn);
    this.suite = suite;
    this.esn = esn;
    this.aead = suite.mac === undefined;
    this.cipherMode = MODES[suite.cipher];
    this.hashAlgorithm =
      suite.mac !== undefined
        ? MACS[suite.mac].algorithm
        : suite.cipher === "aes-gcm"
          ? HASH.GMAC
          : HASH.CHACHA20_POLY1305;
    this.headLength = ESP_HEADER + suite.ivLength;
    this.longest = MAX_ESP_PACKET - this.headLength - suite.icvLength;
  }
}

const MODES = {
  "aes-gcm": CIPHER_MODE.GCM,
  "aes-cbc": CIPHER_MODE.CBC,
  "chacha20-poly1305": CIPHER_MODE.CHACHA20_POLY1305,
} as const;

const shapeId = (suite: Suite, esn: boolean): number => suite.id * 2 + (esn ? 1 : 0);

const ALL = SUITES.flatMap((suite) => [new KeyShape(suite, false), new KeyShape(suite, true)]);

/** By `id`; numbers that no suite has repeat the first one. */
export const KEY_SHAPES: readonly KeyShape[] = Array.from(
  { length: 512 },
  (_, id) => ALL.find((shape) => shape.id === id) ?? ALL[0]!,
);

export class IpsecMbKey extends RingKey {
  readonly #place: number;
  readonly #memory: KeyMemory;
  #salt: number;

  constructor(manager: Manager, memory: KeyMemory, suite: Suite, key: Uint8Array, esn: boolean) {
    super(suite, esn);
    this.#memory = memory;
    this.#place = memory.take();
    const encryption = key.subarray(0, suite.encryptionKeyLength);
    this.#salt = suite.saltLength === 0 ? 0 : memoryOf(key).view.getInt32(suite.encryptionKeyLength, true);
    const address = memory.addressOf(this.#place);
    const encrypt = address + KEY_MEMORY.ENCRYPT;
    if (suite.cipher === "chacha20-poly1305") {
      memory.bytes(this.#place).set(encryption, KEY_MEMORY.ENCRYPT);
      return;
    }
    const raw = new NativeMemory(encryption.length);
    raw.bytes.set(encryption);
    if (suite.mac === undefined) manager.expandGcm(encryption.length, raw.address, encrypt);
    else {
      manager.expandAes(encryption.length, raw.address, encrypt, address + KEY_MEMORY.DECRYPT);
      const integrity = key.subarray(encryption.length);
      hmacState(manager, suite.mac, integrity, 0x36, address + KEY_MEMORY.INNER);
      hmacState(manager, suite.mac, integrity, 0x5c, address + KEY_MEMORY.OUTER);
    }
    raw.wipe();
  }

  /** Write what a job asks of the key to the row of the key table that begins at `at`. */
  putRow(table: Int32Array, at: number): void {
    const { suite, esn } = this;
    const address = this.#memory.addressOf(this.#place);
    table[at + KEY_SHAPE] = shapeId(suite, esn);
    table[at + KEY_SALT] = this.#salt;
    putAddress(table, at + KEY_ENCRYPT, address + KEY_MEMORY.ENCRYPT);
    putAddress(
      table,
      at + KEY_DECRYPT,
      address + (suite.cipher === "aes-cbc" ? KEY_MEMORY.DECRYPT : KEY_MEMORY.ENCRYPT),
    );
    putAddress(table, at + KEY_INNER, address + KEY_MEMORY.INNER);
    putAddress(table, at + KEY_OUTER, address + KEY_MEMORY.OUTER);
  }

  wipe(): void {
    this.#memory.give(this.#place);
    this.#salt = 0;
  }
}

const putAddress = (words: Int32Array, at: number, address: number): void => {
  words[at] = lowHalf(address);
  words[at + 1] = highHalf(address);
};

/** The state of the hash after `key ⊕ pad` (RFC 2104 §4). The keys of RFC 4868 are never longer than a block. */
const hmacState = (manager: Manager, mac: Mac, key: Uint8Array, pad: number, state: number): void => {
  const { block, oneBlock } = MACS[mac];
  const padded = new NativeMemory(block);
  padded.bytes.set(key);
  for (let i = 0; i < block; i++) padded.bytes[i] = padded.bytes[i]! ^ pad;
  manager.hashOneBlock(oneBlock, padded.address, state);
  padded.wipe();
};
