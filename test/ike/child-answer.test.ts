/** Which child an offer is for, where the selectors of several would do (RFC 7296 §2.9). */
import { expect, test } from "vitest";
import { chooseChild } from "../../src/ike/child-answer.ts";
import type { ChildSa } from "../../src/ike/child-sa.ts";
import type { ChildConfig } from "../../src/ike/connection.ts";
import type { Payload } from "../../src/ike/message.ts";
import { offerEsp } from "../../src/ike/proposal.ts";
import type { TrafficSelector } from "../../src/ipsec/selector.ts";
import { child, selectors } from "../support/two-peers.ts";

const side = (text: string) => ({ local: selectors(text), remote: selectors(text) });
const wide = child({ name: "wide", ...side("0.0.0.0/0") });
const narrow = child({ name: "narrow", ...side("10.1.0.0/16") });

const offer = (tsi: readonly TrafficSelector[], tsr = tsi): Payload[] => [
  { kind: "SA", value: offerEsp(wide.proposals, 0x1234, { withKe: true }) },
  { kind: "TSi", value: { selectors: tsi } },
  { kind: "TSr", value: { selectors: tsr } },
];

const PATH = {
  local: { address: "192.0.2.1", port: 500 },
  remote: { address: "192.0.2.2", port: 500 },
};

/** The child that is chosen while those of `up` have a pair. */
const chosen = (payloads: Payload[], children: readonly ChildConfig[], ...up: readonly ChildConfig[]): string => {
  const pairsOf = (config: ChildConfig) => (up.includes(config) ? [{ facts: config } as unknown as ChildSa] : []);
  return chooseChild(payloads, children, { withKe: true, path: PATH, encap: false, pairsOf, mayBeSeveral: false })
    .config.name;
};

test.each([[[wide, narrow]], [[narrow, wide]]])("the one whose selectors are offered, whatever is up", (children) => {
  for (const up of [[], [wide], [narrow], [wide, narrow]]) {
    expect(chosen(offer(wide.local), children, ...up)).toBe("wide");
    expect(chosen(offer(narrow.local), children, ...up)).toBe("narrow");
  }
});

test("of two with the same selectors the one that has no pair yet", () => {
  const twin = child({ name: "twin", ...side("10.1.0.0/16") });
  expect(chosen(offer(narrow.local), [narrow, twin])).toBe("narrow");
  expect(chosen(offer(narrow.local), [narrow, twin], narrow)).toBe("twin");
});

test("where the offer is no child's own, one without a pair", () => {
  expect(chosen(offer(selectors("10.1.2.0/24")), [narrow, wide], narrow)).toBe("wide");
  expect(chosen(offer(selectors("10.1.2.0/24")), [narrow, wide])).toBe("narrow");
});
