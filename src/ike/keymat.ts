/**
 * Key material: of an IKE SA (RFC 7296 §2.14), of a rekeyed IKE SA (§2.18) and of a Child SA (§2.17).
 */
import { concat, wipe } from "../bytes.ts";
import { IkeCipherKeys, ikeCipher } from "../crypto/ike-cipher.ts";
import { type Prf, prfById } from "../crypto/prf.ts";
import type { Suite } from "../crypto/suites.ts";
import type { IkeSuite } from "./proposal.ts";

/** SK_e and SK_a of one direction, with what they are used for. */
export type DirectionKeys = IkeCipherKeys;

/** Keys of an IKE SA. Accessors of the prototype: not enumerable, so nothing prints them. */
export class IkeKeys {
  readonly prf: Prf;
  /** Protect what the original initiator sends. */
  readonly initiator: DirectionKeys;
  /** Protect what the original responder sends. */
  readonly responder: DirectionKeys;
  readonly #skD: Uint8Array;
  readonly #skPi: Uint8Array;
  readonly #skPr: Uint8Array;

  constructor(
    prf: Prf,
    directions: { readonly initiator: DirectionKeys; readonly responder: DirectionKeys },
    secrets: { readonly skD: Uint8Array; readonly skPi: Uint8Array; readonly skPr: Uint8Array },
  ) {
    this.prf = prf;
    this.initiator = directions.initiator;
    this.responder = directions.responder;
    this.#skD = secrets.skD;
    this.#skPi = secrets.skPi;
    this.#skPr = secrets.skPr;
  }

  /** Derives the keys of Child SAs and of the next IKE SA. */
  get skD(): Uint8Array {
    return this.#skD;
  }

  /** Signs the initiator's identity. */
  get skPi(): Uint8Array {
    return this.#skPi;
  }

  /** Signs the responder's identity. */
  get skPr(): Uint8Array {
    return this.#skPr;
  }

  /** Overwrite all of them: nothing can be sealed, opened or derived after. */
  wipe(): void {
    wipe(this.#skD, this.#skPi, this.#skPr);
    this.initiator.wipe();
    this.responder.wipe();
  }
}

interface Exchanged {
  /** Nonces without their headers. */
  readonly ni: Uint8Array;
  readonly nr: Uint8Array;
}

interface NewIkeSa extends Exchanged {
  readonly suite: IkeSuite;
  /** g^ir. */
  readonly shared: Uint8Array;
  /** SPIs of the IKE SA that the keys are for. */
  readonly spiI: Uint8Array;
  readonly spiR: Uint8Array;
}

/** SKEYSEED = prf(Ni | Nr, g^ir), RFC 7296 §2.14. `prf` is the one of the suite. */
export const deriveIkeKeys = (sa: NewIkeSa & { readonly prf: Prf }): IkeKeys =>
  expand(sa, sa.prf.compute(concat(sa.ni, sa.nr), sa.shared));

/** SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr) with the PRF of the old IKE SA, RFC 7296 §2.18. */
export const deriveRekeyedIkeKeys = (sa: NewIkeSa & { readonly oldPrf: Prf; readonly oldSkD: Uint8Array }): IkeKeys =>
  expand(sa, sa.oldPrf.compute(sa.oldSkD, sa.shared, sa.ni, sa.nr));

/** {SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr} = prf+(SKEYSEED, Ni | Nr | SPIi | SPIr). */
const expand = ({ suite, ni, nr, spiI, spiR }: NewIkeSa, skeyseed: Uint8Array): IkeKeys => {
  const prf = prfById(suite.prf);
  const cipher = ikeCipher(suite.encr.id, suite.encr.keyBits, suite.integ);
  if (prf === undefined || cipher === undefined) throw new RangeError(`not an IKE suite of ours: ${suite.name}`);
  const { encryptionKeyLength, saltLength, integrityKeyLength } = cipher;
  const skE = encryptionKeyLength + saltLength; // the salt ends SK_e, RFC 5282 §7.1
  const material = prf.plus(skeyseed, concat(ni, nr, spiI, spiR), 3 * prf.keyLength + 2 * (integrityKeyLength + skE));
  wipe(skeyseed);
  let at = 0;
  const next = (length: number): Uint8Array => {
    at += length;
    return material.slice(at - length, at);
  };
  const skD = next(prf.keyLength);
  const skAi = next(integrityKeyLength);
  const skAr = next(integrityKeyLength);
  const skEi = next(skE);
  const skEr = next(skE);
  const skPi = next(prf.keyLength);
  const skPr = next(prf.keyLength);
  wipe(material);
  return new IkeKeys(
    prf,
    { initiator: new IkeCipherKeys(cipher, skEi, skAi), responder: new IkeCipherKeys(cipher, skEr, skAr) },
    { skD, skPi, skPr },
  );
};

/**
 * KEYMAT = prf+(SK_d, [g^ir (new) |] Ni | Nr), RFC 7296 §2.17: for each direction `suite.keyLength` octets, encryption
 * before integrity, the initiator's first. The nonces are those of IKE_SA_INIT for the first Child SA, else those of the
 * CREATE_CHILD_SA; the initiator is whoever sent that request.
 */
export const deriveChildKeys = ({
  prf,
  skD,
  shared,
  ni,
  nr,
  suite,
}: Exchanged & {
  readonly prf: Prf;
  readonly skD: Uint8Array;
  readonly shared?: Uint8Array | undefined;
  readonly suite: Suite;
}): { initiatorToResponder: Uint8Array; responderToInitiator: Uint8Array } => {
  const seed = concat(shared ?? new Uint8Array(0), ni, nr);
  const material = prf.plus(skD, seed, 2 * suite.keyLength);
  const keys = {
    initiatorToResponder: material.slice(0, suite.keyLength),
    responderToInitiator: material.slice(suite.keyLength),
  };
  wipe(material, seed);
  return keys;
};
