/**
 * Patterns of distinguished names: `CN=*,O=Example` has any value there, `*,O=Example` is any name below `O=Example`.
 * Each step must be there, in its order, and no other.
 */
import { attributeKey, type DistinguishedName, type Rdn } from "./name.ts";
import { formatWrittenName, parseWrittenName, type WrittenAttribute } from "./text.ts";

export interface NamePattern {
  readonly text: string;
  /** Attributes with a value, and with any. */
  readonly fixed: number;
  readonly free: number;
  readonly matches: (name: DistinguishedName) => boolean;
}

export const parseNamePattern = (text: string): NamePattern | undefined => {
  const written = parseWrittenName(text);
  if (written === undefined) return undefined;
  const { open, rdns } = written;
  const fixed = rdns.flat().filter(({ attribute }) => attribute !== undefined).length;
  const matches = (name: DistinguishedName): boolean =>
    (open ? name.length > rdns.length : name.length === rdns.length) &&
    rdns.every((rdn, index) => fits(rdn, name[index]!));
  return { text: formatWrittenName(written), fixed, free: rdns.flat().length - fixed, matches };
};

/** Types differ within a step. */
const fits = (written: readonly WrittenAttribute[], rdn: Rdn): boolean =>
  written.length === rdn.length &&
  written.every(({ type, attribute }) =>
    rdn.some(
      (other) => other.type === type && (attribute === undefined || attributeKey(other) === attributeKey(attribute)),
    ),
  );
