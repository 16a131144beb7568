/**
 * Every payload that we know, one line each, and the chain that joins them: the generic header of RFC 7296 §3.2
 *
 *   | Next Payload  |C|  RESERVED   |         Payload Length        |
 *
 * A chain may end in the Encrypted payload (SK, §3.14), whose Next Payload names the first payload inside it, or in an
 * Encrypted Fragment payload (SKF, RFC 7383 §2.5), which holds a piece of what SK would have held:
 *
 *   | Next Payload  |C|  RESERVED   |         Payload Length        |
 *   |        Fragment Number        |        Total Fragments        |
 */
import { MalformedError, Reader, type Writer } from "../../bytes.ts";
import { IkeError } from "../ike-error.ts";
import { Notify } from "../notify.ts";
import { authentication } from "./auth.ts";
import { certificate } from "./cert.ts";
import type { Codec } from "./codec.ts";
import { deletion } from "./delete.ts";
import { identification } from "./id.ts";
import { keyExchange } from "./ke.ts";
import { nonce } from "./nonce.ts";
import { notification } from "./notify.ts";
import { opaque } from "./opaque.ts";
import { securityAssociation } from "./sa.ts";
import { trafficSelectors } from "./ts.ts";
import { vendorId } from "./vendor-id.ts";

const CODECS = {
  SA: { type: 33, codec: securityAssociation },
  KE: { type: 34, codec: keyExchange },
  IDi: { type: 35, codec: identification },
  IDr: { type: 36, codec: identification },
  CERT: { type: 37, codec: certificate },
  CERTREQ: { type: 38, codec: certificate },
  AUTH: { type: 39, codec: authentication },
  Nonce: { type: 40, codec: nonce },
  Notify: { type: 41, codec: notification },
  Delete: { type: 42, codec: deletion },
  V: { type: 43, codec: vendorId },
  TSi: { type: 44, codec: trafficSelectors },
  TSr: { type: 45, codec: trafficSelectors },
  CP: { type: 47, codec: opaque },
  EAP: { type: 48, codec: opaque },
} as const;

type Codecs = typeof CODECS;
type ValueOf<C> = C extends Codec<infer T> ? T : never;

export type PayloadKind = keyof Codecs;
export type PayloadOf<K extends PayloadKind> = { readonly kind: K; readonly value: ValueOf<Codecs[K]["codec"]> };
export type Payload = { [K in PayloadKind]: PayloadOf<K> }[PayloadKind];

export const PAYLOAD_KINDS = Object.keys(CODECS) as readonly PayloadKind[];
export const NO_NEXT_PAYLOAD = 0;
export const SK = 46;
export const SKF = 53;
export const GENERIC_HEADER = 4;
const CRITICAL = 0x80;
const LONGEST = 0xffff;

const KIND_OF = new Map<number, PayloadKind>(PAYLOAD_KINDS.map((kind) => [CODECS[kind].type, kind]));

const codecOf = (kind: PayloadKind): Codec<Payload["value"]> => CODECS[kind].codec as Codec<Payload["value"]>;

/** The number of a payload's type. */
export const payloadType = (kind: PayloadKind): number => CODECS[kind].type;

/** Which piece of a message an Encrypted Fragment payload says that it is. Not to be trusted before its ICV is good. */
export interface FragmentPart {
  /** From 1. */
  readonly number: number;
  readonly total: number;
}

/** Where the Encrypted payload lies in the chain. */
export interface ProtectedPart {
  /** Type of the first payload inside; 0 in a fragment that is not the first (RFC 7383 §2.5). */
  readonly firstPayload: number;
  /** Offset of the generic header of SK or SKF in the chain. */
  readonly at: number;
  /** Undefined in SK. */
  readonly fragment?: FragmentPart;
}

export interface Chain {
  readonly payloads: readonly Payload[];
  /** Payloads of unknown types that were skipped (RFC 7296 §2.5). */
  readonly skipped: number;
  readonly protected: ProtectedPart | undefined;
}

/**
 * Read a chain to its last octet. Throws MalformedError, and IkeError UNSUPPORTED_CRITICAL_PAYLOAD with the type as data.
 * The values are views of `bytes`.
 */
export const parseChain = (first: number, bytes: Uint8Array): Chain => {
  const from = new Reader(bytes);
  const payloads: Payload[] = [];
  let skipped = 0;
  for (let type = first; type !== NO_NEXT_PAYLOAD; ) {
    const at = from.at;
    const next = from.u8("next payload");
    const critical = (from.u8("flags") & CRITICAL) !== 0;
    const length = from.u16("payload length");
    if (length < GENERIC_HEADER) throw new MalformedError(`payload length: ${length}`);
    const body = from.take(length - GENERIC_HEADER, `payload of type ${type}`);
    if (type === SK) {
      if (from.left > 0) throw new MalformedError(`${from.left} octets after the encrypted payload`); // RFC 7296 §3.14
      return { payloads, skipped, protected: { firstPayload: next, at } };
    }
    if (type === SKF) {
      if (from.left > 0) throw new MalformedError(`${from.left} octets after the encrypted fragment`); // RFC 7383 §2.5
      return { payloads, skipped, protected: { firstPayload: next, at, fragment: parseFragmentPart(body) } };
    }
    const kind = KIND_OF.get(type);
    if (kind !== undefined) payloads.push(parseBody(kind, body));
    else if (critical)
      throw new IkeError(Notify.UNSUPPORTED_CRITICAL_PAYLOAD, `payload type ${type}`, { data: Uint8Array.of(type) });
    else skipped++;
    type = next;
  }
  if (from.left > 0) throw new MalformedError(`${from.left} octets after the last payload`);
  return { payloads, skipped, protected: undefined };
};

const parseFragmentPart = (body: Uint8Array): FragmentPart => {
  const from = new Reader(body);
  return { number: from.u16("fragment number"), total: from.u16("total fragments") };
};

const parseBody = (kind: PayloadKind, body: Uint8Array): Payload => {
  const value = codecOf(kind).parse(new Reader(body));
  return { kind, value } as Payload; // CODECS ties the kind to its value
};

/** Octets of the payload with its generic header. */
export const payloadSize = ({ kind, value }: Payload): number => GENERIC_HEADER + codecOf(kind).size(value);

export const chainSize = (payloads: readonly Payload[]): number =>
  payloads.reduce((sum, payload) => sum + payloadSize(payload), 0);

/** Type of a chain's first payload: `next` when there is none. */
export const firstType = (payloads: readonly Payload[], next = NO_NEXT_PAYLOAD): number =>
  payloads[0] === undefined ? next : payloadType(payloads[0].kind);

/** Write a chain. Throws a RangeError when a payload is longer than its length field can say. */
export const emitChain = (payloads: readonly Payload[], to: Writer): void => {
  payloads.forEach((payload, n) => {
    const following = payloads[n + 1];
    emitGenericHeader(following ? payloadType(following.kind) : NO_NEXT_PAYLOAD, payloadSize(payload), to);
    codecOf(payload.kind).emit(payload.value, to);
  });
};

export const emitGenericHeader = (next: number, length: number, to: Writer): void => {
  if (length > LONGEST) throw new RangeError(`a payload of ${length} octets`);
  to.u8(next);
  to.u8(0); // never critical: every payload of RFC 7296 is understood by all (§2.5)
  to.u16(length);
};
