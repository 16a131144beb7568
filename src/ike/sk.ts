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
  if (sk === undefined) return undefined;
  const headEnd = sk.at + GENERIC_HEADER;
  const ivEnd = headEnd + keys.cipher.ivLength;
  if (bytes.length < ivEnd) return undefined;
  const plain = keys.open(bytes.subarray(0, headEnd), bytes.subarray(headEnd, ivEnd), bytes.subarray(ivEnd));
  if (plain === undefined || plain.length === 0) return undefined;
  const padLength = plain[plain.length - 1]!;
  const end = plain.length - 1 - padLength;
  if (end < 0) return undefined;
  return readingPeer(() => {
    const inner = parseChain(sk.firstPayload, plain.subarray(0, end));
    if (inner.protected !== undefined) throw invalidSyntax("an encrypted payload inside an encrypted payload");
    return inner.payloads;
  });
};

/** A message whose payloads are all inside SK. Each call takes a fresh IV: an answer to send again is kept, not remade. */
export const sealProtected = (
  header: HeaderFields,
  payloads: readonly Payload[],
  keys: DirectionKeys,
  random: (length: number) => Uint8Array,
): Uint8Array => {
  const { ivLength, icvLength, blockLength } = keys.cipher;
  const textLength = chainSize(payloads);
  const padLength = blockLength - 1 - (textLength % blockLength); // as little as the cipher needs
  const skLength = GENERIC_HEADER + ivLength + textLength + padLength + 1 + icvLength;

  const head = new Writer(HEADER_LENGTH + GENERIC_HEADER);
  emitHeader(header, SK, HEADER_LENGTH + skLength, head);
  emitGenericHeader(firstType(payloads), skLength, head);

  const text = new Writer(textLength + padLength + 1);
  emitChain(payloads, text);
  text.reserved(padLength);
  text.u8(padLength);

  const iv = keys.nextIv(random);
  const headBytes = head.finish();
  const plain = text.finish();
  const whole = new Uint8Array(HEADER_LENGTH + skLength);
  whole.set(headBytes);
  whole.set(iv, headBytes.length);
  whole.set(keys.seal(headBytes, iv, plain), headBytes.length + ivLength);
  return whole;
};
