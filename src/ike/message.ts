/**
 * An IKE message, RFC 7296 §3: header and chain of payloads, and the accessors that readers of a message want.
 * Messages in the clear are read and written here; the inside of SK is the business of sk.ts.
 */
import { Writer } from "../bytes.ts";
import { emitHeader, HEADER_LENGTH, type Header, type HeaderFields, parseHeader } from "./header.ts";
import { readingPeer } from "./ike-error.ts";
import {
  chainSize,
  emitChain,
  firstType,
  type Payload,
  type PayloadKind,
  type PayloadOf,
  type ProtectedPart,
  parseChain,
} from "./payload/index.ts";
import type { Notification } from "./payload/notify.ts";

export { Exchange, type Header, type HeaderFields, parseHeader, readForeignHeader } from "./header.ts";
export { checkContents } from "./message-contents.ts";
export type { Payload, PayloadKind, PayloadOf } from "./payload/index.ts";

export interface ParsedMessage {
  readonly header: Header;
  /** Payloads in the clear. Where there is an Encrypted payload, they are not to be trusted before its ICV is good. */
  readonly payloads: readonly Payload[];
  /** Payloads of unknown types that were skipped. */
  readonly skipped: number;
  /** Where SK or SKF lies, its offset counted from the start of the message; undefined in a message without. */
  readonly protected: ProtectedPart | undefined;
}

/** Read a whole datagram. Throws IkeError only. The values are views of `bytes`. */
export const parseMessage = (bytes: Uint8Array): ParsedMessage =>
  readingPeer(() => {
    const header = parseHeader(bytes);
    const chain = parseChain(header.nextPayload, bytes.subarray(HEADER_LENGTH));
    const sk = chain.protected;
    return {
      header,
      payloads: chain.payloads,
      skipped: chain.skipped,
      protected: sk && { ...sk, at: HEADER_LENGTH + sk.at },
    };
  });

/** Write a message in the clear, version 2.0. */
export const emitMessage = (header: HeaderFields, payloads: readonly Payload[]): Uint8Array => {
  const length = HEADER_LENGTH + chainSize(payloads);
  const to = new Writer(length);
  emitHeader(header, firstType(payloads), length, to);
  emitChain(payloads, to);
  return to.finish();
};

/** Value of the first payload of this kind, or undefined. */
export const find = <K extends PayloadKind>(
  payloads: readonly Payload[],
  kind: K,
): PayloadOf<K>["value"] | undefined => {
  for (const payload of payloads) if (isKind(payload, kind)) return payload.value;
  return undefined;
};

/** Values of all payloads of this kind, in their order. */
export const findAll = <K extends PayloadKind>(payloads: readonly Payload[], kind: K): PayloadOf<K>["value"][] => {
  const values: PayloadOf<K>["value"][] = [];
  for (const payload of payloads) if (isKind(payload, kind)) values.push(payload.value);
  return values;
};

/** Notifications of this type, in their order. */
export const notifies = (payloads: readonly Payload[], type: number): Notification[] =>
  findAll(payloads, "Notify").filter((notification) => notification.type === type);

const isKind = <K extends PayloadKind>(payload: Payload, kind: K): payload is Extract<Payload, PayloadOf<K>> =>
  payload.kind === kind;
