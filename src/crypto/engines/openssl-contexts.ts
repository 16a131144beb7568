/**
 * Keyed contexts of libcrypto: what a key of the engine `openssl` is made of. Made when an SA begins, never per packet.
 */
import { CCM_NONCE } from "../esp-inputs.ts";
import type { Mac, Suite } from "../suites.ts";
import { type Address, Addresses } from "./addresses.ts";
import { addressOf, NativeMemory } from "./ffi.ts";
import type { Evp } from "./openssl-evp.ts";
import { NumberParameter, TagParameter, TextParameter } from "./openssl-parameters.ts";

/** Where things lie in the working memory, which is used again for each packet. */
export const WORK = {
  NONCE: 0,
  AAD: 16,
  LENGTH: 32, // an int or a size_t that nobody reads
  MAC: 64, // EVP_MAC_final writes the whole MAC, up to 64 octets
  SIZE: 128,
} as const;

/** Per MAC: the algorithm, and the parameter that says what it is made of. libcrypto has no XCBC. */
const MACS = {
  "hmac-sha1": { algorithm: "HMAC", parameter: "digest", value: "SHA1" },
  "hmac-sha256": { algorithm: "HMAC", parameter: "digest", value: "SHA256" },
  "hmac-sha384": { algorithm: "HMAC", parameter: "digest", value: "SHA384" },
  "hmac-sha512": { algorithm: "HMAC", parameter: "digest", value: "SHA512" },
  "aes-cmac": { algorithm: "CMAC", parameter: "cipher", value: "AES-128-CBC" },
  "aes-xcbc": undefined,
} as const satisfies Record<Mac, unknown>;

/** What all keys of one engine share: the functions, the slab's address, working memory, fetched algorithms. */
export class Contexts {
  readonly evp: Evp;
  /** Of the slab, by offset. */
  readonly slab: Addresses;
  readonly work = new NativeMemory(WORK.SIZE);
  // Into the working memory.
  readonly nonceAt: Address = null;
  readonly aadAt: Address = null;
  readonly lengthAt: Address = null;
  readonly macAt: Address = null;
  readonly tag: TagParameter;
  readonly #ccmIv = new NumberParameter("ivlen", CCM_NONCE);
  readonly #ciphers = new Map<string, number>();
  readonly #macs = new Map<string, number>();

  constructor(evp: Evp, slab: Uint8Array) {
    this.evp = evp;
    const address = addressOf(slab);
    this.slab = new Addresses(address);
    this.tag = new TagParameter(address);
    this.nonceAt = this.work.address + WORK.NONCE;
    this.aadAt = this.work.address + WORK.AAD;
    this.lengthAt = this.work.address + WORK.LENGTH;
    this.macAt = this.work.address + WORK.MAC;
  }

  supports(suite: Suite): boolean {
    return (
      (suite.cipher === "null" || this.#cipher(suite) !== 0) && (suite.mac === undefined || this.#mac(suite.mac) !== 0)
    );
  }

  /** A cipher context with the key expanded, for one direction. The caller frees it. */
  cipher(suite: Suite, key: Uint8Array, direction: "encrypt" | "decrypt"): number {
    const context = this.evp.contextNew();
    const secret = secretCopy(key);
    const init = direction === "encrypt" ? this.evp.encryptInit : this.evp.decryptInit;
    const keyed =
      context !== 0 &&
      init(context, this.#cipher(suite), 0, 0, 0) === 1 &&
      (suite.cipher !== "aes-ccm" || // whose key is bound to the lengths of nonce and tag
        (init(context, 0, 0, 0, this.#ccmIv.address) === 1 &&
          init(context, 0, 0, 0, this.tag.length(suite.icvLength)) === 1)) &&
      init(context, 0, secret.address, 0, 0) === 1 &&
      this.evp.setPadding(context, 0) === 1; // ESP pads (RFC 4303 §2.4)
    secret.wipe();
    if (keyed) return context;
    this.evp.contextFree(context); // NULL is allowed
    throw new Error(`OpenSSL took no key for ${suite.name}`);
  }

  /** A MAC context with the key hashed in. The caller frees it. */
  mac(mac: Mac, key: Uint8Array): number {
    const made = MACS[mac];
    if (made === undefined) throw new RangeError(`OpenSSL has no ${mac}`);
    const context = this.evp.macContextNew(this.#mac(mac));
    const secret = secretCopy(key);
    const parameter = new TextParameter(made.parameter, made.value);
    const keyed = context !== 0 && this.evp.macInit(context, secret.address, key.length, parameter.address) === 1;
    secret.wipe();
    if (keyed) return context;
    this.evp.macContextFree(context); // NULL is allowed
    throw new Error(`OpenSSL took no key for ${mac}`);
  }

  /** Give the algorithms back. Contexts hold their own reference. */
  close(): void {
    for (const cipher of this.#ciphers.values()) this.evp.cipherFree(cipher);
    this.#ciphers.clear();
    for (const mac of this.#macs.values()) this.evp.macFree(mac);
    this.#macs.clear();
    this.work.wipe();
  }

  /** The EVP_CIPHER, or 0 where this libcrypto has none: a FIPS one has no ChaCha20. */
  #cipher(suite: Suite): number {
    const name = cipherName(suite);
    return this.#fetched(this.#ciphers, name, this.evp.cipherFetch);
  }

  #mac(mac: Mac): number {
    const name = MACS[mac]?.algorithm;
    return name === undefined ? 0 : this.#fetched(this.#macs, name, this.evp.macFetch);
  }

  #fetched(known: Map<string, number>, name: string, fetch: Evp["cipherFetch"]): number {
    const found = known.get(name);
    if (found !== undefined) return found;
    const algorithm = fetch(0, name, 0);
    if (algorithm === 0) this.evp.clearErrors();
    else known.set(name, algorithm);
    return algorithm;
  }
}

const MODES = { "aes-gcm": "GCM", "aes-gmac": "GCM", "aes-ccm": "CCM", "aes-cbc": "CBC", "aes-ctr": "CTR" } as const;

const cipherName = ({ cipher, encryptionKeyLength }: Suite): string => {
  if (cipher === "null") throw new RangeError("nothing to encrypt with");
  return cipher === "chacha20-poly1305" ? "ChaCha20-Poly1305" : `AES-${encryptionKeyLength * 8}-${MODES[cipher]}`;
};

const secretCopy = (key: Uint8Array): NativeMemory => {
  const memory = new NativeMemory(key.length);
  memory.bytes.set(key);
  return memory;
};
