/**
 * Negotiation of algorithms, RFC 7296 §2.7 and §3.3: offers, the responder's choice, and the initiator's check of it.
 */
import { type Suite, suiteByName } from "../crypto/suites.ts";
import { type Proposal, Protocol, type Transform } from "./payload/sa.ts";
import type { EspProposal, IkeProposal } from "./proposal-text.ts";
import { isAeadTransform, NONE, TransformType, transformName } from "./transform.ts";

export { type Proposal, Protocol, type Transform } from "./payload/sa.ts";
export { type EspProposal, type IkeProposal, parseEspProposal, parseIkeProposal } from "./proposal-text.ts";
export { TransformType } from "./transform.ts";

/** What protects an IKE SA: transform IDs. */
export interface IkeSuite {
  /** `keyBits` as in the key length attribute; undefined where there is none. */
  readonly encr: { readonly id: number; readonly keyBits: number | undefined };
  /** Undefined for AEAD. */
  readonly integ: number | undefined;
  readonly prf: number;
  readonly ke: number;
  /** As a user would write it: `aes256gcm16-prfsha384-ecp384`. */
  readonly name: string;
}

/** What protects a Child SA. */
export interface EspSuite {
  readonly suite: Suite;
  /** Key exchange method of its own, for perfect forward secrecy. */
  readonly ke: number | undefined;
  readonly esn: boolean;
  readonly name: string;
}

export interface EspOptions {
  /** False in IKE_AUTH: the first Child SA has no key exchange of its own (RFC 7296 §1.2). */
  readonly withKe: boolean;
}

const { ENCR, PRF, INTEG, KE, ESN } = TransformType;
const NO_SPI = new Uint8Array(0);

/** Proposals of the SA payload for an IKE SA. `spi`: eight octets when an IKE SA is rekeyed, else nothing. */
export const offerIke = (proposals: readonly IkeProposal[], spi: Uint8Array = NO_SPI): Proposal[] =>
  proposals.map(({ transforms }, n) => ({ number: n + 1, protocol: Protocol.IKE, spi, transforms }));

/** Proposals of the SA payload for a Child SA that we receive on `spi`. */
export const offerEsp = (proposals: readonly EspProposal[], spi: number, { withKe }: EspOptions): Proposal[] =>
  proposals.map((proposal, n) => ({
    number: n + 1,
    protocol: Protocol.ESP,
    spi: spiBytes(spi),
    transforms: withKe ? proposal.transforms : proposal.transforms.filter(({ type }) => type !== KE),
  }));

/** What of these gives the suite of a Child SA that is up, for another like it; a key exchange stays a choice. */
export const espLike = (
  proposals: readonly EspProposal[],
  { suite, esn }: Pick<EspSuite, "suite" | "esn">,
): EspProposal[] => {
  const names = suite.name.split("-");
  return proposals.flatMap((proposal) => {
    const transforms = proposal.transforms.filter((transform) => {
      if (transform.type === ESN) return (transform.id === 1) === esn;
      return transform.type === KE || names.includes(transformName(transform));
    });
    return espSuite(transforms)?.suite === suite ? [{ ...proposal, transforms }] : [];
  });
};

/** The responder's choice for an IKE SA: of what is configured, what the initiator prefers. Undefined: NO_PROPOSAL_CHOSEN. */
export const chooseIke = (
  offered: readonly Proposal[],
  configured: readonly IkeProposal[],
): { readonly chosen: Proposal; readonly suite: IkeSuite } | undefined => {
  for (const offer of offered) {
    if (offer.protocol !== Protocol.IKE) continue;
    for (const { transforms } of configured) {
      const picked = pick(offer.transforms, transforms, [ENCR, INTEG, PRF, KE]);
      const suite = picked && ikeSuite(picked);
      if (suite !== undefined) return { chosen: { ...offer, transforms: picked ?? [] }, suite };
    }
  }
  return undefined;
};

/** The responder's choice for a Child SA. `chosen` and `spi` have the SPI that the initiator receives on. */
export const chooseEsp = (
  offered: readonly Proposal[],
  configured: readonly EspProposal[],
  { withKe }: EspOptions,
): { readonly chosen: Proposal; readonly spi: number; readonly suite: EspSuite } | undefined => {
  for (const offer of offered) {
    const spi = espSpi(offer);
    if (spi === undefined) continue;
    for (const { transforms } of configured) {
      const picked = withKe
        ? pick(offer.transforms, transforms, [ENCR, INTEG, KE, ESN])
        : pick(offer.transforms.filter(isNotAKe), transforms.filter(isNotAKe), [ENCR, INTEG, KE, ESN]);
      const suite = picked && espSuite(picked);
      if (suite !== undefined) return { chosen: { ...offer, transforms: picked ?? [] }, spi, suite };
    }
  }
  return undefined;
};

/** What the responder picked of our offer; undefined when it is not one transform a type of one of our proposals. */
export const acceptIke = (answer: readonly Proposal[], offered: readonly Proposal[]): IkeSuite | undefined => {
  const accepted = accept(answer, offered);
  return accepted && ikeSuite(accepted.transforms);
};

/** As `acceptIke`, with the SPI that the responder receives on. */
export const acceptEsp = (
  answer: readonly Proposal[],
  offered: readonly Proposal[],
): { readonly spi: number; readonly suite: EspSuite } | undefined => {
  const accepted = accept(answer, offered);
  const spi = accepted && espSpi(accepted);
  const suite = accepted && espSuite(accepted.transforms);
  return spi === undefined || suite === undefined ? undefined : { spi, suite };
};

/** For logs: `aes256gcm16-prfsha384-ecp384, aes128-sha256-prfsha256-modp2048`; such as `encr-99` for what is unknown. */
export const describeProposals = (proposals: readonly { readonly transforms: readonly Transform[] }[]): string =>
  proposals.map(({ transforms }) => transforms.map(transformName).join("-")).join(", ");

const same = (a: Transform, b: Transform): boolean =>
  a.type === b.type &&
  a.id === b.id &&
  a.keyBits === b.keyBits &&
  a.unknownAttributes === undefined && // RFC 7296 §3.3.6: not understood, not acceptable
  b.unknownAttributes === undefined;

const ofType = (transforms: readonly Transform[], type: number): Transform[] =>
  transforms.filter((transform) => transform.type === type);

const isNotAKe = ({ type, id }: Transform): boolean => type !== KE || id === NONE;

const isNone = ({ type, id }: Transform): boolean => (type === INTEG || type === KE) && id === NONE;

/**
 * One transform of each type, in the offer's order of preference, or undefined when a type has none in common.
 * A type that we do not know makes the whole proposal unacceptable, as does one that is missing (RFC 7296 §3.3.6).
 */
const pick = (
  offer: readonly Transform[],
  ours: readonly Transform[],
  types: readonly number[],
): Transform[] | undefined => {
  if (offer.some(({ type }) => !types.includes(type))) return undefined;
  for (const encr of ofType(offer, ENCR)) {
    if (!ours.some((transform) => same(transform, encr))) continue;
    const rest = types
      .filter((type) => type !== ENCR)
      .map((type) => {
        const wanted = type === INTEG && isAeadTransform(encr) ? [] : ofType(ours, type); // RFC 5282 §8
        return pickOne(ofType(offer, type), wanted);
      });
    if (rest.every((transform) => transform !== undefined)) return [encr, ...rest.flat()];
  }
  return undefined;
};

/** Of one type: the transform in common; nothing, or NONE where it was offered, when nothing is wanted. */
const pickOne = (theirs: readonly Transform[], wanted: readonly Transform[]): Transform[] | undefined => {
  if (wanted.length === 0 && theirs.length === 0) return [];
  const one = theirs.find((transform) =>
    wanted.length === 0
      ? isNone(transform) && transform.unknownAttributes === undefined
      : wanted.some((own) => same(own, transform)),
  );
  return one && [one];
};

/** The proposal of the answer, when it is one of ours with one transform of each type (RFC 7296 §2.7). */
const accept = (answer: readonly Proposal[], offered: readonly Proposal[]): Proposal | undefined => {
  const [chosen, ...more] = answer;
  const offer = offered.find(({ number }) => number === chosen?.number);
  if (chosen === undefined || more.length > 0 || offer === undefined || offer.protocol !== chosen.protocol)
    return undefined;
  // Some say NONE where nothing was offered: it means the same.
  const transforms = chosen.transforms.filter((transform) => !isNone(transform));
  const types = new Set(offer.transforms.map(({ type }) => type));
  if (transforms.length !== types.size || new Set(transforms.map(({ type }) => type)).size !== types.size)
    return undefined;
  if (!transforms.every((transform) => offer.transforms.some((own) => same(own, transform)))) return undefined;
  return { ...chosen, transforms };
};

const ikeSuite = (transforms: readonly Transform[]): IkeSuite | undefined => {
  const [encr, prf, ke] = [ENCR, PRF, KE].map((type) => ofType(transforms, type)[0]);
  if (encr === undefined || prf === undefined || ke === undefined) return undefined;
  const integ = ofType(transforms, INTEG).find((transform) => !isNone(transform));
  const parts = integ === undefined ? [encr, prf, ke] : [encr, integ, prf, ke];
  return {
    encr: { id: encr.id, keyBits: encr.keyBits },
    integ: integ?.id,
    prf: prf.id,
    ke: ke.id,
    name: parts.map(transformName).join("-"),
  };
};

/** The suites that a Child SA of this proposal may have; a combination that is none of ours is not among them. */
export const suitesOffered = ({ transforms }: EspProposal): Suite[] => {
  const integrity = ofType(transforms, INTEG);
  return ofType(transforms, ENCR).flatMap((encr) =>
    (integrity.length === 0 ? [undefined] : integrity).flatMap((integ) => suiteOf(encr, integ) ?? []),
  );
};

const suiteOf = (encr: Transform, integ: Transform | undefined): Suite | undefined =>
  suiteByName([encr, ...(integ ? [integ] : [])].map(transformName).join("-"));

const espSuite = (transforms: readonly Transform[]): EspSuite | undefined => {
  const [encr, esn] = [ENCR, ESN].map((type) => ofType(transforms, type)[0]);
  if (encr === undefined || esn === undefined) return undefined;
  const [integ, ke] = [INTEG, KE].map((type) => ofType(transforms, type).find((transform) => !isNone(transform)));
  const suite = suiteOf(encr, integ);
  if (suite === undefined) return undefined;
  return {
    suite,
    ke: ke?.id,
    esn: esn.id === 1,
    name: ke === undefined ? suite.name : `${suite.name}-${transformName(ke)}`,
  };
};

/** First SPI that RFC 4303 §2.1 does not reserve. */
const FIRST_SPI = 256;

const espSpi = ({ protocol, spi }: Proposal): number | undefined => {
  if (protocol !== Protocol.ESP || spi.length !== 4) return undefined;
  const value = new DataView(spi.buffer, spi.byteOffset, 4).getUint32(0);
  return value >= FIRST_SPI ? value : undefined;
};

/** Four octets, as in proposals, REKEY_SA and Delete. */
export const spiBytes = (spi: number): Uint8Array => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, spi);
  return bytes;
};
