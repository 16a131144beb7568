import { expect, test } from "vitest";
import { nearest } from "../../src/config/suggest.ts";

const KEYS = ["local", "remote", "psk", "psk_file", "start", "encap", "proposals", "lifetime", "liveness", "children"];

test.each([
  ["proposal", "proposals"],
  ["lifetmie", "lifetime"],
  ["Local", "local"],
  ["pks", "psk"],
  ["childs", undefined],
  ["bananas", undefined],
  ["", undefined],
])("%j is taken for %j", (word, meant) => {
  expect(nearest(word, KEYS)).toBe(meant);
});
