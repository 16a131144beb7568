import { expect, test } from "vitest";
import { Df, type DfPolicy, MARK_DF, outerMark } from "../../src/ipsec/outer-header.ts";
import { ipv4HeaderOf } from "../support/ip-headers.ts";
import { ipPacket } from "../support/ip-packets.ts";

test.each<readonly [DfPolicy, inner: boolean, outer: boolean]>([
  ["copy", true, true],
  ["copy", false, false],
  ["set", true, true],
  ["set", false, true],
  ["clear", true, false],
  ["clear", false, false],
])("DF %s: of an inner packet with DF %s it is %s", (policy, dontFragment, outer) => {
  const packet = ipv4HeaderOf({ dontFragment });
  expect(outerMark(0xb9, packet, 0, Df[policy])).toBe(0xb9 | (outer ? MARK_DF : 0));
});

test.each<readonly [DfPolicy, outer: boolean]>([
  ["copy", true],
  ["set", true],
  ["clear", false],
])("DF %s: an inner IPv6 packet is one that no router may fragment", (policy, outer) => {
  expect(outerMark(0, ipPacket({ version: 6 }), 0, Df[policy])).toBe(outer ? MARK_DF : 0);
});
