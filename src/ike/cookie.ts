/**
 * Stateless cookies, RFC 7296 §2.6: a responder under load answers with a cookie and keeps nothing, and goes on only with
 * initiators that send it back, which those with a forged source address cannot.
 *
 *   Cookie = <version of secret (4)> | HMAC-SHA-256(secret, Ni | IPi | SPIi)
 *
 * The RFC suggests a plain hash over the same and the secret; a MAC is what that hash stands for.
 */
import { createHmac } from "node:crypto";
import { concat, equalBytes, equalSecret, wipe } from "../bytes.ts";
import { addressBytes } from "../ip-address.ts";
import { HEADER_LENGTH } from "./header.ts";
import { Notify } from "./notify.ts";
import { GENERIC_HEADER, payloadType } from "./payload/index.ts";

interface Secret {
  readonly version: Uint8Array;
  readonly key: Uint8Array;
}

export class CookieJar {
  readonly #random: (length: number) => Uint8Array;
  readonly #lifetime: number;
  #current: Secret | undefined;
  #previous: Secret | undefined;
  #since = 0;

  /** `lifetime`: milliseconds until the secret changes. A cookie is good for at least that long and at most twice that. */
  constructor(random: (length: number) => Uint8Array, lifetime = 60_000) {
    this.#random = random;
    this.#lifetime = lifetime;
  }

  /** A cookie for the initiator at `address` (canonical text): 36 octets. */
  issue(ni: Uint8Array, address: string, spiI: Uint8Array, now: number): Uint8Array {
    return make(this.#rotate(now), ni, address, spiI);
  }

  /** Whether it is a cookie that we issued to this initiator not too long ago. */
  check(cookie: Uint8Array, ni: Uint8Array, address: string, spiI: Uint8Array, now: number): boolean {
    this.#rotate(now);
    const version = cookie.subarray(0, 4);
    const secret = [this.#current, this.#previous].find((known) => known && equalBytes(known.version, version));
    return secret !== undefined && equalSecret(make(secret, ni, address, spiI), cookie);
  }

  #rotate(now: number): Secret {
    const age = now - this.#since;
    if (this.#current !== undefined && age < this.#lifetime) return this.#current;
    wipe(this.#previous?.key);
    this.#previous = this.#current;
    if (age >= 2 * this.#lifetime) {
      wipe(this.#previous?.key); // nobody has asked for so long that the last secret is too old as well
      this.#previous = undefined;
    }
    this.#current = { version: this.#random(4), key: this.#random(32) };
    this.#since = now;
    return this.#current;
  }
}

const make = ({ version, key }: Secret, ni: Uint8Array, address: string, spiI: Uint8Array): Uint8Array => {
  const mac = createHmac("sha256", key).update(ni).update(addressBytes(address)).update(spiI);
  return concat(version, mac.digest());
};

const FIRST_PAYLOAD_AT = 16;
/** Of a Notify payload that comes first (RFC 7296 §3.10): after its generic header, protocol and SPI size. */
const TYPE_AT = HEADER_LENGTH + GENERIC_HEADER + 2;

/** Whether an IKE_SA_INIT request begins with a cookie, right or wrong: looked at before it is parsed. */
export const bringsCookie = (bytes: Uint8Array): boolean =>
  bytes[FIRST_PAYLOAD_AT] === payloadType("Notify") &&
  bytes[TYPE_AT] === Notify.COOKIE >> 8 &&
  bytes[TYPE_AT + 1] === (Notify.COOKIE & 0xff);
