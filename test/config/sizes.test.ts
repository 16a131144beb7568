import { expect, test } from "vitest";
import { ConfigError } from "../../src/config/config-error.ts";
import { describeConfig } from "../../src/config/describe.ts";
import { parseConfig } from "../../src/config/load.ts";

const withChild = (settings: string): string => `
connections:
  branch:
    local: { address: 192.0.2.1 }
    remote: { address: 192.0.2.2 }
    psk: "0123456789abcdefghijklmnopqrstuvwxyz"
    children:
      net: { ${settings}interface: { name: esp0 } }
`;

const child = (settings: string) => parseConfig(withChild(settings)).connections[0]!.children[0]!;

test("packets are neither padded nor hidden among dummies unless a child says so", () => {
  expect(child("")).toMatchObject({
    df: "copy",
    fragment: "before",
    tfc: { kind: "none" },
    dummies: undefined,
    refuseTfc: false,
    icmpErrors: true,
  });
});

test.each([
  ["df: clear, ", { df: "clear" }],
  ["fragment: after, ", { fragment: "after" }],
  ["tfc: mtu, ", { tfc: { kind: "full" } }],
  ["tfc: 512, ", { tfc: { kind: "multiple", octets: 512 } }],
  ["dummies: 40ms, ", { dummies: 40 }],
  ["dummies: 1h, ", { dummies: 3_600_000 }],
  ["refuse_tfc: yes, ", { refuseTfc: true }],
  ["icmp_errors: no, ", { icmpErrors: false }],
])("%s", (settings, expected) => {
  expect(child(settings)).toMatchObject(expected);
});

test.each([
  ["df: maybe, ", 'expected one of copy, set, clear, found "maybe"'],
  ["fragment: never, ", 'expected one of before, after, found "never"'],
  ["tfc: 1, ", "expected none, mtu or a whole number from 2 to 9472, found 1"],
  ["tfc: 9473, ", "expected none, mtu or a whole number from 2 to 9472, found 9473"],
  ["dummies: 39ms, ", 'expected off or a duration from 40ms to 1h such as 30s, found "39ms"'],
  ["refuse_tfc: perhaps, ", 'expected yes or no, found "perhaps"'],
  ["icmp_errors: some, ", 'expected yes or no, found "some"'],
])("%s is refused with what is allowed", (settings, message) => {
  expect(() => child(settings)).toThrow(ConfigError);
  expect(() => child(settings)).toThrow(message);
});

test("check says what a child's packets look like", () => {
  const config = parseConfig(withChild("tfc: 256, dummies: 1s, df: set, refuse_tfc: yes, "));
  const text = describeConfig(config);
  expect(text).toContain("DF set");
  expect(text).toContain(
    "fragmented before sealing, padded to multiples of 256 octets, a dummy each 1s, the peer is to pad none",
  );
  expect(text).not.toContain("ICMP");
  expect(describeConfig(parseConfig(withChild("icmp_errors: no, ")))).toContain(
    "ICMP errors only within the selectors",
  );
});
