import { expect, test } from "vitest";
import { suiteByName } from "../../src/crypto/suites.ts";
import { childSize } from "../../src/gateway/child-size.ts";
import { Oversize } from "../../src/ipsec/sad.ts";
import { parseSelector } from "../../src/ipsec/selector.ts";

const sa = (changes: Partial<Parameters<typeof childSize>[0]> = {}) => ({
  suite: suiteByName("aes256gcm16")!,
  encap: false,
  mode: "tunnel" as const,
  path: { local: { address: "192.0.2.1", port: 500 }, remote: { address: "192.0.2.2", port: 500 } },
  local: [parseSelector("10.1.0.0/16")!],
  tfcRefused: false,
  ...changes,
});

const PLAIN = { fragment: "before", df: "copy", tfc: { kind: "none" } } as const;
const V6 = { local: [parseSelector("::/0")!] };

test("what fits a path of 1500 octets is what the interface takes, and larger packets are fragmented before", () => {
  expect(childSize(sa(), PLAIN, 1500)).toEqual({
    size: { mtu: 1446, oversize: Oversize.BEFORE, tfc: 0 },
    mtu: { fits: 1446, takes: 1446 },
  });
});

test("with IPv6 the interface takes 1280 octets at least, whatever fits", () => {
  expect(childSize(sa(V6), PLAIN, 1280)).toMatchObject({ size: { mtu: 1226 }, mtu: { fits: 1226, takes: 1280 } });
});

test.each([
  [{ ...PLAIN, fragment: "after" }, Oversize.AFTER],
  [{ ...PLAIN, df: "clear" }, Oversize.AFTER_DF],
] as const)(
  "where packets are sealed whole the interface takes what the outer path takes: %j",
  (settings, oversize) => {
    expect(childSize(sa(), settings, 1500)).toMatchObject({
      size: { mtu: 1446, oversize },
      mtu: { fits: 1446, takes: 1500 },
    });
  },
);

test("padding is what the settings say, unless the peer takes none", () => {
  const padded = { ...PLAIN, tfc: { kind: "multiple", octets: 256 } } as const;
  expect(childSize(sa(), padded, 1500).size.tfc).toBe(256);
  expect(childSize(sa({ tfcRefused: true }), padded, 1500).size.tfc).toBe(0);
});
