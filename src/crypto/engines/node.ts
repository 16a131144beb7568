/**
 * The engine of node:crypto: OpenSSL through Node's own objects. No native library of ours, so it runs wherever Node does;
 * but each packet costs a cipher object, its handles and a buffer, allocated and collected.
 */
import {
  type CipherGCMTypes,
  createCipheriv,
  createDecipheriv,
  createHmac,
  getCipherInfo,
  getHashes,
} from "node:crypto";
import { wipe } from "../../bytes.ts";
import type { EngineDriver } from "../engine.ts";
import {
  CTR_BLOCK,
  ESN_AAD,
  ESP_HEADER,
  isSameIcv,
  type Memory,
  memoryOf,
  NONCE_ROOM,
  nonceLength,
  saltOf,
  writeEsnAad,
  writeNonce,
} from "../esp-inputs.ts";
import { type HmacName, isClear, isHmac, SUITES, type Suite } from "../suites.ts";
import { copyOf } from "./key-ring.ts";
import { type PacketCipher, PacketKey, SerialEngine } from "./serial-engine.ts";

const HASHES = {
  "hmac-sha1": "sha1",
  "hmac-sha256": "sha256",
  "hmac-sha384": "sha384",
  "hmac-sha512": "sha512",
} as const satisfies Record<HmacName, string>;

const MODES = { "aes-gcm": "gcm", "aes-gmac": "gcm", "aes-ccm": "ccm", "aes-cbc": "cbc", "aes-ctr": "ctr" } as const;

/** The cipher's name in OpenSSL. The types know the options of AEAD ciphers by name: all take those of GCM. */
const cipherName = ({ cipher, encryptionKeyLength }: Suite): CipherGCMTypes => {
  if (cipher === "null") throw new RangeError("nothing to encrypt with");
  const name = cipher === "chacha20-poly1305" ? cipher : `aes-${encryptionKeyLength * 8}-${MODES[cipher]}`;
  return name as CipherGCMTypes;
};

const NOTHING = new Uint8Array(0);

class AeadKey extends PacketKey {
  readonly #key: Uint8Array;
  #salt: number;
  readonly #name: CipherGCMTypes;
  readonly #nonce = memoryOf(new Uint8Array(NONCE_ROOM));
  readonly #iv: Uint8Array;
  readonly #esnAad = memoryOf(new Uint8Array(ESN_AAD));

  constructor(suite: Suite, key: Uint8Array, esn: boolean) {
    super(suite, esn);
    this.#key = copyOf(key, 0, suite.encryptionKeyLength);
    this.#salt = saltOf(suite, key);
    this.#name = cipherName(suite);
    this.#iv = this.#nonce.bytes.subarray(0, nonceLength(suite));
  }

  seal(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    this.#writeNonce(slab, text);
    const cipher = createCipheriv(this.#name, this.#key, this.#iv, { authTagLength: this.suite.icvLength });
    cipher.setAAD(this.#aad(slab, head, text, length, seqHigh), { plaintextLength: length });
    const clear = isClear(this.suite);
    const sealed = cipher.update(clear ? NOTHING : slab.bytes.subarray(text, text + length));
    if (!clear) slab.bytes.set(sealed, text);
    cipher.final(); // a stream cipher holds nothing back
    slab.bytes.set(cipher.getAuthTag(), text + length);
    return true;
  }

  open(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const { icvLength } = this.suite;
    this.#writeNonce(slab, text);
    const cipher = createDecipheriv(this.#name, this.#key, this.#iv, { authTagLength: icvLength });
    cipher.setAuthTag(slab.bytes.subarray(text + length, text + length + icvLength));
    cipher.setAAD(this.#aad(slab, head, text, length, seqHigh), { plaintextLength: length });
    try {
      const clear = isClear(this.suite);
      const opened = cipher.update(clear ? NOTHING : slab.bytes.subarray(text, text + length));
      cipher.final();
      if (!clear) slab.bytes.set(opened, text);
    } catch {
      return false; // the one thing that these can have against an AEAD: the tag is wrong
    }
    return true;
  }

  wipe(): void {
    wipe(this.#key, this.#nonce.bytes);
    this.#salt = 0;
  }

  #writeNonce(slab: Memory, text: number): void {
    writeNonce(this.#nonce.view, 0, this.suite, this.#salt, slab.view, text - this.suite.ivLength);
  }

  #aad(slab: Memory, head: number, text: number, length: number, seqHigh: number): Uint8Array {
    const gmac = isClear(this.suite);
    if (!this.esn) return slab.bytes.subarray(head, gmac ? text + length : head + ESP_HEADER);
    writeEsnAad(this.#esnAad.view, 0, slab.view, head, seqHigh);
    if (!gmac) return this.#esnAad.bytes;
    return Buffer.concat([this.#esnAad.bytes, slab.bytes.subarray(head + ESP_HEADER, text + length)]); // RFC 4543 §3.3
  }
}

class MacKey extends PacketKey {
  readonly #key: Uint8Array;
  readonly #macKey: Uint8Array;
  readonly #name: string;
  readonly #hash: string;
  #salt: number;
  readonly #block = memoryOf(new Uint8Array(CTR_BLOCK));
  readonly #seqHigh = memoryOf(new Uint8Array(4));

  constructor(suite: Suite, mac: HmacName, key: Uint8Array, esn: boolean) {
    super(suite, esn);
    this.#key = copyOf(key, 0, suite.encryptionKeyLength);
    this.#macKey = copyOf(key, suite.encryptionKeyLength + suite.saltLength);
    this.#name = suite.cipher === "null" ? "" : cipherName(suite);
    this.#hash = HASHES[mac];
    this.#salt = saltOf(suite, key);
  }

  seal(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    if (this.#name !== "") this.#crypt(slab, text, length, createCipheriv);
    slab.bytes.set(this.#icv(slab, head, text + length, seqHigh), text + length);
    return true;
  }

  open(slab: Memory, head: number, text: number, length: number, seqHigh: number): boolean {
    const icv = this.#icv(slab, head, text + length, seqHigh);
    if (!isSameIcv(memoryOf(icv).view, 0, slab.view, text + length, icv.length)) return false;
    if (this.#name !== "") this.#crypt(slab, text, length, createDecipheriv);
    return true;
  }

  wipe(): void {
    wipe(this.#key, this.#macKey, this.#block.bytes);
    this.#salt = 0;
  }

  #crypt(slab: Memory, text: number, length: number, create: typeof createCipheriv | typeof createDecipheriv): void {
    const cipher = create(this.#name, this.#key, this.#iv(slab, text));
    cipher.setAutoPadding(false); // ESP pads (RFC 4303 §2.4)
    slab.bytes.set(cipher.update(slab.bytes.subarray(text, text + length)), text);
    cipher.final();
  }

  #iv(slab: Memory, text: number): Uint8Array {
    const at = text - this.suite.ivLength;
    if (this.suite.cipher === "aes-cbc") return slab.bytes.subarray(at, text);
    writeNonce(this.#block.view, 0, this.suite, this.#salt, slab.view, at);
    return this.#block.bytes;
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
  (suite.cipher === "null" || getCipherInfo(cipherName(suite)) !== undefined) &&
  (suite.mac === undefined || (isHmac(suite.mac) && getHashes().includes(HASHES[suite.mac])));

const expand = (suite: Suite, key: Uint8Array, esn: boolean): PacketKey => {
  if (suite.mac === undefined) return new AeadKey(suite, key, esn);
  if (!isHmac(suite.mac)) throw new RangeError(`node:crypto has no ${suite.mac}`);
  return new MacKey(suite, suite.mac, key, esn);
};

const NODE: PacketCipher = {
  name: "node",
  supports,
  expand,
  close: () => undefined,
};

export const node: EngineDriver = {
  name: "node",
  unavailable: () => undefined,
  describe: () => `node:crypto of Node ${process.versions.node}`,
  open: (slab, capacity) => new SerialEngine(NODE, slab, capacity),
};
