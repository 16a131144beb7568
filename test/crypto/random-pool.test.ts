import { expect, test } from "vitest";
import { toHex } from "../../src/bytes.ts";
import { RandomPool } from "../../src/crypto/random-pool.ts";

test("of any length, and never the same twice", () => {
  const pool = new RandomPool();
  const seen = new Set<string>();
  for (let n = 0; n < 2000; n++) {
    const length = 8 + (n % 40);
    const octets = pool.take(length);
    expect(octets).toHaveLength(length);
    seen.add(toHex(octets));
  }
  expect(seen.size).toBe(2000);
  expect(pool.take(0)).toHaveLength(0);
  expect(pool.take(10_000).filter((octet) => octet === 0).length).toBeLessThan(200);
});
