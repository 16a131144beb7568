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

const BATCH = 16;
const TEXT = 1408; // near a full packet on Ethernet, and whole blocks
const STRIDE = 1536;
const BUDGET = 15; // ms for each suite: the compiler needs some before a figure is worth anything
const GLANCE = 3; // ms after which an engine far behind is given up; one batch at least
const FAR = 4; // times slower than the best

/**
 * Measure one suite of each cipher among `suites`. The driver must be available. Where `before` knows an engine that is
 * much faster, a glance is enough.
 */
export const measure = (
  driver: EngineDriver,
  suites: readonly Suite[],
  before: readonly Measurement[] = [],
): Measurement[] => {
  const scratchAt = BATCH * STRIDE;
  const ops = new Ops(new Uint8Array(new SharedArrayBuffer(scratchAt + BATCH * OP_SCRATCH)), scratchAt, BATCH);
  const engine = driver.open(ops.slab, BATCH);
  try {
    return onePerCipher(suites).map((suite) => ({
      engine: driver.name,
      suite: suite.name,
      nsPerPacket: bestOf(engine, ops, suite, fastest(suite, before)),
    }));
  } finally {
    engine.close();
  }
};

const onePerCipher = (suites: readonly Suite[]): Suite[] =>
  suites.filter((suite, i) => suites.findIndex(({ cipher }) => cipher === suite.cipher) === i);

const fastest = ({ name }: Suite, before: readonly Measurement[]): number =>
  before.reduce((least, { suite, nsPerPacket }) => (suite === name ? Math.min(least, nsPerPacket) : least), Infinity);

const bestOf = (engine: Engine, ops: Ops, suite: Suite, rival: number): number => {
  const key = engine.expand(suite, new Uint8Array(suite.keyLength), false);
  ops.count = BATCH;
  for (let i = 0; i < BATCH; i++) {
    ops.keys[i] = key;
    ops.headAt[i] = i * STRIDE;
    ops.textAt[i] = i * STRIDE + ESP_HEADER + suite.ivLength;
    ops.textLength[i] = TEXT;
  }
  const begin = performance.now();
  let best = Infinity; // the first batches pay for being the first
  for (let now = begin; now - begin < (best > rival * FAR ? GLANCE : BUDGET); ) {
    engine.seal(ops);
    const after = performance.now();
    best = Math.min(best, ((after - now) * 1e6) / BATCH);
    now = after;
  }
  engine.release(key);
  return best;
};
