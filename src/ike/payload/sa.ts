/**
 * Security Association payload, RFC 7296 §3.3: proposals, each with transforms, each with attributes
 *
 *   | Last Substruc |   RESERVED    |         Proposal Length       |   Proposal, §3.3.1
 *   | Proposal Num  |  Protocol ID  |    SPI Size   |Num  Transforms|
 *   ~                        SPI (variable)                         ~
 *   ~                        <Transforms>                           ~
 *
 *   | Last Substruc |   RESERVED    |        Transform Length       |   Transform, §3.3.2
 *   |Transform Type |   RESERVED    |          Transform ID         |
 *   ~                      Transform Attributes                     ~
 *
 *   |A|       Attribute Type        |    A=0: Attribute Length      |   Attribute, §3.3.5
 *   |F|                             |    A=1: Attribute Value       |
 *   |    A=0: Attribute Value, A=1: not there                       |
 */
import { concat, MalformedError, Reader, type Writer } from "../../bytes.ts";
import type { Codec } from "./codec.ts";

export const Protocol = { IKE: 1, AH: 2, ESP: 3 } as const;
export const TransformType = { ENCR: 1, PRF: 2, INTEG: 3, KE: 4, ESN: 5 } as const;

export interface Transform {
  /** See `TransformType`; others may come from a peer. */
  readonly type: number;
  readonly id: number;
  /** Key length attribute, bits. */
  readonly keyBits?: number;
  /** Attributes that we do not understand, as on the wire: such a transform is never chosen (RFC 7296 §3.3.6). */
  readonly unknownAttributes?: Uint8Array;
}

export interface Proposal {
  readonly number: number;
  /** See `Protocol`. */
  readonly protocol: number;
  /** Empty, or 8 octets for an IKE SA, 4 for ESP. */
  readonly spi: Uint8Array;
  readonly transforms: readonly Transform[];
}

const LAST = 0;
const MORE = { PROPOSAL: 2, TRANSFORM: 3 } as const;
const PROPOSAL_FIXED = 8;
const TRANSFORM_FIXED = 8;
const SHORT_ATTRIBUTE = 0x8000;
const KEY_LENGTH = SHORT_ATTRIBUTE | 14;
const NO_OCTETS = new Uint8Array(0);

export const securityAssociation: Codec<readonly Proposal[]> = {
  parse(from) {
    const proposals: Proposal[] = [];
    for (let more = true; more; ) {
      const last = from.u8("last proposal");
      from.reserved(1);
      const body = new Reader(from.take(within(from.u16("proposal length"), PROPOSAL_FIXED) - 4, "proposal"));
      proposals.push(parseProposal(body));
      more = from.left > 0;
      if (last !== (more ? MORE.PROPOSAL : LAST)) throw new MalformedError(`last proposal: ${last}`);
    }
    return proposals;
  },

  size: (proposals) => proposals.reduce((sum, proposal) => sum + proposalSize(proposal), 0),

  emit(proposals, to) {
    proposals.forEach((proposal, n) => {
      to.u8(n === proposals.length - 1 ? LAST : MORE.PROPOSAL);
      to.reserved(1);
      to.u16(proposalSize(proposal));
      to.u8(proposal.number);
      to.u8(proposal.protocol);
      to.u8(proposal.spi.length);
      to.u8(proposal.transforms.length);
      to.put(proposal.spi);
      proposal.transforms.forEach((transform, t) => {
        emitTransform(transform, t === proposal.transforms.length - 1, to);
      });
    });
  },
};

const within = (length: number, least: number): number => {
  if (length < least) throw new MalformedError(`substructure length: ${length}`);
  return length;
};

const parseProposal = (from: Reader): Proposal => {
  const number = from.u8("proposal number");
  const protocol = from.u8("protocol ID");
  const spiSize = from.u8("SPI size");
  const count = from.u8("number of transforms");
  const spi = from.take(spiSize, "SPI");
  const transforms: Transform[] = [];
  for (let n = 0; n < count; n++) {
    const last = from.u8("last transform");
    if (last !== (n < count - 1 ? MORE.TRANSFORM : LAST)) throw new MalformedError(`last transform: ${last}`);
    from.reserved(1);
    const body = from.take(within(from.u16("transform length"), TRANSFORM_FIXED) - 4, "transform");
    transforms.push(parseTransform(new Reader(body)));
  }
  if (from.left > 0) throw new MalformedError(`${from.left} octets after the last transform`);
  return { number, protocol, spi, transforms };
};

const parseTransform = (from: Reader): Transform => {
  const type = from.u8("transform type");
  from.reserved(1);
  const id = from.u16("transform ID");
  let keyBits: number | undefined;
  let unknown: Uint8Array = NO_OCTETS;
  while (from.left > 0) {
    const attribute = from.u16("attribute type");
    const value = from.u16("attribute value or length");
    if (attribute === KEY_LENGTH && keyBits === undefined) {
      keyBits = value;
      continue;
    }
    const more = attribute & SHORT_ATTRIBUTE ? NO_OCTETS : from.take(value, "attribute value");
    unknown = concat(unknown, Uint8Array.of(attribute >> 8, attribute, value >> 8, value), more);
  }
  return {
    type,
    id,
    ...(keyBits === undefined ? {} : { keyBits }),
    ...(unknown.length === 0 ? {} : { unknownAttributes: unknown }),
  };
};

const transformSize = ({ keyBits, unknownAttributes }: Transform): number =>
  TRANSFORM_FIXED + (keyBits === undefined ? 0 : 4) + (unknownAttributes?.length ?? 0);

const proposalSize = ({ spi, transforms }: Proposal): number =>
  transforms.reduce((sum, transform) => sum + transformSize(transform), PROPOSAL_FIXED + spi.length);

const emitTransform = (transform: Transform, last: boolean, to: Writer): void => {
  to.u8(last ? LAST : MORE.TRANSFORM);
  to.reserved(1);
  to.u16(transformSize(transform));
  to.u8(transform.type);
  to.reserved(1);
  to.u16(transform.id);
  if (transform.keyBits !== undefined) {
    to.u16(KEY_LENGTH);
    to.u16(transform.keyBits);
  }
  if (transform.unknownAttributes !== undefined) to.put(transform.unknownAttributes);
};
