/** Netlink messages and their attributes (RFC 3549 §2): building, and parsing within bounds. Host byte order. */
import { NLMSGHDR, RTATTR } from "./abi.ts";

const align = (length: number): number => (length + 3) & ~3;

/** Grows as it is written to; finished by `finish`, which fills in the lengths. */
export class MessageBuilder {
  #bytes = new Uint8Array(256);
  #length = 0;

  /** Octets of the family's fixed header, in host order as they are. */
  raw(bytes: Uint8Array): this {
    this.#room(align(bytes.length));
    this.#bytes.set(bytes, this.#length);
    this.#length += align(bytes.length);
    return this;
  }

  attribute(type: number, value: Uint8Array): this {
    const length = RTATTR.size + value.length;
    if (length > 0xffff) throw new RangeError(`attribute ${type} is too long: ${value.length}`);
    this.#room(align(length));
    const view = new DataView(this.#bytes.buffer);
    view.setUint16(this.#length + RTATTR.length, length, true);
    view.setUint16(this.#length + RTATTR.type, type, true);
    this.#bytes.set(value, this.#length + RTATTR.size);
    this.#length += align(length);
    return this;
  }

  u32(type: number, value: number): this {
    return this.attribute(type, new Uint8Array(new Uint32Array([value]).buffer));
  }

  /** Text with its closing NUL. */
  text(type: number, value: string): this {
    return this.attribute(type, new Uint8Array(Buffer.from(`${value}\0`)));
  }

  /** The octets, without a netlink header: they may be another attribute's value. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #room(length: number): void {
    if (this.#length + length <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + length));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
}

/** A whole netlink message of one request. */
export const netlinkMessage = (type: number, flags: number, sequence: number, body: Uint8Array): Uint8Array => {
  const message = new Uint8Array(NLMSGHDR.size + align(body.length));
  const view = new DataView(message.buffer);
  view.setUint32(NLMSGHDR.length, NLMSGHDR.size + body.length, true);
  view.setUint16(NLMSGHDR.type, type, true);
  view.setUint16(NLMSGHDR.flags, flags, true);
  view.setUint32(NLMSGHDR.sequence, sequence, true);
  message.set(body, NLMSGHDR.size);
  return message;
};

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** A view of what follows the header. */
  readonly body: Uint8Array;
}

/** The messages in one datagram. What does not fit its own length ends the list. */
export const parseMessages = (bytes: Uint8Array): NetlinkMessage[] => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const messages: NetlinkMessage[] = [];
  for (let at = 0; at + NLMSGHDR.size <= bytes.length; ) {
    const length = view.getUint32(at + NLMSGHDR.length, true);
    if (length < NLMSGHDR.size || length > bytes.length - at) break;
    messages.push({
      type: view.getUint16(at + NLMSGHDR.type, true),
      flags: view.getUint16(at + NLMSGHDR.flags, true),
      sequence: view.getUint32(at + NLMSGHDR.sequence, true),
      body: bytes.subarray(at + NLMSGHDR.size, at + length),
    });
    at += align(length);
  }
  return messages;
};

/** Bits of an attribute's type that are flags: nested, network byte order. */
const TYPE_MASK = 0x3fff;

/** Attributes from `at` on, by type; of a repeated type the last. What does not fit its own length ends the list. */
export const parseAttributes = (bytes: Uint8Array, at = 0): Map<number, Uint8Array> => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const attributes = new Map<number, Uint8Array>();
  for (let next = at; next + RTATTR.size <= bytes.length; ) {
    const length = view.getUint16(next + RTATTR.length, true);
    if (length < RTATTR.size || length > bytes.length - next) break;
    const type = view.getUint16(next + RTATTR.type, true) & TYPE_MASK;
    attributes.set(type, bytes.subarray(next + RTATTR.size, next + length));
    next += align(length);
  }
  return attributes;
};

/** A value of four octets, or undefined when it is absent or shorter. */
export const u32Of = (value: Uint8Array | undefined): number | undefined =>
  value === undefined || value.length < 4
    ? undefined
    : new DataView(value.buffer, value.byteOffset, value.byteLength).getUint32(0, true);

/** Text up to its NUL. */
export const textOf = (value: Uint8Array): string => {
  const end = value.indexOf(0);
  return Buffer.from(end < 0 ? value : value.slice(0, end)).toString();
};
