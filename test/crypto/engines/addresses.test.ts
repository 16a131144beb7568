/** The table of addresses that native calls are given. */
import { expect, test } from "vitest";
import { Addresses } from "../../../src/crypto/engines/addresses.ts";

const BASE = 0x7f12_3456_7000;

test("every offset has its address, whatever was asked for before", () => {
  const addresses = new Addresses(BASE);
  const offsets = [0, 1, 64, 0x7fff_ffff];
  for (let i = 0; i < 20_000; i++) offsets.push((i * 7919) % 9_999_991, i * 64);
  for (const offset of offsets) expect(addresses.at(offset)).toBe(BASE + offset);
  for (const offset of offsets.reverse()) expect(addresses.at(offset)).toBe(BASE + offset);
});
