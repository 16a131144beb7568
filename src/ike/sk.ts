/**
 * The Encrypted payload (SK), RFC 7296 §3.14, and RFC 5282 for AEAD
 *
 *   | Next Payload  |C|  RESERVED   |         Payload Length        |  <- the IKE header and everything up to here is `head`
 *   ~                     Initialization Vector                     ~
 *   ~                    Encrypted IKE Payloads                     ~
 *   |               |             Padding (0-255 octets)            |
 *   |                                               |  Pad Length   |
 *   ~                    Integrity Checksum Data                    ~
 */
import { Writer } from "../bytes.ts";
import { emitHeader, HEADER_LENGTH, type HeaderFields } from "./header.ts";
import { invalidSyntax, readingPeer } from "./ike-error.ts";
import type { DirectionKeys } from "./keymat.ts";
import type { ParsedMessage } from "./message.ts";
import {
  chainSize,
  emitChain,
  emitGenericHeader,
  firstType,
  GENERIC_HEADER,
  type Payload,
  parseChain,
  SK,
  type SKF,
} from "./payload/index.ts";

/**
 * Payloads inside SK. Undefined when the message has no SK, its ICV fails or its padding is malformed: the message is to
 * be counted and ignored (RFC 7296 §2.21.2). Throws IkeError when the ICV is good and the payloads are malformed.
 */
export const openProtected = (
  bytes: Uint8Array,
  { protected: sk }: Pick<ParsedMessage, "protected">,
  keys: DirectionKeys,
): readonly Payload[] | undefined => {
  if (sk === undefined || sk.fragment !== undefined) return undefined;
  const text = openText(bytes, sk.at + GENERIC_HEADER, keys);
  return text && parseInner(sk.firstPayload, text);
};

/** The payloads that SK held, or all fragments of it together. Throws IkeError. */
export const parseInner = (firstPayload: number, text: Uint8Array): readonly Payload[] =>
  readingPeer(() => {
    const inner = parseChain(firstPayload, text);
    if (inner.protected !== undefined) throw invalidSyntax("an encrypted payload inside an encrypted payload");
    return inner.payloads;
  });

/** What follows the head of `headEnd` octets, decrypted and without padding; undefined when ICV or padding is wrong. */
export const openText = (bytes: Uint8Array, headEnd: number, keys: DirectionKeys): Uint8Array | undefined => {
  const ivEnd = headEnd + keys.cipher.ivLength;
  if (bytes.length < ivEnd) return undefined;
  const plain = keys.open(bytes.subarray(0, headEnd), bytes.subarray(headEnd, ivEnd), bytes.subarray(ivEnd));
  if (plain === undefined || plain.length === 0) return undefined;
  const end = plain.length - 1 - plain[plain.length - 1]!;
  return end < 0 ? undefined : plain.subarray(0, end);
};

/** A message whose payloads are all inside SK. Each call takes a fresh IV: an answer to send again is kept, not remade. */
export const sealProtected = (
  header: HeaderFields,
  payloads: readonly Payload[],
  keys: DirectionKeys,
  random: (length: number) => Uint8Array,
): Uint8Array => {
  const text = new Writer(chainSize(payloads));
  emitChain(payloads, text);
  return sealText(header, { type: SK, firstPayload: firstType(payloads), fields: NONE }, text.finish(), keys, random);
};

const NONE = new Uint8Array(0);

/** The Encrypted payload, or a fragment of one, as it is about to be written. */
interface ProtectedHead {
  readonly type: typeof SK | typeof SKF;
  readonly firstPayload: number;
  /** What stands between the generic header and the IV: nothing in SK. */
  readonly fields: Uint8Array;
}

/** A message of one SK or SKF whose inside is `text`. */
export const sealText = (
  header: HeaderFields,
  { type, firstPayload, fields }: ProtectedHead,
  text: Uint8Array,
  keys: DirectionKeys,
  random: (length: number) => Uint8Array,
): Uint8Array => {
  const { ivLength, icvLength, blockLength } = keys.cipher;
  const padLength = blockLength - 1 - (text.length % blockLength); // as little as the cipher needs
  const length = GENERIC_HEADER + fields.length + ivLength + text.length + padLength + 1 + icvLength;

  const head = new Writer(HEADER_LENGTH + GENERIC_HEADER + fields.length);
  emitHeader(header, type, HEADER_LENGTH + length, head);
  emitGenericHeader(firstPayload, length, head);
  head.put(fields);

  const padded = new Writer(text.length + padLength + 1);
  padded.put(text);
  padded.reserved(padLength);
  padded.u8(padLength);

  const iv = keys.nextIv(random);
  const headBytes = head.finish();
  const whole = new Uint8Array(HEADER_LENGTH + length);
  whole.set(headBytes);
  whole.set(iv, headBytes.length);
  whole.set(keys.seal(headBytes, iv, padded.finish()), headBytes.length + ivLength);
  return whole;
};
