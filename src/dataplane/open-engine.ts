/** An engine of the calling thread by its name, or the first that runs here. */
import type { Engine, EngineName } from "../crypto/engine.ts";
import { driverByName, ENGINE_DRIVERS } from "../crypto/select-engine.ts";
import { EspalierError } from "../errors.ts";

/** Throws ESPALIER_PLATFORM when the engine cannot run here, ESPALIER_USAGE when there is none of that name. */
export const openEngine = (name: EngineName | "auto", slab: Uint8Array, capacity: number): Engine => {
  const driver =
    name === "auto" ? ENGINE_DRIVERS.find((each) => each.unavailable() === undefined)! : driverByName(name);
  const reason = driver.unavailable();
  if (reason !== undefined)
    throw new EspalierError("ESPALIER_PLATFORM", `the engine ${name} cannot run here: ${reason}`, {
      remedy: "Use the engine auto.",
    });
  return driver.open(slab, capacity);
};
