/**
 * The DER of distinguished names (RFC 5280 §4.1.2.4), by asn1js. It takes some 20 ms to load, so the first name does that;
 * nothing else imports it.
 */
import { isUtf8 } from "node:buffer";
import { createRequire } from "node:module";
import type * as Asn1 from "asn1js";
import { equalBytes } from "../../bytes.ts";
import type { Attribute, DistinguishedName, Rdn } from "./name.ts";

/** In octets. A longer name is not read. */
export const LONGEST = 1024;

/** In all steps of a name. */
export const MOST_ATTRIBUTES = 30;

/** The list, and for each attribute its step, itself, type and value. */
const LIMITS = { maxDepth: 4, maxNodes: 1 + 4 * MOST_ATTRIBUTES, maxContentLength: LONGEST, parseEmbedded: false };

const OID = /^\d+(\.\d+)+$/;
const ASCII = /^[\x20-\x7e]*$/;
/** emailAddress and domainComponent: IA5String, RFC 5280 §4.1.2.6 and §7.3. */
const IA5_TYPES = ["1.2.840.113549.1.9.1", "0.9.2342.19200300.100.1.25"];
const PRINTABLE = /^[A-Za-z0-9 '()+,./:=?-]*$/;

let loaded: typeof Asn1 | undefined;

const asn1 = (): typeof Asn1 => {
  loaded ??= createRequire(import.meta.url)("asn1js") as typeof Asn1;
  return loaded;
};

/** Undefined for what is no name in DER, is empty, or larger than the limits. Never throws. */
export const readName = (der: Uint8Array): DistinguishedName | undefined =>
  der.length > LONGEST ? undefined : unlessThrown(() => nameOfDer(der));

/** One attribute of a value in DER; undefined when type or value are none. Never throws. */
export const readAttribute = (type: string, der: Uint8Array): Attribute | undefined =>
  unlessThrown(() => {
    const attribute = nameOfDer(writeName([[{ type, der }]]))?.[0]?.[0];
    return attribute?.type === type && equalBytes(attribute.der, der) ? attribute : undefined;
  });

/** As a rule asn1js returns an error for what it cannot read or write, but it does throw for some of it. */
const unlessThrown = <T>(read: () => T): T | undefined => {
  try {
    return read();
  } catch {
    return undefined;
  }
};

/** What is not written as it was read was no DER: its lengths, object identifiers, the order in a step. */
const nameOfDer = (der: Uint8Array): DistinguishedName | undefined => {
  const name = rdnsOf(asn1().fromBER(der, LIMITS).result);
  return name !== undefined && name.length > 0 && equalBytes(writeName(name), der) ? name : undefined;
};

/** Of attributes that were read. */
export const writeName = (name: readonly (readonly Pick<Attribute, "type" | "der">[])[]): Uint8Array => {
  const { Sequence, Set: SetOf } = asn1();
  const value = name.map((rdn) => new SetOf({ value: sorted(rdn.map(attributeNode)) }));
  return new Uint8Array(new Sequence({ value }).toBER());
};

const attributeNode = ({ type, der }: Pick<Attribute, "type" | "der">): Asn1.Sequence => {
  const { ObjectIdentifier, Sequence, fromBER } = asn1();
  return new Sequence({ value: [new ObjectIdentifier({ value: type }), fromBER(der, LIMITS).result] });
};

/** The order of a SET OF in DER, X.690 §11.6. */
const sorted = (nodes: readonly Asn1.Sequence[]): Asn1.Sequence[] =>
  nodes
    .map((node) => ({ node, der: new Uint8Array(node.toBER()) }))
    .sort((a, b) => Buffer.compare(a.der, b.der))
    .map(({ node }) => node);

/**
 * One that says `text`, in the kind of string that its type asks for (RFC 5280 §4.1.2.4); undefined when none can say it.
 * The type must be an object identifier: who does not know reads the attribute again.
 */
export const textAttribute = (type: string, text: string): Attribute | undefined => {
  if (!isText(text)) return undefined;
  const { IA5String, PrintableString, Utf8String } = asn1();
  const isIa5 = IA5_TYPES.includes(type) && ASCII.test(text);
  const Kind = isIa5 ? IA5String : PRINTABLE.test(text) ? PrintableString : Utf8String;
  const der = new Uint8Array(new Kind({ value: text }).toBER());
  return der.length > LONGEST ? undefined : { type, der, text };
};

/** RFC 4518 §2.4 prohibits what has no character, or none that is seen; such octets only equal themselves. */
const isText = (text: string): boolean => !/[\p{C}\ufffd]/u.test(text);

const rdnsOf = (node: unknown): Rdn[] | undefined => {
  const { Sequence, Set: SetOf } = asn1();
  if (!(node instanceof Sequence)) return undefined;
  const rdns = node.valueBlock.value.map((rdn) =>
    rdn instanceof SetOf ? all(rdn.valueBlock.value.map(attributeOf)) : undefined,
  );
  return all(rdns)?.every(isRdn) ? all(rdns) : undefined;
};

/** X.501 §9.3: some, and of different types. */
const isRdn = (rdn: Rdn): boolean => rdn.length > 0 && new Set(rdn.map(({ type }) => type)).size === rdn.length;

const attributeOf = (node: unknown): Attribute | undefined => {
  const { ObjectIdentifier, Sequence } = asn1();
  const [type, value, ...more] = node instanceof Sequence ? node.valueBlock.value : [];
  if (!(type instanceof ObjectIdentifier) || value === undefined || more.length > 0) return undefined;
  if (!OID.test(type.getValue())) return undefined;
  return { type: type.getValue(), der: value.valueBeforeDecodeView.slice(), text: textOf(value) };
};

const textOf = (value: unknown): string | undefined => {
  const { IA5String, PrintableString, Utf8String } = asn1();
  if (value instanceof PrintableString || value instanceof IA5String)
    return ASCII.test(value.getValue()) ? value.getValue() : undefined;
  // asn1js reads as Latin-1 what is no UTF-8.
  if (!(value instanceof Utf8String) || !isUtf8(value.valueBlock.valueHexView)) return undefined;
  return isText(value.getValue()) ? value.getValue() : undefined;
};

const all = <T>(items: readonly (T | undefined)[]): T[] | undefined => {
  const there = items.filter((item) => item !== undefined);
  return there.length === items.length ? there : undefined;
};
