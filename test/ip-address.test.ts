import { expect, test } from "vitest";
import { canonicalAddress, sourceEndpoint } from "../src/ip-address.ts";

test.each([
  ["192.0.2.1", 500, "192.0.2.1"],
  ["255.255.255.255", 65535, "255.255.255.255"],
  ["2001:DB8:0:0::1", 4500, "2001:db8::1"],
  ["fe7f::1", 1, "fe7f::1"],
  ["fec0::1", 1, "fec0::1"],
  ["fe8::1", 1, "fe8::1"],
  ["::1", 1, "::1"],
])("a datagram from %s port %i can be answered", (address, port, canonical) => {
  expect(sourceEndpoint(address, port)).toEqual({ address: canonical, port });
});

test.each([
  ["port 0 is none (RFC 6335 §6)", "192.0.2.1", 0],
  ["port 0 is none (RFC 6335 §6)", "2001:db8::1", 0],
  ["of one link alone", "fe80::1%eth0", 500],
  ["of one link alone", "fe80::1%3", 500],
  ["of one link alone", "fe80::1", 500],
  ["of one link alone", "febf:ffff::1", 500],
  ["with a zone", "2001:db8::1%eth0", 500],
  ["with a zone", "ff02::1%eth0", 500],
  ["nobody's", "0.0.0.0", 500],
  ["nobody's", "::", 500],
  ["IPv4 in IPv6", "::ffff:192.0.2.1", 500],
  ["IPv4 in IPv6", "::192.0.2.1", 500],
  ["none", "", 500],
  ["none", "gateway.example", 500],
  ["none", "192.0.2", 500],
])("no answer can go where the source is %s: %s port %i", (_, address, port) => {
  expect(sourceEndpoint(address, port)).toBeUndefined();
});

test("one address has one text, and a zone is no part of it", () => {
  expect(canonicalAddress("2001:0db8::0001")).toBe("2001:db8::1");
  expect(canonicalAddress("fe80::1%eth0")).toBeUndefined();
});
