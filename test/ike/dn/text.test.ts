import fc from "fast-check";
import { expect, test } from "vitest";
import { toHex } from "../../../src/bytes.ts";
import { readName, textAttribute, writeName } from "../../../src/ike/dn/der.ts";
import type { Attribute } from "../../../src/ike/dn/name.ts";
import { nameKey } from "../../../src/ike/dn/name.ts";
import { formatName, parseName } from "../../../src/ike/dn/text.ts";

const shown = (text: string): string | undefined => {
  const der = parseName(text);
  return der && formatName(readName(der)!);
};

// The examples of RFC 4514 §4 among them.
test.each([
  ["UID=jsmith,DC=example,DC=net", "UID=jsmith,DC=example,DC=net"],
  ["CN=J.  Smith+OU=Sales,DC=example,DC=net", "OU=Sales+CN=J.  Smith,DC=example,DC=net"],
  ['CN=James \\"Jim\\" Smith\\, III,DC=example,DC=net', 'CN=James \\"Jim\\" Smith\\, III,DC=example,DC=net'],
  ["1.3.6.1.4.1.1466.0=#04024869", "1.3.6.1.4.1.1466.0=#04024869"],
  ["CN=Lu\\C4\\8Di\\C4\\87", "CN=Lučić"],
  ["CN=gw, O=Example,C = CH ", "CN=gw,O=Example,C=CH"],
  ["commonname=gw,e=a@b.example", "CN=gw,emailAddress=a@b.example"],
  ["2.5.4.3=gw", "CN=gw"],
  ["1.2.3=gw", "1.2.3=#13026777"],
  ["CN=#0c026777", "CN=gw"],
  ["CN=\\ a\\ \\ ", "CN=\\ a \\ "],
  ["CN=\\#1,O=a#b", "CN=\\#1,O=a#b"],
  ["CN=a=b,O=\\<\\>\\;\\+\\\\", "CN=a=b,O=\\<\\>\\;\\+\\\\"],
  ["CN=\\2a", "CN=\\2A"],
  ["CN=,O=", "CN=,O="],
  ["CN=gw/1", "CN=gw/1"],
])("%s is shown as %s, which is the same name", (text, expected) => {
  expect(shown(text)).toBe(expected);
  expect(shown(expected)).toBe(expected);
});

test.each([
  "",
  "gw",
  "=gw",
  "CN",
  "CN=a,",
  "CN=a,,O=b",
  ",CN=a",
  "CN=a+",
  "CN=a;O=b",
  'CN="a"',
  "CN=a\\",
  "CN=\\zz",
  "CN=\\ff",
  "CN=#0c",
  "CN=#xy",
  "CN=#0c01610c0161",
  "XY=a",
  "9.9=a",
  "CN=a+CN=b",
  "CN=a\nb",
  "CN=a\\0db",
  "CN=*",
  "CN=*.example",
  "*,CN=a",
  `CN=${"x".repeat(1100)}`,
  Array.from({ length: 31 }, () => "CN=a").join(","),
])("%j is no name", (text) => {
  expect(parseName(text)).toBeUndefined();
});

test("the last step comes first in the encoding, and strings are of the kind that RFC 5280 asks for", () => {
  // SEQUENCE of C=CH (PrintableString), DC=example (IA5String), CN=gw (PrintableString)
  expect(toHex(parseName("CN=gw,DC=example,C=CH")!)).toBe(
    "3033310b300906035504061302434831173015060a0992268993f22c64011916076578616d706c65310b3009060355040313026777",
  );
  // UTF8String where PrintableString has no such character
  expect(toHex(parseName("CN=g_w")!)).toBe("300e310c300a06035504030c03675f77");
  expect(toHex(parseName("CN=Züri")!)).toBe("3010310e300c06035504030c055ac3bc7269");
});

test("what is shown of a name is read as an equal one", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 12 });
  const special = fc.string({ unit: fc.constantFrom(...'\\ #=+,;"<>*a1'), maxLength: 8 });
  const type = fc.constantFrom("2.5.4.3", "2.5.4.10", "1.2.840.113549.1.9.1", "1.2.3.4");
  const attribute = fc
    .tuple(type, fc.oneof(text, special))
    .map(([oid, value]) => textAttribute(oid, value))
    .filter((one): one is Attribute => one !== undefined);
  const rdn = fc.uniqueArray(attribute, { minLength: 1, maxLength: 2, selector: (one) => one.type });
  fc.assert(
    fc.property(fc.array(rdn, { minLength: 1, maxLength: 4 }), (rdns) => {
      const name = readName(writeName(rdns))!;
      const again = parseName(formatName(name));
      expect(again && nameKey(readName(again)!)).toBe(nameKey(name));
    }),
    { numRuns: 100 },
  );
});
