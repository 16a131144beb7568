/**
 * Identities, RFC 7296 §3.5: what a peer calls itself, as octets of the ID payload and as users write it.
 *
 *   192.0.2.1  2001:db8::1     addresses
 *   gw.example  @gw.example    a domain name
 *   user@gw.example            an e-mail address
 *   keyid:0a0b  @#0a0b         opaque octets, in hex
 *   CN=gw,O=Example,C=CH       a distinguished name (RFC 4514), or dn: and its DER in hex
 */
import { equalBytes, toHex } from "../bytes.ts";
import { addressBytes, addressText, canonicalAddress, familyOf } from "../ip-address.ts";
import { readName } from "./dn/der.ts";
import { type DistinguishedName, nameKey } from "./dn/name.ts";
import { formatName, parseName } from "./dn/text.ts";

export const IdType = {
  IPV4_ADDR: 1,
  FQDN: 2,
  RFC822_ADDR: 3,
  IPV6_ADDR: 5,
  DER_ASN1_DN: 9,
  DER_ASN1_GN: 10,
  KEY_ID: 11,
} as const;

export interface Identity {
  /** See `IdType`. */
  readonly type: number;
  readonly data: Uint8Array;
  /** Three octets that a peer should have sent as zero and did not. */
  readonly reserved?: Uint8Array;
}

const NAME = /^(?=.*[a-z_])[a-z0-9_]([a-z0-9_.-]{0,253}[a-z0-9_])?$/i;
const EMAIL = /^[a-z0-9_.+-]{1,64}@[a-z0-9_]([a-z0-9_.-]{0,188}[a-z0-9_])?$/i;
const DN = /^dn:(30(?:[0-9a-f]{2}){1,2000})$/i;
const KEY_ID = /^(?:keyid:|@#)((?:[0-9a-f]{2}){1,255})$/i;

const ofText = (type: number, text: string): Identity => ({ type, data: new Uint8Array(Buffer.from(text, "ascii")) });

/** An identity of an address's type. Throws a RangeError when it is no address. */
export const addressIdentity = (address: string): Identity => ({
  type: familyOf(address) === 4 ? IdType.IPV4_ADDR : IdType.IPV6_ADDR,
  data: addressBytes(address),
});

/** What a user wrote, or undefined when it is no identity. */
export const parseIdentity = (text: string): Identity | undefined => {
  const address = canonicalAddress(text);
  if (address !== undefined) return addressIdentity(address);
  const keyId = KEY_ID.exec(text)?.[1];
  if (keyId !== undefined) return { type: IdType.KEY_ID, data: new Uint8Array(Buffer.from(keyId, "hex")) };
  const name = DN.exec(text)?.[1];
  if (name !== undefined) return { type: IdType.DER_ASN1_DN, data: new Uint8Array(Buffer.from(name, "hex")) };
  if (text.includes("=")) {
    const data = parseName(text);
    return data && { type: IdType.DER_ASN1_DN, data };
  }
  if (EMAIL.test(text)) return ofText(IdType.RFC822_ADDR, text);
  const domain = text.startsWith("@") ? text.slice(1) : text;
  return NAME.test(domain) ? ofText(IdType.FQDN, domain) : undefined;
};

/** For people and logs: what `parseIdentity` reads, or `id-<type>:<hex>` where a peer's octets are no such text. */
export const formatIdentity = (identity: Identity): string => {
  const { type, data } = identity;
  const asText = Buffer.from(data).toString("latin1");
  if (type === IdType.IPV4_ADDR && data.length === 4) return addressText(data);
  if (type === IdType.IPV6_ADDR && data.length === 16) return addressText(data);
  if (type === IdType.FQDN && NAME.test(asText)) return asText;
  if (type === IdType.RFC822_ADDR && EMAIL.test(asText)) return asText;
  const name = nameOf(identity);
  if (name !== undefined) return formatName(name);
  if (type === IdType.DER_ASN1_DN && data[0] === 0x30) return `dn:${toHex(data)}`;
  if (type === IdType.KEY_ID) return `keyid:${toHex(data)}`;
  return `id-${type}:${toHex(data)}`;
};

const names = new WeakMap<Identity, { readonly name: DistinguishedName | undefined }>();

/** The distinguished name that it is; undefined when it is none, or none that can be read. */
export const nameOf = (identity: Identity): DistinguishedName | undefined => {
  if (identity.type !== IdType.DER_ASN1_DN) return undefined;
  const known = names.get(identity) ?? { name: readName(identity.data) };
  names.set(identity, known);
  return known.name;
};

/**
 * Same type and octets. The case of letters in domain names and mailboxes does not count (RFC 4343), and distinguished
 * names are equal as RFC 5280 §7.1 says.
 */
export const equalIdentity = (a: Identity, b: Identity): boolean =>
  a.type === b.type && (equalBytes(a.data, b.data) || identityKey(a) === identityKey(b));

/** The same text for equal identities alone. */
export const identityKey = (identity: Identity): string => {
  const { type, data } = identity;
  const name = nameOf(identity);
  if (name !== undefined) return `${type} ${nameKey(name)}`;
  return `${type} ${toHex(type === IdType.FQDN || type === IdType.RFC822_ADDR ? data.map(lowerCase) : data)}`;
};

const lowerCase = (octet: number): number => (octet >= 0x41 && octet <= 0x5a ? octet | 0x20 : octet);
