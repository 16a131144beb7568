/** Attribute types by the names that people write: RFC 4514 §3, and those that RFC 5280 §4.1.2.4 wants known. */

/** Its object identifier, what it is shown as, and what else it may be written as. */
const TYPES: readonly (readonly [string, ...string[]])[] = [
  ["2.5.4.3", "CN", "commonName"],
  ["2.5.4.7", "L", "localityName"],
  ["2.5.4.8", "ST", "stateOrProvinceName"],
  ["2.5.4.10", "O", "organizationName"],
  ["2.5.4.11", "OU", "organizationalUnitName"],
  ["2.5.4.6", "C", "countryName"],
  ["2.5.4.9", "STREET", "streetAddress"],
  ["0.9.2342.19200300.100.1.25", "DC", "domainComponent"],
  ["0.9.2342.19200300.100.1.1", "UID", "userId"],
  ["2.5.4.4", "surname"],
  ["2.5.4.5", "serialNumber"],
  ["2.5.4.12", "title"],
  ["2.5.4.42", "givenName"],
  ["2.5.4.43", "initials"],
  ["2.5.4.44", "generationQualifier"],
  ["2.5.4.46", "dnQualifier"],
  ["2.5.4.65", "pseudonym"],
  ["1.2.840.113549.1.9.1", "emailAddress", "E"],
];

const OIDS = new Map(TYPES.flatMap(([oid, ...names]) => names.map((name) => [name.toLowerCase(), oid])));
const NAMES = new Map(TYPES.map(([oid, name]) => [oid, name]));

/** The object identifier of a name or of itself; undefined when the name is not known. */
export const typeOf = (written: string): string | undefined =>
  /^\d/.test(written) ? written : OIDS.get(written.toLowerCase());

/** Undefined where it has none: it is shown in dotted decimal then, its value in hex (RFC 4514 §2.3, §2.4). */
export const shownType = (oid: string): string | undefined => NAMES.get(oid);
