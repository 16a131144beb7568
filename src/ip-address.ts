/**
 * IP addresses and prefixes as text and as octets (4 or 16), for the control plane. Text is always in its canonical form
 * (RFC 5952 for IPv6), so two addresses are equal when their texts are.
 */
import { isIPv4 } from "node:net";
import ipaddr from "ipaddr.js";

export type Family = 4 | 6;

/** An address and a UDP port, such as one end of an IKE SA. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export interface Prefix {
  readonly address: string;
  /** Leading bits: 0..32 or 0..128. */
  readonly length: number;
}

/** Canonical text of an address, or undefined when it is none. Zone indexes and IPv4 shorthands are refused. */
export const canonicalAddress = (text: string): string | undefined => {
  if (isIPv4(text)) return text; // the usual one, for every message: it has one form
  if (text.includes("%")) return undefined;
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text).toString();
  return text.includes(":") && ipaddr.IPv6.isValid(text) ? ipaddr.IPv6.parse(text).toRFC5952String() : undefined;
};

/** Nothing can be sent to these: the unspecified addresses, and those of one link, which mean nothing without a zone (RFC 4007 §6). */
const NOWHERE = /^(0\.0\.0\.0|::|fe[89ab][0-9a-f]:.*)$/;

/**
 * Where a datagram came from, in canonical form. Undefined where no answer can go: its port is 0, which is none (RFC 768,
 * RFC 6335 §6), or its address has a zone, is of one link alone, or is an IPv4 address in an IPv6 one (RFC 4291 §2.5.5).
 */
export const sourceEndpoint = (address: string, port: number): Endpoint | undefined => {
  const canonical = address.includes(":") && address.includes(".") ? undefined : canonicalAddress(address);
  return canonical === undefined || port === 0 || NOWHERE.test(canonical) ? undefined : { address: canonical, port };
};

export const familyOf = (address: string): Family => (address.includes(":") ? 6 : 4);

/** Four or sixteen octets. Throws a RangeError when `address` is not one: validate what users write first. */
export const addressBytes = (address: string): Uint8Array => {
  if (isIPv4(address)) return Uint8Array.from(address.split("."), Number);
  if (canonicalAddress(address) === undefined) throw new RangeError(`not an IP address: ${address}`);
  return new Uint8Array(ipaddr.parse(address).toByteArray());
};

export const addressText = (bytes: Uint8Array): string => {
  const address = ipaddr.fromByteArray([...bytes]);
  return address.kind() === "ipv6" ? (address as ipaddr.IPv6).toRFC5952String() : address.toString();
};

/** `a.b.c.d/len` or `addr/len`; without a length a host prefix. Undefined when it is neither. Host bits are kept. */
export const parsePrefix = (text: string): Prefix | undefined => {
  const [addressPart = "", lengthPart, ...more] = text.split("/");
  const address = canonicalAddress(addressPart);
  if (address === undefined || more.length > 0) return undefined;
  const widest = familyOf(address) === 4 ? 32 : 128;
  if (lengthPart === undefined) return { address, length: widest };
  if (!/^\d{1,3}$/.test(lengthPart) || Number(lengthPart) > widest) return undefined;
  return { address, length: Number(lengthPart) };
};

/** First and last address of a prefix, as octets. */
export const prefixRange = ({ address, length }: Prefix): { first: Uint8Array; last: Uint8Array } => {
  const first = addressBytes(address);
  const last = first.slice();
  for (let bit = length; bit < first.length * 8; bit++) {
    const mask = 0x80 >> (bit & 7);
    first[bit >> 3] = first[bit >> 3]! & ~mask;
    last[bit >> 3] = last[bit >> 3]! | mask;
  }
  return { first, last };
};

export const formatEndpoint = ({ address, port }: Endpoint): string =>
  familyOf(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;
