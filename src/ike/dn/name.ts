/**
 * Distinguished names (X.501 §9), and which of them are equal: RFC 5280 §7.1, with strings prepared as RFC 4518 says.
 * A name is a list of steps from the root down (RDNs), a step one attribute or several.
 */
import { toHex } from "../../bytes.ts";

export interface Attribute {
  /** An object identifier, in dotted decimal. */
  readonly type: string;
  /** The value's DER. */
  readonly der: Uint8Array;
  /** What it says, where it is a string of characters that can be shown and compared; otherwise its DER counts. */
  readonly text: string | undefined;
}

/** Attributes of different types; mostly one. */
export type Rdn = readonly Attribute[];

/** From the root down: the other way round than its text (RFC 4514 §2.1). */
export type DistinguishedName = readonly Rdn[];

/** The same for equal attributes alone: what kind of string it is does not count, and case and runs of spaces do not. */
export const attributeKey = ({ type, der, text }: Attribute): string =>
  text === undefined ? `${type}#${toHex(der)}` : `${type}=${folded(text)}`;

/** The same for equal names alone. */
export const nameKey = (name: DistinguishedName): string =>
  JSON.stringify(name.map((rdn) => rdn.map(attributeKey).sort()));

/** RFC 4518 §2.2, §2.3 and §2.6.1, but for letters that only its full case folding makes equal, such as ß and ss. */
const folded = (text: string): string =>
  text.normalize("NFKC").toLowerCase().normalize("NFKC").replace(/\s+/g, " ").trim();
