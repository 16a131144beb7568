/** Ordinary content of messages, and keys that are not secret, for tests of the wire. */

import { prfById } from "../../src/crypto/prf.ts";
import { addressIdentity } from "../../src/ike/identity.ts";
import { deriveIkeKeys, type IkeKeys } from "../../src/ike/keymat.ts";
import type { HeaderFields } from "../../src/ike/message.ts";
import { Notify } from "../../src/ike/notify.ts";
import type { Payload } from "../../src/ike/payload/index.ts";
import {
  chooseIke,
  type IkeSuite,
  offerEsp,
  offerIke,
  parseEspProposal,
  parseIkeProposal,
} from "../../src/ike/proposal.ts";
import { anySelectors } from "../../src/ipsec/selector.ts";

/** Octets that differ from each other and are the same in every run. */
export const pattern = (length: number, seed = 0): Uint8Array =>
  Uint8Array.from({ length }, (_, n) => (n * 167 + seed * 59 + (n >> 3)) & 0xff);

/** Numbers of 32 bits, the same for the same seed. */
export const seeded = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
};

export const SPI_I = pattern(8, 1);
export const SPI_R = pattern(8, 2);
export const NONCE = pattern(32, 3);
export const IDENTITY = addressIdentity("192.0.2.1");
export const SELECTORS = anySelectors;

export const suiteOf = (text: string): IkeSuite => {
  const proposal = parseIkeProposal(text);
  return chooseIke(offerIke([proposal]), [proposal])!.suite;
};

export const keysOf = (text: string): IkeKeys => {
  const suite = suiteOf(text);
  const prf = prfById(suite.prf)!;
  return deriveIkeKeys({ prf, suite, shared: pattern(32, 4), ni: NONCE, nr: pattern(32, 5), spiI: SPI_I, spiR: SPI_R });
};

export const INIT_HEADER: HeaderFields = {
  spiI: SPI_I,
  spiR: new Uint8Array(8),
  exchange: 34,
  fromInitiator: true,
  isResponse: false,
  messageId: 0,
};

const notify = (type: number, data: Uint8Array): Payload => ({
  kind: "Notify",
  value: { protocol: 0, spi: new Uint8Array(0), type, data },
});

export const INIT_PAYLOADS: readonly Payload[] = [
  notify(Notify.COOKIE, pattern(36)),
  {
    kind: "SA",
    value: offerIke([
      parseIkeProposal("aes256gcm16-chacha20poly1305-prfsha384-ecp384-x25519"),
      parseIkeProposal("aes256-aes128-sha256-sha512-modp2048"),
    ]),
  },
  { kind: "KE", value: { method: 31, data: pattern(32) } },
  { kind: "Nonce", value: { data: NONCE } },
  notify(Notify.NAT_DETECTION_SOURCE_IP, pattern(20)),
  { kind: "V", value: { data: pattern(16) } },
];

export const AUTH_HEADER: HeaderFields = { ...INIT_HEADER, spiR: SPI_R, exchange: 35, messageId: 1 };

export const AUTH_PAYLOADS: readonly Payload[] = [
  { kind: "IDi", value: IDENTITY },
  { kind: "IDr", value: addressIdentity("2001:db8::2") },
  { kind: "AUTH", value: { method: 2, data: pattern(32) } },
  { kind: "CERT", value: { encoding: 4, data: pattern(40) } },
  { kind: "CERTREQ", value: { encoding: 4, data: pattern(20) } },
  { kind: "CP", value: { raw: pattern(12) } },
  { kind: "EAP", value: { raw: pattern(9) } },
  { kind: "SA", value: offerEsp([parseEspProposal("aes128-sha256", "either")], 0x1234_5678, { withKe: false }) },
  { kind: "TSi", value: { selectors: SELECTORS } },
  { kind: "TSr", value: { selectors: SELECTORS } },
  notify(Notify.INITIAL_CONTACT, new Uint8Array(0)),
  { kind: "Delete", value: { protocol: 3, spis: [pattern(4, 7), pattern(4, 8)] } },
];
