/**
 * Who a peer may say that it is: one identity, or a pattern that many match (an entry of the Peer Authorization Database,
 * RFC 4301 §4.4.3.1).
 *
 *   192.0.2.0/24   2001:db8::/32     any address of the prefix
 *   *.example                        any domain name below it
 *   *@example                        any mailbox there
 *   CN=*,O=Example                   any distinguished name of that form
 *   *,O=Example                      any distinguished name below it
 *   %any                             anybody
 */
import { addressText, parsePrefix, prefixRange } from "../ip-address.ts";
import { parseNamePattern } from "./dn/pattern.ts";
import {
  addressIdentity,
  equalIdentity,
  formatIdentity,
  type Identity,
  IdType,
  nameOf,
  parseIdentity,
} from "./identity.ts";

export interface IdPattern {
  /** As a user writes it. */
  readonly text: string;
  /** The closer, the larger: 0 for anybody. */
  readonly closeness: number;
  readonly matches: (identity: Identity) => boolean;
}

export type PeerId = Identity | IdPattern;

/** Closer than any pattern. */
const EXACT = 1_000;

const isPattern = (id: PeerId): id is IdPattern => "matches" in id;

/** What a user wrote, or undefined when it is neither an identity nor a pattern. */
export const parsePeerId = (text: string): PeerId | undefined => {
  if (text === "%any") return { text, closeness: 0, matches: () => true };
  if (text.includes("=")) return parseIdentity(text) ?? namePattern(text);
  if (text.startsWith("*.")) return domainPattern(text, text.slice(1), IdType.FQDN);
  if (text.startsWith("*@")) return domainPattern(text, text.slice(1), IdType.RFC822_ADDR);
  return text.includes("/") ? prefixPattern(text) : parseIdentity(text);
};

/** `suffix` begins with the dot or the at sign, so that it cannot end in the middle of a label. */
const domainPattern = (text: string, suffix: string, type: number): IdPattern | undefined => {
  const domain = parseIdentity(suffix.slice(1));
  if (domain?.type !== IdType.FQDN) return undefined;
  const end = suffix.toLowerCase();
  const matches = (identity: Identity): boolean => {
    const name = Buffer.from(identity.data).toString("latin1").toLowerCase();
    return identity.type === type && name.length > end.length && name.endsWith(end);
  };
  return { text: text.toLowerCase(), closeness: 1 + end.length, matches };
};

/** Values count first, then steps: at most 30 attributes in all keep it below `EXACT`. */
const namePattern = (written: string): IdPattern | undefined => {
  const pattern = parseNamePattern(written);
  if (pattern === undefined) return undefined;
  const matches = (identity: Identity): boolean => {
    const name = nameOf(identity);
    return name !== undefined && pattern.matches(name);
  };
  return { text: pattern.text, closeness: 1 + 31 * pattern.fixed + pattern.free, matches };
};

const prefixPattern = (text: string): PeerId | undefined => {
  const prefix = parsePrefix(text);
  if (prefix === undefined) return undefined;
  const { first, last } = prefixRange(prefix);
  const { type } = addressIdentity(prefix.address);
  if (prefix.length === first.length * 8) return addressIdentity(prefix.address);
  const matches = ({ type: other, data }: Identity): boolean =>
    other === type &&
    data.length === first.length &&
    Buffer.compare(data, first) >= 0 &&
    Buffer.compare(data, last) <= 0;
  return { text: `${addressText(first)}/${prefix.length}`, closeness: 1 + prefix.length, matches };
};

/** Whether a peer that says it is `identity` is one of those; undefined: anybody is. */
export const isExpected = (expected: PeerId | undefined, identity: Identity): boolean => {
  if (expected === undefined) return true;
  return isPattern(expected) ? expected.matches(identity) : equalIdentity(expected, identity);
};

/** How closely it says who is meant: to choose among several that match. */
export const closenessOf = (expected: PeerId | undefined): number => {
  if (expected === undefined) return 0;
  return isPattern(expected) ? expected.closeness : EXACT;
};

/** The one identity that is meant, where it is one. */
export const exactId = (expected: PeerId | undefined): Identity | undefined =>
  expected === undefined || isPattern(expected) ? undefined : expected;

export const formatPeerId = (expected: PeerId | undefined): string => {
  if (expected === undefined) return "anyone";
  return isPattern(expected) ? expected.text : formatIdentity(expected);
};
