import fc from "fast-check";
import { expect, test } from "vitest";
import { fromHex, toHex } from "../../../src/bytes.ts";
import { readName, textAttribute, writeName } from "../../../src/ike/dn/der.ts";
import { nameKey } from "../../../src/ike/dn/name.ts";
import { formatName, parseName } from "../../../src/ike/dn/text.ts";

/** The subject of a certificate that OpenSSL 3.0 made, and how it writes that with `-nameopt RFC2253`. */
const SUBJECT = fromHex(
  "3081ab31133011060a0992268993f22c64011916036e657431173015060a0992268993f22c64011916076578616d706c65310b30090603" +
    "55040613024348311b3019060355040a0c124578616d706c65204c74642c20426173656c3120300c060355040b0c0553616c6573301006" +
    "035504030c094a2e2020536d6974683110300e06035504030c074c75c48d69c487311d301b06092a864886f70d010901160e6777406578" +
    "616d706c652e6e6574",
);
const BY_OPENSSL =
  "emailAddress=gw@example.net,CN=Lu\\C4\\8Di\\C4\\87,CN=J.  Smith+OU=Sales,O=Example Ltd\\, Basel,C=CH,DC=example,DC=net";

test("a name is read attribute by attribute, from the root down, and written octet for octet", () => {
  const name = readName(SUBJECT);
  expect(name?.map((rdn) => rdn.map(({ type, text }) => [type, text]))).toEqual([
    [["0.9.2342.19200300.100.1.25", "net"]],
    [["0.9.2342.19200300.100.1.25", "example"]],
    [["2.5.4.6", "CH"]],
    [["2.5.4.10", "Example Ltd, Basel"]],
    [
      ["2.5.4.11", "Sales"],
      ["2.5.4.3", "J.  Smith"],
    ],
    [["2.5.4.3", "Lučić"]],
    [["1.2.840.113549.1.9.1", "gw@example.net"]],
  ]);
  expect(writeName(name!)).toEqual(SUBJECT);
});

test("what OpenSSL writes of it is the same name", () => {
  expect(nameKey(readName(parseName(BY_OPENSSL)!)!)).toBe(nameKey(readName(SUBJECT)!));
});

test("attributes of one step are written in the order of their octets", () => {
  const [o, cn] = [textAttribute("2.5.4.10", "o")!, textAttribute("2.5.4.3", "cn")!];
  expect(writeName([[o, cn]])).toEqual(writeName([[cn, o]]));
});

test.each([
  ["nothing", ""],
  ["an empty name", "3000"],
  ["half a name", "300d310b3009060355040613024445".slice(0, -2)],
  ["octets after it", "300d310b300906035504061302444500"],
  ["an indefinite length", "3080310b30090603550406130244450000"],
  ["a length in more octets than it needs", "30810d310b3009060355040613024445"],
  ["an object identifier in more octets than it needs", "300e310c300a06048055040613024445"],
  ["a step without attributes", "30023100"],
  ["a step that is a SEQUENCE", "300d300b3009060355040613024445"],
  ["an attribute with no value", "3009310730050603550406"],
  ["an attribute with two values", "3011310f300d06035504061302444513024445"],
  ["attributes in disorder", "3017311530090603550406130244453008060355040a13016f"],
  ["two attributes of one type in a step", "301631143008060355040313016130080603550403130162"],
  ["a value that is cut", "300d310b300906035504030c0361"],
  ["no SEQUENCE", "0c0161"],
])("%s is no name", (_, hex) => {
  expect(readName(fromHex(hex))).toBeUndefined();
});

test("a name of more than 1024 octets, or of more than 30 attributes, is not read", () => {
  const long = (length: number) => writeName([[textAttribute("2.5.4.3", "x".repeat(length))!]]);
  expect(readName(long(1000))).toBeDefined();
  expect(readName(long(1015))).toBeUndefined();
  expect(textAttribute("2.5.4.3", "x".repeat(1024))).toBeUndefined();
  const one = textAttribute("2.5.4.3", "x")!;
  const many = (count: number) => writeName(Array.from({ length: count }, () => [one]));
  expect(readName(many(30))).toHaveLength(30);
  expect(readName(many(31))).toBeUndefined();
});

test.each([
  ["characters that are not seen", "0c0461e2808b"],
  ["a control character", "0c020a61"],
  ["octets that are no UTF-8", "0c02ff41"],
  ["a PrintableString beyond ASCII", "1301e4"],
  ["UTF-16", "1e020061"],
])("%s are octets to be shown in hex, not text", (_, value) => {
  const der = fromHex(value);
  const attribute = fromHex(`0603550403${value}`);
  const nested = (tag: number, content: Uint8Array) => Uint8Array.of(tag, content.length, ...content);
  const name = readName(nested(0x30, nested(0x31, nested(0x30, attribute))));
  expect(name).toEqual([[{ type: "2.5.4.3", der, text: undefined }]]);
  expect(formatName(name!)).toBe(`CN=#${value}`);
});

test("whatever a peer sends never throws, and what is read was written so", () => {
  const judge = (octets: Uint8Array): void => {
    const name = readName(octets);
    if (name !== undefined) expect(toHex(writeName(name))).toBe(toHex(octets));
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), judge), { numRuns: 300 });
  const change = fc.record({ at: fc.nat(SUBJECT.length - 1), to: fc.nat(255) });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
      const octets = SUBJECT.slice();
      for (const { at, to } of changes) octets[at] = to;
      judge(octets);
    }),
    { numRuns: 300 },
  );
});
