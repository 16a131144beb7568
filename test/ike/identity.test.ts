import { describe, expect, it } from "vitest";
import { fromHex } from "../../src/bytes.ts";
import { equalIdentity, formatIdentity, IdType, parseIdentity } from "../../src/ike/identity.ts";

describe("identities as text", () => {
  it.each<[string, number, string]>([
    ["192.0.2.1", IdType.IPV4_ADDR, "192.0.2.1"],
    ["2001:DB8:0::1", IdType.IPV6_ADDR, "2001:db8::1"],
    ["gw-a.example", IdType.FQDN, "gw-a.example"],
    ["@gw-a.example", IdType.FQDN, "gw-a.example"],
    ["gateway", IdType.FQDN, "gateway"],
    ["user@example.org", IdType.RFC822_ADDR, "user@example.org"],
    ["keyid:0a0B", IdType.KEY_ID, "keyid:0a0b"],
    ["@#0a0b", IdType.KEY_ID, "keyid:0a0b"],
    ["CN=gw, O=Example", IdType.DER_ASN1_DN, "CN=gw,O=Example"],
    ["dn:300D310B3009060355040613024445", IdType.DER_ASN1_DN, "C=DE"],
    ["dn:3000", IdType.DER_ASN1_DN, "dn:3000"],
  ])("%s is of type %i and shown as %s", (text, type, shown) => {
    const identity = parseIdentity(text)!;
    expect(identity.type).toBe(type);
    expect(formatIdentity(identity)).toBe(shown);
    expect(parseIdentity(shown)).toEqual(identity);
  });

  it.each(["", "@", "10.0.0.300", "10.0.0", "a b", "keyid:", "keyid:abc", "%any", "-gw", "x@", "gw\n"])(
    "%j is none",
    (text) => {
      expect(parseIdentity(text)).toBeUndefined();
    },
  );

  it("of a peer are shown without the octets that would break a log line", () => {
    expect(formatIdentity({ type: IdType.FQDN, data: fromHex("67770a6f6f") })).toBe("id-2:67770a6f6f");
    expect(formatIdentity({ type: IdType.IPV4_ADDR, data: fromHex("0a00") })).toBe("id-1:0a00");
    expect(formatIdentity({ type: IdType.DER_ASN1_DN, data: fromHex("3000") })).toBe("dn:3000");
  });
});

describe("identities compared", () => {
  it("are equal when type and octets are", () => {
    expect(equalIdentity(parseIdentity("192.0.2.1")!, parseIdentity("192.0.2.1")!)).toBe(true);
    expect(equalIdentity(parseIdentity("192.0.2.1")!, parseIdentity("192.0.2.2")!)).toBe(false);
    expect(equalIdentity({ type: 2, data: fromHex("6767") }, { type: 11, data: fromHex("6767") })).toBe(false);
    expect(equalIdentity(parseIdentity("keyid:41")!, parseIdentity("keyid:61")!)).toBe(false);
  });

  it("do not mind the case of names", () => {
    expect(equalIdentity(parseIdentity("GW.example")!, parseIdentity("gw.Example")!)).toBe(true);
  });
});
