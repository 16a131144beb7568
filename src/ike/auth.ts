/**
 * Authentication of an IKE SA with a shared key, RFC 7296 §2.15.
 *
 *   InitiatorSignedOctets = RealMessage1 | NonceRData | prf(SK_pi, IDType | RESERVED | InitIDData)
 *   ResponderSignedOctets = RealMessage2 | NonceIData | prf(SK_pr, IDType | RESERVED | RespIDData)
 *   AUTH = prf(prf(Shared Secret, "Key Pad for IKEv2"), <SignedOctets>)
 */
import { concat, equalSecret, Writer, wipe } from "../bytes.ts";
import type { Prf } from "../crypto/prf.ts";
import type { Identity } from "./identity.ts";
import { identification } from "./payload/id.ts";

const KEY_PAD = new TextEncoder().encode("Key Pad for IKEv2"); // 17 octets, no terminator

export interface Signed {
  /** The signer's own IKE_SA_INIT message, the last one that it sent, from the first octet of the header. */
  readonly message: Uint8Array;
  /** The other side's nonce. */
  readonly nonce: Uint8Array;
  readonly prf: Prf;
  /** SK_pi for the initiator, SK_pr for the responder. */
  readonly skP: Uint8Array;
  /** The signer's identity. */
  readonly identity: Identity;
}

export const signedOctets = ({ message, nonce, prf, skP, identity }: Signed): Uint8Array => {
  const body = new Writer(identification.size(identity));
  identification.emit(identity, body);
  return concat(message, nonce, prf.compute(skP, body.finish()));
};

/** AUTH data of method 2, Shared Key Message Integrity Code. */
export const pskAuth = (psk: Uint8Array, signed: Signed): Uint8Array => {
  const key = signed.prf.compute(psk, KEY_PAD);
  const auth = signed.prf.compute(key, signedOctets(signed));
  wipe(key);
  return auth;
};

/** Whether `data` is the AUTH of somebody who knows `psk`. */
export const checkPskAuth = (psk: Uint8Array, signed: Signed, data: Uint8Array): boolean =>
  equalSecret(pskAuth(psk, signed), data);
