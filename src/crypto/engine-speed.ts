/**
 * How fast an engine is here, in a few milliseconds: enough to tell engines apart that differ by factors. For figures
 * that are worth printing run `bench/engines.ts`.
 */
import { type Engine, type EngineDriver, type EngineName, OP_SCRATCH, Ops } from "./engine.ts";
import { ESP_HEADER } from "./esp-inputs.ts";
import type { Suite } from "./suites.ts";

/** One engine sealing one suite. */
export interface Measurement {
  readonly engine: EngineName;
  readonly suite: string;
  /** Nanoseconds a packet of `TEXT` octets, the best of some batches. */
  readonly nsPerPacket: number;
}

const BATCH = 32;
const TEXT = 1408; // near a full packet on Ethernet, and whole blocks
const STRIDE = 1536;
const BUDGET = 2_000_000n; // ns for each suite
const WARM_UP = 500_000n; // ns of it that do not count

/** Measure one suite of each cipher among `suites`. The driver must be available. */
export const measure = (driver: EngineDriver, suites: readonly Suite[]): Measurement[] => {
  const scratchAt = BATCH * STRIDE;
  const ops = new Ops(new Uint8Array(new SharedArrayBuffer(scratchAt + BATCH * OP_SCRATCH)), scratchAt, BATCH);
  const engine = driver.open(ops.slab, BATCH);
  try {
    return onePerCipher(suites).map((suite) => ({
      engine: driver.name,
      suite: suite.name,
      nsPerPacket: bestOf(engine, ops, suite),
    }));
  } finally {
    engine.close();
  }
};

const onePerCipher = (suites: readonly Suite[]): Suite[] =>
  suites.filter((suite, i) => suites.findIndex(({ cipher }) => cipher === suite.cipher) === i);

const bestOf = (engine: Engine, ops: Ops, suite: Suite): number => {
  const key = engine.expand(suite, new Uint8Array(suite.keyLength), false);
  ops.count = BATCH;
  for (let i = 0; i < BATCH; i++) {
    ops.keys[i] = key;
    ops.headAt[i] = i * STRIDE;
    ops.textAt[i] = i * STRIDE + ESP_HEADER + suite.ivLength;
    ops.textLength[i] = TEXT;
  }
  const begin = process.hrtime.bigint();
  let best = Number.POSITIVE_INFINITY;
  for (let now = begin; now - begin < BUDGET; ) {
    engine.seal(ops);
    const after = process.hrtime.bigint();
    if (now - begin >= WARM_UP || after - begin >= BUDGET) best = Math.min(best, Number(after - now) / BATCH);
    now = after;
  }
  engine.release(key);
  return best;
};
