import { describe, expect, test } from "vitest";
import type { Engine, EngineDriver, Key, Ops } from "../../src/crypto/engine.ts";
import type { Measurement, measure } from "../../src/crypto/engine-speed.ts";
import { noble } from "../../src/crypto/engines/noble.ts";
import { node } from "../../src/crypto/engines/node.ts";
import { failedAnswer, knownAnswers } from "../../src/crypto/known-answers.ts";
import { KNOWN_ANSWERS } from "../../src/crypto/known-packets.ts";
import { describeChoice, driverByName, ENGINE_DRIVERS, selectEngine } from "../../src/crypto/select-engine.ts";
import { SUITES, type Suite, suiteByName } from "../../src/crypto/suites.ts";
import { EspalierError } from "../../src/errors.ts";

const GCM = suiteByName("aes256gcm16")!;

/** A driver whose engines are node's, but for what the test changes. */
const changed = (
  changes: Partial<EngineDriver>,
  wrap: (engine: Engine) => Partial<Engine> = () => ({}),
): EngineDriver => ({
  ...node,
  ...changes,
  open: (slab, capacity) => {
    const engine = node.open(slab, capacity);
    const own: Engine = {
      name: changes.name ?? "node",
      supports: (suite) => engine.supports(suite),
      expand: (suite, key, esn) => engine.expand(suite, key, esn),
      release: (key: Key) => engine.release(key),
      suiteOf: (handle) => engine.suiteOf(handle),
      seal: (ops: Ops) => engine.seal(ops),
      open: (ops: Ops) => engine.open(ops),
      close: () => engine.close(),
    };
    return { ...own, ...wrap(engine) };
  },
});

/** Measurements that the test makes up. */
const speeds =
  (nsPerPacket: (driver: EngineDriver, suite: Suite) => number): typeof measure =>
  (driver, suites) =>
    suites.map((suite) => ({ engine: driver.name, suite: suite.name, nsPerPacket: nsPerPacket(driver, suite) }));

const thrownBy = (body: () => unknown): EspalierError => {
  try {
    body();
  } catch (error) {
    if (error instanceof EspalierError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
};

describe("choice", () => {
  test("auto takes an engine that runs here, and says which and why", () => {
    const choice = selectEngine("auto", SUITES);
    for (const driver of choice.drivers) expect(driver.unavailable()).toBeUndefined();
    expect(Object.keys(choice.plan)).toEqual(SUITES.map(({ name }) => name));
    const lines = describeChoice(choice);
    const [first] = choice.drivers;
    expect(lines[choice.refused.length]).toContain(`engine ${first?.name}: ${first?.describe()}`);
    expect(lines).toHaveLength(choice.refused.length + choice.drivers.length);
  });

  test("auto takes the faster one, whatever their order", () => {
    const pace = { node: 3000, noble: 30_000, openssl: 500, "ipsec-mb": 300 };
    const speedOf = speeds(({ name }) => pace[name]);
    for (const drivers of [
      [node, noble],
      [noble, node],
    ]) {
      const choice = selectEngine("auto", [GCM], { drivers, speedOf });
      expect(choice.plan).toEqual({ [GCM.name]: "node" });
      expect(choice.drivers).toEqual([node]);
      expect(choice.basis).toBe("measured");
      expect(choice.measured.map(({ engine }) => engine).sort()).toEqual(["noble", "node"]);
      expect(choice.refused).toEqual([]);
    }
  });

  test("auto takes the fastest for each suite, and what one alone can do it does", () => {
    const cbc = suiteByName("aes128-sha256")!;
    const poor = changed({ name: "openssl" }, () => ({ supports: (suite) => suite !== cbc }));
    const speedOf = speeds((driver, suite) => ((driver.name === "noble") === (suite.cipher === "aes-gcm") ? 100 : 900));
    const { plan, drivers } = selectEngine("auto", [GCM, cbc], { drivers: [node, noble], speedOf });
    expect(plan).toEqual({ aes256gcm16: "noble", "aes128-sha256": "node" });
    expect(drivers.map(({ name }) => name).sort()).toEqual(["noble", "node"]);
    const both = selectEngine("auto", [GCM, cbc], {
      drivers: [poor, noble],
      speedOf: speeds(({ name }) => name.length),
    });
    expect(both.plan).toEqual({ aes256gcm16: "noble", "aes128-sha256": "noble" });
    expect(both.measured.map(({ suite }) => suite)).toEqual(["aes128gcm16", "aes128gcm16"]);
  });

  test("a suite that no engine here can do is an error that names it", () => {
    const poor = changed({ name: "openssl" }, () => ({ supports: () => false }));
    const error = thrownBy(() => selectEngine("auto", [GCM], { drivers: [poor] }));
    expect(error.message).toBe("no engine can do aes256gcm16 here");
  });

  test("what is in the cache is not measured again, what is not is measured and kept", () => {
    let kept: readonly Measurement[] = [];
    const cache = {
      read: () => kept,
      write: (measured: readonly Measurement[]) => {
        kept = measured;
      },
    };
    let runs = 0;
    const speedOf = speeds(({ name }) => {
      runs++;
      return name === "noble" ? 1 : 2;
    });
    const options = { drivers: [node, noble], speedOf, cache };
    expect(selectEngine("auto", [GCM], options).basis).toBe("measured");
    expect(runs).toBe(2);
    const again = selectEngine("auto", [GCM], options);
    expect(again).toMatchObject({ basis: "cache", plan: { aes256gcm16: "noble" }, drivers: [noble] });
    expect(describeChoice(again)[0]).toContain("as measured here before (aes128gcm16 1 ns)");
    expect(runs).toBe(2);
    expect(selectEngine("auto", [suiteByName("aes128-sha256")!], options).basis).toBe("measured");
    expect(runs).toBe(4);
    kept = kept.filter(({ engine }) => engine !== "noble");
    expect(selectEngine("auto", [suiteByName("aes128-sha256")!], options).basis).toBe("measured");
  });

  test("an engine of the cache that gives a wrong answer now is not taken", () => {
    const cache = {
      read: (): Measurement[] => [{ engine: "openssl", suite: "aes128gcm16", nsPerPacket: 1 }],
      write: () => {},
    };
    const deaf = changed({ name: "openssl" }, () => ({ seal: () => {} }));
    const { plan, refused } = selectEngine("auto", [GCM], { drivers: [deaf, noble], cache });
    expect(plan).toEqual({ aes256gcm16: "noble" });
    expect(refused[0]?.name).toBe("openssl");
  });

  test("what is measured is a time for each engine that was asked", () => {
    const { measured } = selectEngine("auto", [GCM], { drivers: [node, noble] });
    expect(measured.map(({ engine, suite }) => `${engine} ${suite}`)).toEqual([
      "node aes128gcm16",
      "noble aes128gcm16",
    ]);
    for (const { nsPerPacket } of measured) expect(nsPerPacket).toBeGreaterThan(0);
  });

  test("a missing library is a reason, not an error", () => {
    const missing = changed({ name: "ipsec-mb", unavailable: () => "libIPSec_MB.so.1: no such file" });
    const choice = selectEngine("auto", [GCM], { drivers: [missing, noble] });
    expect(choice).toMatchObject({ drivers: [noble], basis: "only", measured: [] });
    expect(describeChoice(choice)).toEqual([
      "engine ipsec-mb refused: libIPSec_MB.so.1: no such file",
      expect.stringContaining("engine noble: "),
    ]);
  });

  test("an engine that seals wrongly is refused by name of the suite", () => {
    const spoil = (engine: Engine): Partial<Engine> => ({
      seal: (ops) => {
        engine.seal(ops);
        ops.slab[ops.headAt[0]! + 20] = ops.slab[ops.headAt[0]! + 20]! ^ 1;
      },
    });
    const { drivers, refused } = selectEngine("auto", [GCM], { drivers: [changed({ name: "openssl" }, spoil), noble] });
    expect(drivers).toEqual([noble]);
    expect(refused).toEqual([{ name: "openssl", reason: "aes256gcm16: a sealed packet differs" }]);
  });

  test("an engine that opens anything is refused", () => {
    const gullible = (engine: Engine): Partial<Engine> => ({
      open: (ops) => {
        engine.open(ops);
        ops.ok.fill(1);
      },
    });
    expect(failedAnswer(changed({}, gullible), [GCM])).toBe("aes256gcm16: a forged packet was opened");
  });

  test("an engine that throws, or lacks a suite, is refused", () => {
    const broken: EngineDriver = {
      ...node,
      open: () => {
        throw new Error("no such device");
      },
    };
    expect(failedAnswer(broken, [GCM])).toBe("failed in its self test: no such device");
    const partial = changed({}, () => ({ supports: (suite) => suite !== GCM }));
    expect(failedAnswer(partial, [GCM, suiteByName("aes128gcm16")!])).toBe("does not support aes256gcm16");
  });

  test("an engine that was asked for by name and cannot run is an error with a remedy", () => {
    const missing = changed({ name: "ipsec-mb", unavailable: () => "libIPSec_MB.so.1: no such file" });
    const error = thrownBy(() => selectEngine("ipsec-mb", [GCM], { drivers: [missing, noble] }));
    expect(error.code).toBe("ESPALIER_PLATFORM");
    expect(error.message).toContain("libIPSec_MB.so.1: no such file");
    expect(error.remedy).toContain("apt-get install libipsec-mb1");
  });

  test("no engine at all is an error that has every reason", () => {
    const first = changed({ name: "ipsec-mb", unavailable: () => "first reason" });
    const second = changed({ name: "openssl", unavailable: () => "second reason" });
    const error = thrownBy(() => selectEngine("auto", [GCM], { drivers: [first, second] }));
    expect(error.code).toBe("ESPALIER_PLATFORM");
    expect(error.message).toMatch(/ipsec-mb: first reason; openssl: second reason/);
  });

  test("an engine asked for by name is taken without measuring", () => {
    const choice = selectEngine("noble", [GCM]);
    expect(choice).toEqual({
      plan: { [GCM.name]: "noble" },
      drivers: [noble],
      refused: [],
      basis: "named",
      measured: [],
    });
  });

  test("engines are found by name", () => {
    for (const driver of ENGINE_DRIVERS) expect(driverByName(driver.name)).toBe(driver);
    expect(thrownBy(() => driverByName("rot13")).code).toBe("ESPALIER_USAGE");
  });
});

test("there are known answers for every suite, with ESN and without", () => {
  for (const suite of SUITES) {
    const kinds = knownAnswers(suite).map(({ seqHigh }) => seqHigh !== undefined);
    expect(new Set(kinds), suite.name).toEqual(new Set([true, false]));
  }
  expect(KNOWN_ANSWERS.every(({ suite }) => suiteByName(suite) !== undefined)).toBe(true);
});
