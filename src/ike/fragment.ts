/**
 * Encrypted Fragment payloads (SKF), RFC 7383 §2.5: a protected message that its path would not carry whole, cut before it
 * is encrypted, so that each piece is a message of its own and can be told from a forged one by itself.
 *
 *   | Next Payload  |C|  RESERVED   |         Payload Length        |  <- type of the first inner payload; 0 in later pieces
 *   |        Fragment Number        |        Total Fragments        |  <- the ICV covers all from the IKE header to here
 *   ~                     Initialization Vector                     ~
 *   ~         Piece of the encrypted payloads, padding, ICV         ~
 */
import { Writer } from "../bytes.ts";
import { HEADER_LENGTH, type HeaderFields } from "./header.ts";
import type { DirectionKeys } from "./keymat.ts";
import type { ParsedMessage } from "./message.ts";
import {
  chainSize,
  emitChain,
  firstType,
  GENERIC_HEADER,
  NO_NEXT_PAYLOAD,
  type Payload,
  SKF,
} from "./payload/index.ts";
import { openText, sealProtected, sealText } from "./sk.ts";

/** Fragment Number and Total Fragments. */
const FIELDS = 4;
/** More pieces are neither sent nor taken. */
export const MOST_FRAGMENTS = 255;

/** Octets of the message if it were sent whole. */
export const wholeLength = (payloads: readonly Payload[], { cipher }: DirectionKeys): number => {
  const { ivLength, icvLength, blockLength } = cipher;
  const text = chainSize(payloads) + 1; // the pad length
  return HEADER_LENGTH + GENERIC_HEADER + ivLength + Math.ceil(text / blockLength) * blockLength + icvLength;
};

/**
 * The message as datagrams of at most `longest` octets of IKE each: one with SK when it fits, else pieces of one size
 * (the last may be shorter). Throws a RangeError when `longest` leaves no room, or the pieces would be too many.
 */
export const sealDatagrams = (
  header: HeaderFields,
  payloads: readonly Payload[],
  keys: DirectionKeys,
  random: (length: number) => Uint8Array,
  longest: number,
): readonly Uint8Array[] => {
  if (wholeLength(payloads, keys) <= longest) return [sealProtected(header, payloads, keys, random)];
  const writer = new Writer(chainSize(payloads));
  emitChain(payloads, writer); // cut as octets, whatever payloads they belong to: RFC 7383 §2.5
  const text = writer.finish();
  const size = roomFor(keys, longest);
  const total = Math.ceil(text.length / size);
  if (size < 1 || total > MOST_FRAGMENTS) throw new RangeError(`${text.length} octets in pieces of ${longest}`);
  return Array.from({ length: total }, (_, index) => {
    const fields = new Writer(FIELDS);
    fields.u16(index + 1);
    fields.u16(total);
    const firstPayload = index === 0 ? firstType(payloads) : NO_NEXT_PAYLOAD;
    const piece = text.subarray(index * size, (index + 1) * size);
    return sealText(header, { type: SKF, firstPayload, fields: fields.finish() }, piece, keys, random);
  });
};

/** Octets of text that a piece of `longest` octets takes. */
const roomFor = ({ cipher }: DirectionKeys, longest: number): number => {
  const { ivLength, icvLength, blockLength } = cipher;
  const padded = longest - HEADER_LENGTH - GENERIC_HEADER - FIELDS - ivLength - icvLength;
  return Math.floor(padded / blockLength) * blockLength - 1;
};

/** The piece of text inside SKF; undefined when the message has none, its ICV fails or its padding is malformed. */
export const openFragment = (
  bytes: Uint8Array,
  { protected: skf }: Pick<ParsedMessage, "protected">,
  keys: DirectionKeys,
): Uint8Array | undefined =>
  skf?.fragment === undefined ? undefined : openText(bytes, skf.at + GENERIC_HEADER + FIELDS, keys);
