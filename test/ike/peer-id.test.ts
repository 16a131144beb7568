import { describe, expect, it, test } from "vitest";
import { parseIdentity } from "../../src/ike/identity.ts";
import { closenessOf, exactId, formatPeerId, isExpected, parsePeerId } from "../../src/ike/peer-id.ts";

const identity = (text: string) => {
  const parsed = parseIdentity(text);
  if (parsed === undefined) throw new Error(`no identity: ${text}`);
  return parsed;
};

describe("a pattern", () => {
  it.each([
    ["*.example", ["a.example", "B.EXAMPLE", "x.y.example"], ["example", "a.examples", "aexample", "x@a.example"]],
    ["*@example.org", ["a@example.org", "A.B@Example.Org"], ["example.org", "a@b.example.org", "a@xexample.org"]],
    ["10.1.0.0/16", ["10.1.0.0", "10.1.255.255"], ["10.0.255.255", "10.2.0.0", "2001:db8::1", "keyid:0a010203"]],
    ["2001:db8::/32", ["2001:db8::", "2001:db8:ffff::1"], ["2001:db9::", "10.1.0.0"]],
    ["0.0.0.0/0", ["0.0.0.0", "255.255.255.255"], ["::1", "a.example"]],
    ["%any", ["10.0.0.1", "::1", "a.example", "a@b.example", "keyid:00", "dn:3000"], []],
    ["gw.example", ["gw.example", "GW.example"], ["a.gw.example", "gw.example.org"]],
    ["192.0.2.1/32", ["192.0.2.1"], ["192.0.2.2"]],
    ["keyid:0a0b", ["keyid:0a0b"], ["keyid:0A0C", "keyid:0a"]],
    ["dn:300d310b3009060355040613024445", ["dn:300D310B3009060355040613024445"], ["dn:300d310b3009060355040613024446"]],
  ] as const)("%s", (text, fits, others) => {
    const expected = parsePeerId(text);
    expect(expected).toBeDefined();
    for (const one of fits) expect([one, isExpected(expected, identity(one))]).toEqual([one, true]);
    for (const one of others) expect([one, isExpected(expected, identity(one))]).toEqual([one, false]);
  });

  it.each([
    "*",
    "*.",
    "*@",
    "*.a b",
    "*@10.0.0.1",
    "**.example",
    "a*.example",
    "10.0.0.0/33",
    "x/8",
    "%",
    "",
    "dn:31",
    "dn:",
  ])("%o is none", (text) => expect(parsePeerId(text)).toBeUndefined());

  it("is written as it is read", () => {
    for (const text of ["*.example", "*@example.org", "10.1.0.0/16", "2001:db8::/32", "%any", "gw.example", "dn:3000"])
      expect(formatPeerId(parsePeerId(text))).toBe(text);
    expect(formatPeerId(parsePeerId("10.1.2.3/16"))).toBe("10.1.0.0/16");
    expect(formatPeerId(undefined)).toBe("anyone");
  });
});

test("the closer of two that match is known: exact, longer, shorter, anybody", () => {
  const closeness = (texts: string[]) => texts.map((text) => closenessOf(parsePeerId(text)));
  for (const order of [
    ["gw.b.example", "*.b.example", "*.example", "%any"],
    ["a@b.example", "*@b.example", "%any"],
    ["10.1.2.3", "10.1.0.0/16", "10.0.0.0/8", "0.0.0.0/0", "%any"],
  ])
    expect(closeness(order)).toEqual(closeness(order).toSorted((a, b) => b - a));
  expect(new Set(closeness(["10.1.2.3", "10.0.0.0/8", "0.0.0.0/0", "%any"])).size).toBe(4);
  expect(closenessOf(undefined)).toBe(0);
});

test("only an exact one can be asked for in IDr", () => {
  expect(exactId(parsePeerId("gw.example"))).toEqual(identity("gw.example"));
  expect(exactId(parsePeerId("*.example"))).toBeUndefined();
  expect(exactId(undefined)).toBeUndefined();
});
