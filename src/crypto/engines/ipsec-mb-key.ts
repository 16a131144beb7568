/**
 * An expanded key of the engine `ipsec-mb`: AES schedules, the hash key of GCM, the two HMAC states, in native memory,
 * worked out once when an SA begins.
 */
import { ESP_HEADER, MAX_ESP_PACKET } from "../esp-inputs.ts";
import { type HmacName, isHmac, SUITES, type Suite } from "../suites.ts";
import { lowHalf, NativeMemory } from "./ffi.ts";
import { KEY_HANDLE, KEY_LOW, KEY_ROW, KEY_SALT, KEY_SHAPE, type KeyMemory } from "./ipsec-mb-key-memory.ts";
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

/** What the library takes as IV: the packet's; or salt and IV as they follow each other, or as CCM has them. */
export const Nonce = { NONE: 0, SALT_AND_IV: 1, CCM: 2 } as const;
export type Nonce = (typeof Nonce)[keyof typeof Nonce];

const CIPHERS = {
  "aes-cbc": { mode: CIPHER_MODE.CBC, nonce: Nonce.NONE },
  "aes-ctr": { mode: CIPHER_MODE.CTR, nonce: Nonce.SALT_AND_IV }, // the library counts from 1, RFC 3686 §4
  null: { mode: CIPHER_MODE.NULL, nonce: Nonce.NONE },
  "aes-gcm": { mode: CIPHER_MODE.GCM, nonce: Nonce.SALT_AND_IV },
  "aes-gmac": { mode: CIPHER_MODE.GCM, nonce: Nonce.SALT_AND_IV }, // not done, see `isDone`
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

const hashOf = ({ cipher, mac }: Suite): number => {
  if (mac === undefined) {
    if (cipher === "aes-ccm") return HASH.AES_CCM;
    return cipher === "chacha20-poly1305" ? HASH.CHACHA20_POLY1305 : HASH.GMAC;
  }
  if (isHmac(mac)) return MACS[mac].algorithm;
  return mac === "aes-xcbc" ? HASH.AES_XCBC : HASH.AES_CMAC;
};

/** What all keys of a suite and a kind of sequence number have in common. */
export class KeyShape {
  readonly id: number;
  readonly suite: Suite;
  readonly esn: boolean;
  readonly aead: boolean;
  readonly cipherMode: number;
  readonly nonce: Nonce;
  readonly hashAlgorithm: number;
  /** Octets from the SPI to the text, and of the longest text. */
  readonly headLength: number;
  readonly longest: number;
  readonly icvLength: number;
  /** Bits that the length of a text has none of. */
  readonly odd: number;
  /** From the address of a key: what to decrypt with, and the second part of the MAC: the outer state of HMAC, or a block. */
  readonly decryptAt: number;
  readonly macSecondAt: number;

  constructor(suite: Suite, esn: boolean) {
    this.id = shapeId(suite, esn);
    this.suite = suite;
    this.esn = esn;
    this.aead = suite.mac === undefined;
    this.cipherMode = CIPHERS[suite.cipher].mode;
    this.nonce = CIPHERS[suite.cipher].nonce;
    this.hashAlgorithm = hashOf(suite);
    this.headLength = ESP_HEADER + suite.ivLength;
    this.longest = MAX_ESP_PACKET - this.headLength - suite.icvLength;
    this.icvLength = suite.icvLength;
    this.odd = suite.alignment - 1;
    this.decryptAt = suite.cipher === "aes-cbc" ? KEY_MEMORY.DECRYPT : KEY_MEMORY.ENCRYPT;
    this.macSecondAt = suite.mac === undefined || isHmac(suite.mac) ? KEY_MEMORY.OUTER : KEY_MEMORY.MAC_SECOND;
  }
}

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

  /** Expands the key into `place` of `memory`, which must hold no other. */
  constructor(manager: Manager, memory: KeyMemory, place: number, suite: Suite, key: Uint8Array, esn: boolean) {
    super(suite, esn);
    this.#memory = memory;
    this.#place = place;
    memory.reserve(place);
    const encryption = key.subarray(0, suite.encryptionKeyLength);
    const address = memory.addressOf(place);
    const encrypt = address + KEY_MEMORY.ENCRYPT;
    const raw = new NativeMemory(encryption.length);
    raw.bytes.set(encryption);
    if (suite.cipher === "chacha20-poly1305") memory.bytes(place).set(encryption, KEY_MEMORY.ENCRYPT);
    else if (suite.cipher === "aes-gcm") manager.expandGcm(encryption.length, raw.address, encrypt);
    else if (suite.cipher === "aes-cbc")
      manager.expandAes(encryption.length, raw.address, encrypt, address + KEY_MEMORY.DECRYPT);
    else if (suite.cipher !== "null") expandToEncrypt(manager, encryption.length, raw.address, encrypt);
    raw.wipe();
    let salt = 0;
    for (let i = 0; i < suite.saltLength; i++) salt |= key[encryption.length + i]! << (8 * i);
    memory.rows[place * KEY_ROW + KEY_SALT] = salt;
    memory.rows[place * KEY_ROW + KEY_SHAPE] = shapeId(suite, esn);
    memory.rows[place * KEY_ROW + KEY_LOW] = lowHalf(address);
    this.#expandMac(manager, address, key.subarray(encryption.length + suite.saltLength));
  }

  #expandMac(manager: Manager, address: number, integrity: Uint8Array): void {
    const { mac } = this.suite;
    if (mac === undefined) return;
    if (isHmac(mac)) {
      hmacState(manager, mac, integrity, 0x36, address + KEY_MEMORY.INNER);
      hmacState(manager, mac, integrity, 0x5c, address + KEY_MEMORY.OUTER);
      return;
    }
    const raw = new NativeMemory(integrity.length);
    raw.bytes.set(integrity);
    const schedule = address + KEY_MEMORY.MAC_SCHEDULE;
    const second = address + KEY_MEMORY.MAC_SECOND;
    const third = address + KEY_MEMORY.MAC_THIRD;
    if (mac === "aes-xcbc") manager.expandXcbc(raw.address, schedule, second, third);
    else {
      expandToEncrypt(manager, integrity.length, raw.address, schedule);
      manager.expandCmac(schedule, second, third);
    }
    raw.wipe();
  }

  /** Let jobs have the key: its handle is valid from now on. */
  publish(): void {
    this.#memory.rows[this.#place * KEY_ROW + KEY_HANDLE] = this.handle;
  }

  wipe(): void {
    this.#memory.wipe(this.#place);
  }
}

/** The schedule for decryption is thrown away. */
const expandToEncrypt = (manager: Manager, length: number, key: number, encrypt: number): void => {
  const unused = new NativeMemory(AES_SCHEDULE);
  manager.expandAes(length, key, encrypt, unused.address);
  unused.wipe();
};

/** The state of the hash after `key ⊕ pad` (RFC 2104 §4). The keys of RFC 4868 are never longer than a block. */
const hmacState = (manager: Manager, mac: HmacName, key: Uint8Array, pad: number, state: number): void => {
  const { block, oneBlock } = MACS[mac];
  const padded = new NativeMemory(block);
  padded.bytes.set(key);
  for (let i = 0; i < block; i++) padded.bytes[i] = padded.bytes[i]! ^ pad;
  manager.hashOneBlock(oneBlock, padded.address, state);
  padded.wipe();
};
