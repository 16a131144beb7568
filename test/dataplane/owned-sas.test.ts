import koffi from "koffi";
import { expect, test } from "vitest";
import { driverByName } from "../../src/crypto/select-engine.ts";
import { suiteByName } from "../../src/crypto/suites.ts";
import { Arena } from "../../src/dataplane/arena.ts";
import { saPath } from "../../src/dataplane/child-sa.ts";
import { OwnedRow, OwnedSas } from "../../src/dataplane/owned-sas.ts";
import { Sad } from "../../src/ipsec/sad.ts";
import { anySelectors } from "../../src/ipsec/selector.ts";
import { Spd } from "../../src/ipsec/spd.ts";

const suite = suiteByName("aes128gcm16")!;
const PATH = saPath({ local: { address: "192.0.2.1", port: 0 }, remote: { address: "192.0.2.2", port: 0 } }, -1);

const make = () => {
  const [sad, spd] = [Sad.create(64), Spd.create(64)];
  const { slab, ops } = new Arena();
  const owned = new OwnedSas(sad, spd, driverByName("node").open(slab, ops.capacity));
  const publish = (record: number, spi: number) => {
    const key = new Uint8Array(suite.keyLength);
    sad.publish(record, { spi, suite, esn: true, encap: false, tunnel: 0, window: 64, key, path: PATH });
  };
  spd.set(5, anySelectors, anySelectors);
  const row = (record: number) => owned.rows.subarray(record * OwnedRow.WORDS, (record + 1) * OwnedRow.WORDS);
  return { sad, owned, publish, row };
};

test("a row is a cache line, of the same memory with signs and without", () => {
  const { owned } = make();
  expect(Number(koffi.address(owned.rows)) % 64).toBe(0);
  expect(koffi.address(owned.fronts)).toBe(koffi.address(owned.rows));
  expect([owned.rows.length, owned.fronts.length]).toEqual([128 * OwnedRow.WORDS, 128 * OwnedRow.WORDS]);
});

test("a row says what a packet asks for one generation of its record, and nothing once its key is released", () => {
  const { sad, owned, publish, row } = make();
  expect(owned.key(5)).toBe(0);
  publish(5, 0xf000_0005);
  const handle = owned.key(5);
  expect(handle).not.toBe(0);
  expect(row(5)[OwnedRow.GENERATION]).toBe(sad.generation(5));
  expect([row(5)[OwnedRow.KEY], row(5)[OwnedRow.SPI]! >>> 0, row(5)[OwnedRow.WINDOW]]).toEqual([
    handle,
    0xf000_0005,
    64,
  ]);
  expect(row(5)[OwnedRow.MET]).toBe(0);
  owned.meet(5);
  expect(row(5)[OwnedRow.MET]).toBe(1);

  sad.withdraw(5);
  expect(owned.key(5)).toBe(0);
  expect(row(5)[OwnedRow.KEY]).toBe(handle); // still to be released
  owned.forget(5);
  expect(row(5).every((word) => word === 0)).toBe(true);

  publish(5, 0x1000_0005);
  expect(owned.key(5)).not.toBe(handle);
  expect(row(5)[OwnedRow.SPI]).toBe(0x1000_0005);
  expect(row(5)[OwnedRow.MET]).toBe(0);
  owned.close();
  expect(owned.rows.every((word) => word === 0)).toBe(true);
});
