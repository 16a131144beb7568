/**
 * How fast an engine is here, found out in some milliseconds: enough to tell engines apart. For figures that are worth
 * printing run `bench/engines.ts`.
 */
import { type Engine, type EngineDriver, type EngineName, OP_SCRATCH, Ops } from "./engine.ts";
import { ESP_HEADER } from "./esp-inputs.ts";
import type { Suite } from "./suites.ts";

/** One engine sealing one suite. */
export interface Measurement {
  readonly engine: EngineName;
  /** Name of the suite: it stands for its family. */
  readonly suite: string;
  /** Nanoseconds a packet of `TEXT` octets: the best batch. */
  readonly nsPerPacket: number;
}

const BATCH = 16;
const TEXT = 1408; // near a full packet on Ethernet, and whole blocks
const STRIDE = 1536;
const BUDGET = 60; // ms for an engine: V8 needs about 40 before it has compiled the loops around the native calls
const GLANCE = 3; // ms after which an engine that is far behind is given up; one batch of each suite at least
const FAR = 4; // times slower than the best, with every suite

/**
 * Measure `suites`, those that the engine supports, taking turns. The driver must be available. `rivals` are
 * measurements of other engines: one that is far slower than they are is not worth the whole time.
 */
export const measure = (
  driver: EngineDriver,
  suites: readonly Suite[],
  rivals: readonly Measurement[] = [],
): Measurement[] => {
  const scratchAt = BATCH * STRIDE;
  const slab = new Uint8Array(new SharedArrayBuffer(scratchAt + BATCH * OP_SCRATCH));
  const engine = driver.open(slab, BATCH);
  try {
    const able = suites.filter((suite) => engine.supports(suite));
    const runs = able.map((suite) => ({
      ops: batchOf(engine, slab, scratchAt, suite),
      suite,
      best: Number.POSITIVE_INFINITY,
      rival: bestOf(suite, rivals),
    }));
    const begin = performance.now();
    let allowed = BUDGET;
    for (let now = begin; now - begin < allowed; ) {
      for (const run of runs) {
        const before = performance.now();
        engine.seal(run.ops);
        run.best = Math.min(run.best, ((performance.now() - before) * 1e6) / BATCH);
      }
      now = performance.now();
      allowed = runs.every(({ best, rival }) => best > rival * FAR) ? GLANCE : BUDGET;
    }
    return runs.map(({ suite, best }) => ({ engine: driver.name, suite: suite.name, nsPerPacket: best }));
  } finally {
    engine.close();
  }
};

const bestOf = ({ name }: Suite, measured: readonly Measurement[]): number =>
  Math.min(...measured.filter(({ suite }) => suite === name).map(({ nsPerPacket }) => nsPerPacket));

const batchOf = (engine: Engine, slab: Uint8Array, scratchAt: number, suite: Suite): Ops => {
  const ops = new Ops(slab, scratchAt, BATCH);
  const key = engine.expand(suite, new Uint8Array(suite.keyLength), false);
  ops.count = BATCH;
  for (let i = 0; i < BATCH; i++) {
    ops.keys[i] = key.handle;
    ops.headAt[i] = i * STRIDE;
    ops.textAt[i] = i * STRIDE + ESP_HEADER + suite.ivLength;
    ops.textLength[i] = TEXT;
  }
  return ops;
};
