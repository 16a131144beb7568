import { describe, expect, test } from "vitest";
import type { Engine, EngineDriver, Key, Ops } from "../../src/crypto/engine.ts";
import type { measure } from "../../src/crypto/engine-speed.ts";
import { noble } from "../../src/crypto/engines/noble.ts";
import { node } from "../../src/crypto/engines/node.ts";
import { failedAnswer, KNOWN_ANSWERS, knownAnswers } from "../../src/crypto/known-answers.ts";
import { describeChoice, driverByName, ENGINE_DRIVERS, selectEngine } from "../../src/crypto/select-engine.ts";
import { SUITES, suiteByName } from "../../src/crypto/suites.ts";
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
      seal: (ops: Ops) => engine.seal(ops),
      open: (ops: Ops) => engine.open(ops),
      close: () => engine.close(),
    };
    return { ...own, ...wrap(engine) };
  },
});

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
    expect(choice.driver.unavailable()).toBeUndefined();
    const lines = describeChoice(choice);
    expect(lines.at(-1)).toContain(`engine ${choice.driver.name}: ${choice.driver.describe()}`);
    expect(lines).toHaveLength(choice.refused.length + 1);
  });

  test("auto takes the faster one, whatever their order", () => {
    const pace = { node: 3000, noble: 30_000, openssl: 500, "ipsec-mb": 300 };
    const speedOf: typeof measure = ({ name }) => [{ engine: name, suite: GCM.name, nsPerPacket: pace[name] }];
    for (const drivers of [
      [node, noble],
      [noble, node],
    ]) {
      const { driver, measured, refused } = selectEngine("auto", [GCM], drivers, speedOf);
      expect(driver.name).toBe("node");
      expect(measured?.map(({ engine }) => engine).sort()).toEqual(["noble", "node"]);
      expect(refused).toEqual([]);
    }
  });

  test("what is measured is a time for each engine that was asked", () => {
    const { measured } = selectEngine("auto", [GCM], [node, noble]);
    expect(measured?.map(({ engine, suite }) => `${engine} ${suite}`)).toEqual([
      `node ${GCM.name}`,
      `noble ${GCM.name}`,
    ]);
    for (const { nsPerPacket } of measured ?? []) expect(nsPerPacket).toBeGreaterThan(0);
  });

  test("a missing library is a reason, not an error", () => {
    const missing = changed({ name: "ipsec-mb", unavailable: () => "libIPSec_MB.so.1: no such file" });
    const choice = selectEngine("auto", [GCM], [missing, noble]);
    expect(choice.driver.name).toBe("noble");
    expect(choice.measured).toBeUndefined(); // there was no choice
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
    const { driver, refused } = selectEngine("auto", [GCM], [changed({ name: "openssl" }, spoil), noble]);
    expect(driver.name).toBe("noble");
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
    expect(failedAnswer(partial, SUITES)).toBe("does not support aes256gcm16");
  });

  test("an engine that was asked for by name and cannot run is an error with a remedy", () => {
    const missing = changed({ name: "ipsec-mb", unavailable: () => "libIPSec_MB.so.1: no such file" });
    const error = thrownBy(() => selectEngine("ipsec-mb", [GCM], [missing, noble]));
    expect(error.code).toBe("ESPALIER_PLATFORM");
    expect(error.message).toContain("libIPSec_MB.so.1: no such file");
    expect(error.remedy).toContain("apt-get install libipsec-mb1");
  });

  test("no engine at all is an error that has every reason", () => {
    const first = changed({ name: "ipsec-mb", unavailable: () => "first reason" });
    const second = changed({ name: "openssl", unavailable: () => "second reason" });
    const error = thrownBy(() => selectEngine("auto", [GCM], [first, second]));
    expect(error.code).toBe("ESPALIER_PLATFORM");
    expect(error.message).toMatch(/ipsec-mb: first reason; openssl: second reason/);
  });

  test("an engine asked for by name is taken without measuring", () => {
    const choice = selectEngine("noble", [GCM]);
    expect(choice).toEqual({ driver: noble, refused: [], measured: undefined });
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
