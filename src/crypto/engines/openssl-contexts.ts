/**
 * Keyed contexts of libcrypto: what a key of the engine `openssl` is made of. Made when an SA begins, never per packet.
 */
import type { Mac, Suite } from "../suites.ts";
import { addressOf, NativeMemory } from "./ffi.ts";
import type { Evp } from "./openssl-evp.ts";
import { TagParameter, TextParameter } from "./openssl-parameters.ts";

/** Where things lie in the working memory, which is used again for each packet. */
export const WORK = {
  NONCE: 0,
  AAD: 16,
  LENGTH: 32, // an int or a size_t that nobody reads
  MAC: 64, // EVP_MAC_final writes the whole MAC, up to 64 octets
  SIZE: 128,
} as const;

const DIGESTS = {
  "hmac-sha1": "SHA1",
  "hmac-sha256": "SHA256",
  "hmac-sha384": "SHA384",
  "hmac-sha512": "SHA512",
} as const;

/** What all keys of one engine share: the functions, the slab's address, working memory, fetched algorithms. */
export class Contexts {
  readonly evp: Evp;
  readonly slabAddress: number;
  readonly work = new NativeMemory(WORK.SIZE);
  readonly tag = new TagParameter();
  readonly #ciphers = new Map<string, number>();
  #hmac = 0;

  constructor(evp: Evp, slab: Uint8Array) {
    this.evp = evp;
    this.slabAddress = addressOf(slab);
  }

  supports(suite: Suite): boolean {
    return this.#cipher(suite) !== 0 && (suite.mac === undefined || this.#mac() !== 0);
  }

  /** A cipher context with the key expanded, for one direction. The caller frees it. */
  cipher(suite: Suite, key: Uint8Array, direction: "encrypt" | "decrypt"): number {
    const context = this.evp.contextNew();
    const secret = secretCopy(key);
    const init = direction === "encrypt" ? this.evp.encryptInit : this.evp.decryptInit;
    const keyed =
      context !== 0 &&
      init(context, this.#cipher(suite), secret.address, 0, 0) === 1 &&
      this.evp.setPadding(context, 0) === 1; // ESP pads (RFC 4303 §2.4)
    secret.wipe();
    if (keyed) return context;
    this.evp.contextFree(context); // NULL is allowed
    throw new Error(`OpenSSL took no key for ${suite.name}`);
  }

  /** A MAC context with the key hashed in. The caller frees it. */
  mac(mac: Mac, key: Uint8Array): number {
    const context = this.evp.macContextNew(this.#mac());
    const secret = secretCopy(key);
    const digest = new TextParameter("digest", DIGESTS[mac]);
    const keyed = context !== 0 && this.evp.macInit(context, secret.address, key.length, digest.address) === 1;
    secret.wipe();
    if (keyed) return context;
    this.evp.macContextFree(context); // NULL is allowed
    throw new Error(`OpenSSL took no key for ${mac}`);
  }

  /** Give the algorithms back. Contexts hold their own reference. */
  close(): void {
    for (const cipher of this.#ciphers.values()) this.evp.cipherFree(cipher);
    this.#ciphers.clear();
    this.evp.macFree(this.#hmac);
    this.#hmac = 0;
    this.work.wipe();
  }

  /** The EVP_CIPHER, or 0 where this libcrypto has none: a FIPS one has no ChaCha20. */
  #cipher(suite: Suite): number {
    const name = cipherName(suite);
    const known = this.#ciphers.get(name);
    if (known !== undefined) return known;
    const cipher = this.evp.cipherFetch(0, name, 0);
    if (cipher === 0) this.evp.clearErrors();
    else this.#ciphers.set(name, cipher);
    return cipher;
  }

  #mac(): number {
    if (this.#hmac === 0) this.#hmac = this.evp.macFetch(0, "HMAC", 0);
    if (this.#hmac === 0) this.evp.clearErrors();
    return this.#hmac;
  }
}

const cipherName = (suite: Suite): string => {
  if (suite.cipher === "chacha20-poly1305") return "ChaCha20-Poly1305";
  return `AES-${suite.encryptionKeyLength * 8}-${suite.cipher === "aes-gcm" ? "GCM" : "CBC"}`;
};

const secretCopy = (key: Uint8Array): NativeMemory => {
  const memory = new NativeMemory(key.length);
  memory.bytes.set(key);
  return memory;
};
