import { expect, test } from "vitest";
import { type DscpPolicy, outerTosTable } from "../../src/ipsec/dscp.ts";

const EF = 46;
const AF41 = 34;
const CS1 = 8;
const MAP: DscpPolicy = {
  kind: "map",
  map: { [EF]: AF41, 0: CS1 },
};

test.each<readonly [string, DscpPolicy, inner: number, outer: number]>([
  ["copied", { kind: "copy" }, EF, EF],
  ["copied, the least", { kind: "copy" }, 0, 0],
  ["copied, the most", { kind: "copy" }, 63, 63],
  ["set", { kind: "set", dscp: CS1 }, EF, CS1],
  ["mapped", MAP, EF, AF41],
  ["mapped from 0", MAP, 0, CS1],
  ["copied where the map does not say", MAP, AF41, AF41],
])("a DSCP is %s", (_, policy, inner, outer) => {
  const normal = outerTosTable(policy, "normal");
  const compatible = outerTosTable(policy, "compatibility");
  for (let ecn = 0; ecn < 4; ecn++) {
    expect(normal[(inner << 2) | ecn]).toBe((outer << 2) | ecn); // RFC 6040 §4.1
    expect(compatible[(inner << 2) | ecn]).toBe(outer << 2); // RFC 6040 §4.3
  }
});

test("what a router marks (TOS 0xC0 of control traffic) is seen outside when it is copied", () => {
  expect(outerTosTable({ kind: "copy" }, "normal")[0xc0]).toBe(0xc0);
});
