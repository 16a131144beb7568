/**
 * Distinguished names as text, RFC 4514: `CN=gw,O=Example,C=CH`. The last step, the country as a rule, is the root's and
 * comes first in the encoding. Spaces around `,`, `+` and `=` may be written and are not shown.
 *
 * For patterns a `*` alone in place of a value, or before the first comma, is read too; as part of a value an asterisk
 * is `\2a`, which RFC 4514 leaves free.
 */
import { isUtf8 } from "node:buffer";
import { toHex } from "../../bytes.ts";
import { shownType, typeOf } from "./attribute-types.ts";
import { LONGEST, MOST_ATTRIBUTES, readAttribute, textAttribute, writeName } from "./der.ts";
import type { Attribute, DistinguishedName } from "./name.ts";

/** What is written of an attribute. */
export interface WrittenAttribute {
  readonly type: string;
  /** Undefined: any. */
  readonly attribute: Attribute | undefined;
}

export interface WrittenName {
  /** It begins with `*`: any steps may follow its own, at least one. */
  readonly open: boolean;
  /** From the root down. */
  readonly rdns: readonly (readonly WrittenAttribute[])[];
}

const TYPE = "([a-z][a-z0-9-]*|[0-9]+(?:\\.[0-9]+)+)";
const ESCAPED = '\\\\(?:[ "#+,;<=>\\\\]|[0-9a-f]{2})';
/** Spaces at the end are no part of a value unless escaped. */
const CHARACTER = `(?:${ESCAPED}|[^\\\\"+,;<>*\\0 ]| (?! *(?:[,+]|$)))`;
const VALUE = `(\\*|#(?:[0-9a-f]{2})+|(?!#)${CHARACTER}*)`;
const ATTRIBUTE = new RegExp(` *${TYPE} *= *${VALUE} *([,+]|$)`, "iy");

/** Undefined for what is no name, or no pattern of names. */
export const parseWrittenName = (text: string): WrittenName | undefined => {
  const prefix = /^ *\* *,/.exec(text)?.[0] ?? "";
  const attributes = new RegExp(ATTRIBUTE);
  attributes.lastIndex = prefix.length;
  const rdns: WrittenAttribute[][] = [[]];
  for (let count = 0; count < MOST_ATTRIBUTES; count++) {
    const [, name = "", value = "", then] = attributes.exec(text) ?? [];
    const type = typeOf(name);
    const written = type === undefined ? undefined : writtenAttribute(type, value);
    if (written === undefined || then === undefined) return undefined;
    const rdn = rdns[0]!;
    if (rdn.some((other) => other.type === type)) return undefined;
    rdn.push(written);
    if (then === "") return { open: prefix !== "", rdns };
    if (then === ",") rdns.unshift([]);
  }
  return undefined;
};

const writtenAttribute = (type: string, value: string): WrittenAttribute | undefined => {
  if (value === "*") return { type, attribute: undefined };
  const attribute = value.startsWith("#")
    ? readAttribute(type, new Uint8Array(Buffer.from(value.slice(1), "hex")))
    : attributeOfText(type, value);
  return attribute && { type, attribute };
};

const attributeOfText = (type: string, value: string): Attribute | undefined => {
  const text = unescaped(value);
  const attribute = text === undefined ? undefined : textAttribute(type, text);
  if (attribute === undefined || shownType(type) !== undefined) return attribute;
  return readAttribute(type, attribute.der); // 9.9 is no object identifier
};

/** Two hex digits are an octet of UTF-8; undefined when they make none. */
const unescaped = (value: string): string | undefined => {
  const parts = [...value.matchAll(/\\([0-9a-f]{2})|\\(.)|[^\\]+/gi)].map(([part, hex, character]) =>
    hex === undefined ? Buffer.from(character ?? part) : Buffer.from(hex, "hex"),
  );
  const octets = Buffer.concat(parts);
  return isUtf8(octets) ? octets.toString() : undefined;
};

/** The DER of a name that is written without `*`; undefined when it is none. */
export const parseName = (text: string): Uint8Array | undefined => {
  const { open, rdns } = parseWrittenName(text) ?? { open: true, rdns: [] };
  const name = rdns.map((rdn) => rdn.map(({ attribute }) => attribute).filter((attribute) => attribute !== undefined));
  if (open || name.some((rdn, index) => rdn.length < rdns[index]!.length)) return undefined;
  const der = writeName(name);
  return der.length > LONGEST ? undefined : der;
};

export const formatName = (name: DistinguishedName): string =>
  formatWrittenName({
    open: false,
    rdns: name.map((rdn) => rdn.map((attribute) => ({ type: attribute.type, attribute }))),
  });

export const formatWrittenName = ({ open, rdns }: WrittenName): string => {
  const steps = rdns.map((rdn) => rdn.map(formatAttribute).join("+")).reverse();
  return [...(open ? ["*"] : []), ...steps].join(",");
};

const formatAttribute = ({ type, attribute }: WrittenAttribute): string => {
  const name = shownType(type);
  if (attribute === undefined) return `${name ?? type}=*`;
  const { text, der } = attribute;
  return `${name ?? type}=${name === undefined || text === undefined ? `#${toHex(der)}` : escaped(text)}`;
};

/** RFC 4514 §2.4; what cannot be seen is no text. */
const escaped = (text: string): string =>
  text.replace(/^[ #]| $|["+,;<>\\*]/g, (character) => (character === "*" ? "\\2A" : `\\${character}`));
