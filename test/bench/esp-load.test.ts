import { expect, test } from "vitest";
import { EspLoad } from "../../src/bench/esp-load.ts";
import { tablesOf } from "../../src/bench/esp-tables.ts";
import type { EngineName } from "../../src/crypto/engine.ts";
import { suitesDoneBy } from "../../src/crypto/select-engine.ts";
import { SUITES } from "../../src/crypto/suites.ts";

const make = ({
  suite = SUITES[0]!,
  sas = 1,
  train = 1,
  esn = false,
  size = 100,
  engine = "node" as EngineName,
  batch = 64,
}) => {
  const tables = tablesOf({ suite, esn, window: 64, pairs: sas });
  const load = new EspLoad({
    memory: tables.shared,
    worker: 0,
    workers: 1,
    sas,
    train,
    engine,
    suite,
    esn,
    size,
    batch,
  });
  return { tables, load };
};

test.each([1, 65, 256])("batches of %i packets are sealed and opened as they were", (batch) => {
  const { load } = make({ batch, size: 1400 });
  load.check();
  load.open();
  load.checkOpened();
  expect(load.opened()).toEqual({ packets: 2 * batch, drops: 0 });
});

test("every opened packet is a fresh one, and all are counted", () => {
  const { tables, load } = make({ sas: 3 });
  for (let batch = 0; batch < 10; batch++) load.open();
  expect(load.opened()).toEqual({ packets: 640, drops: 0 });
  expect(load.sealed()).toEqual({ packets: 640, drops: 0 });
  const tops = [0, 1, 2].map((slot) => tables.sad.top(slot));
  expect(tops.reduce((a, b) => a + b)).toBe(640);
  expect(Math.max(...tops) - Math.min(...tops)).toBeLessThanOrEqual(1);
  load.checkOpened();
  load.close();
});

test("SAs have packets in turns, a train each, whatever a batch is long", () => {
  const { tables, load } = make({ sas: 3, train: 10, batch: 16 });
  const sent = (): number[] => [0, 1, 2].map((slot) => tables.sad.top(tables.sad.outbound(slot)));
  load.seal();
  expect(sent()).toEqual([10, 6, 0]);
  load.seal();
  expect(sent()).toEqual([12, 10, 10]);
  load.meetAll();
  expect(Math.min(...sent())).toBeGreaterThanOrEqual(20);
  load.close();
});

test.for(SUITES)("$name: what is sealed is opened to what it was, and another engine agrees", (suite, context) => {
  const engine = (["node", "noble", "ipsec-mb"] as const).find((name) => suitesDoneBy(name).includes(suite));
  if (engine === undefined) return context.skip(`no engine here does ${suite.name}`);
  for (const esn of [false, true]) {
    const { load } = make({ suite, esn, engine });
    load.check();
    load.close();
  }
});

test("packets that do not pass are counted, and the check says so", () => {
  const { tables, load } = make({});
  load.open();
  tables.sad.setTop(0, 1_000_000); // of the inbound SA: what comes now is older than its window
  load.open();
  expect(load.opened()).toEqual({ packets: 64, drops: 64 });
  expect(() => load.check()).toThrow("node did not open what it sealed: aes128gcm16, 100 octets");
  load.close();
});

test("an opener with another key is found out", () => {
  const { tables, load } = make({});
  tables.sad.key(0, 1)[0]! ^= 1;
  expect(() => load.check()).toThrow("node does not open what node sealed: aes128gcm16 (integ-error)");
  load.close();
});
