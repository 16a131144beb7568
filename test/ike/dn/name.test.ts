import { expect, test } from "vitest";
import { fromHex } from "../../../src/bytes.ts";
import { equalIdentity, formatIdentity, type Identity, IdType, identityKey } from "../../../src/ike/identity.ts";
import { identity } from "../../support/two-peers.ts";

const dn = (hex: string): Identity => ({ type: IdType.DER_ASN1_DN, data: fromHex(hex) });

const areEqual = (a: Identity, b: Identity): boolean => {
  expect(identityKey(a) === identityKey(b)).toBe(equalIdentity(a, b));
  expect(equalIdentity(b, a)).toBe(equalIdentity(a, b));
  return equalIdentity(a, b);
};

test.each([
  ["another case of letters", "CN=GW,O=EXAMPLE", "cn=gw,o=Example"],
  ["another number of spaces", "CN=gate  way,O=Example", "CN=\\ gate way\\ ,O=Example"],
  ["another kind of string", "CN=#0c026777", "CN=#13026777"],
  ["another order in one step", "CN=a+UID=b,O=c", "UID=b+CN=a,O=c"],
  ["another form of one character", "CN=Zu\u0308rich", "CN=ZÜRICH"],
])("%s makes no other name", (_, a, b) => {
  expect(areEqual(identity(a), identity(b))).toBe(true);
});

test.each([
  ["another value", "CN=gw", "CN=gv"],
  ["another type", "CN=gw", "OU=gw"],
  ["another order of steps", "CN=gw,O=Example", "O=Example,CN=gw"],
  ["steps in place of one", "CN=a+UID=b", "CN=a,UID=b"],
  ["one step more", "CN=gw,O=Example", "O=Example"],
  ["no space for one", "CN=gate way", "CN=gateway"],
  ["octets for text", "CN=#1e020061", "CN=a"],
  ["other octets", "CN=#1e020061", "CN=#1e020041"],
  ["another kind of identity", "gw.example", "CN=gw.example"],
])("%s makes another one", (_, a, b) => {
  expect(areEqual(identity(a), identity(b))).toBe(false);
});

test("what cannot be read is equal octet for octet alone, and shown in hex", () => {
  const [unread, otherCase] = [dn("3080310b30090603550406130244450000"), dn("3080310b30090603550406130264650000")];
  expect(areEqual(unread, dn("3080310b30090603550406130244450000"))).toBe(true);
  expect(areEqual(unread, otherCase)).toBe(false);
  expect(areEqual(unread, identity("C=DE"))).toBe(false);
  expect(formatIdentity(unread)).toBe("dn:3080310b30090603550406130244450000");
  expect(identity(formatIdentity(unread))).toEqual(unread);
});
