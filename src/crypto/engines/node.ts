/**
 * The engine of node:crypto: OpenSSL through Node's own objects. No native library of ours, so it runs wherever Node does;
 * but each packet costs a cipher object, its handles and a buffer, allocated and collected.
 */
import { createCipheriv, createDecipheriv, createHmac, getCipherInfo, getHashes } from "node:crypto";
import { wipe } from "../../bytes.ts";
import type { EngineDriver } from "../engine.ts";
import {
  AEAD_NONCE,
  ESN_AAD,
  ESP_HEADER,
  isSameIcv,
  type Memory,
  memoryOf,
  saltOf,
  writeEsnAad,
  writeNonce,
} from "../esp-inputs.ts";
import { type Mac, SUITES, type Suite } from "../suites.ts";
import { type PacketCipher, PacketKey, SerialEngine } from "./serial-engine.ts";

const HASHES = {
  "hmac-sha1": "sha1",
  "hmac-sha256": "sha256",
  "hmac-sha384": "sha384",
  "hmac-sha512": "sha512",
} as const;

/** The cipher's name in OpenSSL. */
const cipherName = (suite: Suite): "aes-128-gcm" | "aes-256-gcm" | "chacha20-poly1305" => {
  if (suite.cipher === "chacha20-poly1305") return "chacha20-poly1305";
  return suite.encryptionKeyLength === 16 ? "aes-128-gcm" : "aes-256-gcm";
};

const cbcName = (suite: Suite): string => (suite.encryptionKeyLength === 16 ? "aes-128-cbc" : "aes-256-cbc");

class AeadKey extends PacketKey {
  readonly #key: Uint8Array;
  #salt: number;
  readonly #name: "aes-128-gcm" | "aes-256-gcm" | "chacha20-poly1305";
  readonly #nonce = memoryOf(new Uint8Array(AEAD_NONCE));
  readonly #esnAad = memoryOf(new Uint8Array(ESN_AAD));

  constructor(suite: Suite, key: Uint8Array, esn: boolean) {
    super(suite, esn);
    this.#key = key.slice(0, suite.encryptionKeyLength);
    this.#salt = saltOf(suite, key);
    this.#name = cipherName(suite);
  }

  seal(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const aad = this.#inputs(slab, head, text, seqHigh);
    const { icvLength } = this.suite;
    // The types know the tag length option for one family of names at a time; all of these take it.
    const cipher = createCipheriv(this.#name as "aes-128-gcm", this.#key, this.#nonce.bytes, {
      authTagLength: icvLength,
    });
    cipher.setAAD(aad);
    slab.bytes.set(cipher.update(slab.bytes.subarray(text, text + length)), text);
    cipher.final(); // a stream cipher holds nothing back
    slab.bytes.set(cipher.getAuthTag(), text + length);
    return true;
  }

  open(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const aad = this.#inputs(slab, head, text, seqHigh);
    const { icvLength } = this.suite;
    const cipher = createDecipheriv(this.#name as "aes-128-gcm", this.#key, this.#nonce.bytes, {
      authTagLength: icvLength,
    });
    cipher.setAAD(aad);
    cipher.setAuthTag(slab.bytes.subarray(text + length, text + length + icvLength));
    const opened = cipher.update(slab.bytes.subarray(text, text + length));
    try {
      cipher.final();
    } catch {
      return false; // the one thing that final can have against an AEAD: the tag is wrong
    }
    slab.bytes.set(opened, text);
    return true;
  }

  wipe(): void {
    wipe(this.#key, this.#nonce.bytes);
    this.#salt = 0;
  }

  /** Sets the nonce and returns the AAD. */
  #inputs(slab: Memory, head: number, text: number, seqHigh: number): Uint8Array {
    writeNonce(this.#nonce.view, 0, this.#salt, slab.view, text - this.suite.ivLength);
    if (!this.esn) return slab.bytes.subarray(head, head + ESP_HEADER);
    writeEsnAad(this.#esnAad.view, 0, slab.view, head, seqHigh);
    return this.#esnAad.bytes;
  }
}

class CbcHmacKey extends PacketKey {
  readonly #key: Uint8Array;
  readonly #macKey: Uint8Array;
  readonly #name: string;
  readonly #hash: string;
  readonly #seqHigh = memoryOf(new Uint8Array(4));

  constructor(suite: Suite, mac: Mac, key: Uint8Array, esn: boolean) {
    super(suite, esn);
    this.#key = key.slice(0, suite.encryptionKeyLength);
    this.#macKey = key.slice(suite.encryptionKeyLength);
    this.#name = cbcName(suite);
    this.#hash = HASHES[mac];
  }

  seal(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const cipher = createCipheriv(this.#name, this.#key, slab.bytes.subarray(text - this.suite.ivLength, text));
    cipher.setAutoPadding(false); // ESP pads (RFC 4303 §2.4)
    slab.bytes.set(cipher.update(slab.bytes.subarray(text, text + length)), text);
    cipher.final();
    slab.bytes.set(this.#icv(slab, head, text + length, seqHigh), text + length);
    return true;
  }

  open(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const icv = this.#icv(slab, head, text + length, seqHigh);
    if (!isSameIcv(memoryOf(icv).view, 0, slab.view, text + length, icv.length)) return false;
    const cipher = createDecipheriv(this.#name, this.#key, slab.bytes.subarray(text - this.suite.ivLength, text));
    cipher.setAutoPadding(false);
    slab.bytes.set(cipher.update(slab.bytes.subarray(text, text + length)), text);
    cipher.final();
    return true;
  }

  wipe(): void {
    wipe(this.#key, this.#macKey);
  }

  #icv(slab: Memory, head: number, end: number, seqHigh: number): Uint8Array {
    const mac = createHmac(this.#hash, this.#macKey).update(slab.bytes.subarray(head, end));
    if (this.esn) {
      this.#seqHigh.view.setUint32(0, seqHigh);
      mac.update(this.#seqHigh.bytes);
    }
    return mac.digest().subarray(0, this.suite.icvLength);
  }
}

/** What this build of Node can do: a FIPS one has no ChaCha20, for instance. */
const supports = (suite: Suite): boolean =>
  SUITES.includes(suite) &&
  getCipherInfo(suite.mac === undefined ? cipherName(suite) : cbcName(suite)) !== undefined &&
  (suite.mac === undefined || getHashes().includes(HASHES[suite.mac]));

const NODE: PacketCipher = {
  name: "node",
  supports,
  expand: (suite, key, esn) =>
    suite.mac === undefined ? new AeadKey(suite, key, esn) : new CbcHmacKey(suite, suite.mac, key, esn),
  close: () => undefined,
};

export const node: EngineDriver = {
  name: "node",
  unavailable: () => undefined,
  describe: () => `node:crypto of Node ${process.versions.node}`,
  open: (slab, capacity) => new SerialEngine(NODE, slab, capacity),
};
