/**
 * The IKE header, RFC 7296 §3.1
 *
 *                        1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |                       IKE SA Initiator's SPI                  |
 *   |                                                               |
 *   |                       IKE SA Responder's SPI                  |
 *   |                                                               |
 *   |  Next Payload | MjVer | MnVer | Exchange Type | X X R V I X X X
 *   |                          Message ID                           |
 *   |                            Length                             |
 */
import { Reader, type Writer } from "../bytes.ts";
import { IkeError, invalidSyntax, readingPeer } from "./ike-error.ts";
import { Notify } from "./notify.ts";

export const HEADER_LENGTH = 28;

export const Exchange = { IKE_SA_INIT: 34, IKE_AUTH: 35, CREATE_CHILD_SA: 36, INFORMATIONAL: 37 } as const;

const FLAG = { INITIATOR: 0x08, RESPONSE: 0x20 } as const; // V (0x10) is ignored: there is no higher version
const MAJOR = 2;

export interface Header {
  /** Eight octets, never all zero. */
  readonly spiI: Uint8Array;
  /** Eight octets, all zero until the responder has chosen. */
  readonly spiR: Uint8Array;
  /** Type of the first payload, 0 when there is none. */
  readonly nextPayload: number;
  readonly majorVersion: number;
  readonly minorVersion: number;
  readonly exchange: number;
  /** Sent by the original initiator of the IKE SA, whoever began this exchange. */
  readonly fromInitiator: boolean;
  readonly isResponse: boolean;
  readonly messageId: number;
  /** Octets of the whole message, this header included. */
  readonly length: number;
}

/** What the sender of a message decides; the rest follows from the payloads. */
export type HeaderFields = Pick<Header, "spiI" | "spiR" | "exchange" | "fromInitiator" | "isResponse" | "messageId">;

/**
 * Read the header of a whole datagram (the non-ESP marker removed).
 * Throws IkeError INVALID_SYNTAX, and INVALID_MAJOR_VERSION for a version that is not ours (RFC 7296 §2.5).
 */
export const parseHeader = (bytes: Uint8Array): Header =>
  readingPeer(() => {
    const from = new Reader(bytes);
    const spiI = from.take(8, "initiator's SPI");
    const spiR = from.take(8, "responder's SPI");
    const nextPayload = from.u8("next payload");
    const version = from.u8("version");
    const exchange = from.u8("exchange type");
    const flags = from.u8("flags");
    const messageId = from.u32("message ID");
    const length = from.u32("length");
    const majorVersion = version >> 4;
    if (majorVersion !== MAJOR) throw new IkeError(Notify.INVALID_MAJOR_VERSION, `version ${majorVersion}`);
    if (length !== bytes.length) throw invalidSyntax(`length ${length} in a datagram of ${bytes.length} octets`);
    if (spiI.every((octet) => octet === 0)) throw invalidSyntax("the initiator's SPI is zero"); // RFC 7296 §3.1
    return {
      spiI,
      spiR,
      nextPayload,
      majorVersion,
      minorVersion: version & 15,
      exchange,
      fromInitiator: (flags & FLAG.INITIATOR) !== 0,
      isResponse: (flags & FLAG.RESPONSE) !== 0,
      messageId,
      length,
    };
  });

/** Whether a datagram that is long enough says that it is a request of this exchange: looked at before it is parsed. */
export const isRequestOf = (bytes: Uint8Array, exchange: number): boolean =>
  bytes[18] === exchange && (bytes[19]! & FLAG.RESPONSE) === 0;

/** What is needed to answer a message of a version above ours; undefined when it is of another, or too short. */
export const readForeignHeader = (bytes: Uint8Array): HeaderFields | undefined => {
  const [version = 0, exchange = 0, flags = 0] = bytes.subarray(17, 20);
  if (bytes.length < HEADER_LENGTH || version >> 4 <= MAJOR) return undefined;
  return {
    spiI: bytes.subarray(0, 8),
    spiR: bytes.subarray(8, 16),
    exchange,
    fromInitiator: (flags & FLAG.INITIATOR) !== 0,
    isResponse: (flags & FLAG.RESPONSE) !== 0,
    messageId: new DataView(bytes.buffer, bytes.byteOffset).getUint32(20),
  };
};

export const emitHeader = (header: HeaderFields, nextPayload: number, length: number, to: Writer): void => {
  to.put(header.spiI);
  to.put(header.spiR);
  to.u8(nextPayload);
  to.u8(MAJOR << 4);
  to.u8(header.exchange);
  to.u8((header.fromInitiator ? FLAG.INITIATOR : 0) | (header.isResponse ? FLAG.RESPONSE : 0));
  to.u32(header.messageId);
  to.u32(length);
};
