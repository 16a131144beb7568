/** Engines of the calling thread: one by its name, or those of a plan as one. */
import type { Engine, EngineDriver, EngineName } from "../crypto/engine.ts";
import { type EnginePlan, enginesOf } from "../crypto/engine-plan.ts";
import { RoutedEngine } from "../crypto/engines/routed-engine.ts";
import { driverByName, ENGINE_DRIVERS } from "../crypto/select-engine.ts";
import { SUITES, type Suite } from "../crypto/suites.ts";
import { EspalierError } from "../errors.ts";

/** Throws ESPALIER_PLATFORM when an engine cannot run here, ESPALIER_USAGE when there is none of that name. */
export const openEngine = (engine: EngineName | EnginePlan, slab: Uint8Array, capacity: number): Engine => {
  if (typeof engine === "string") return runnable(engine).open(slab, capacity);
  const [only, ...others] = enginesOf(engine).map(runnable);
  if (only === undefined) throw new RangeError("a plan without an engine");
  if (others.length === 0) return only.open(slab, capacity);
  const routes = [only, ...others].map((driver) => ({
    engine: driver.open(slab, capacity),
    suites: SUITES.filter(({ name }) => engine[name] === driver.name),
  }));
  return new RoutedEngine(routes, slab, capacity);
};

/**
 * An engine for one suite; with `auto` the first, unmeasured, that runs here and does it. Throws ESPALIER_PLATFORM when
 * there is none.
 */
export const openEngineFor = (
  suite: Suite,
  wanted: EngineName | "auto",
  slab: Uint8Array,
  capacity: number,
): Engine => {
  const able =
    wanted === "auto" ? ENGINE_DRIVERS.filter((driver) => driver.unavailable() === undefined) : [runnable(wanted)];
  for (const driver of able) {
    const engine = driver.open(slab, capacity);
    if (engine.supports(suite)) return engine;
    engine.close();
  }
  const who = wanted === "auto" ? "no engine here does" : `the engine ${wanted} does not do`;
  throw new EspalierError("ESPALIER_PLATFORM", `${who} ${suite.name}`);
};

const runnable = (name: EngineName): EngineDriver => {
  const driver = driverByName(name);
  const reason = driver.unavailable();
  if (reason === undefined) return driver;
  throw new EspalierError("ESPALIER_PLATFORM", `the engine ${name} cannot run here: ${reason}`, {
    remedy: "Use the engine auto.",
  });
};
