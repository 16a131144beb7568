/** An engine of the calling thread by its name, or the first that runs here. */
import type { Engine, EngineDriver, EngineName } from "../crypto/engine.ts";
import { noble } from "../crypto/engines/noble.ts";
import { node } from "../crypto/engines/node.ts";
import { openssl } from "../crypto/engines/openssl.ts";
import { EspalierError } from "../errors.ts";

const DRIVERS: readonly EngineDriver[] = [openssl, node, noble];

/** Throws ESPALIER_PLATFORM when the engine cannot run here. */
export const openEngine = (name: EngineName | "auto", slab: Uint8Array, capacity: number): Engine => {
  if (name === "auto") return DRIVERS.find((each) => each.unavailable() === undefined)!.open(slab, capacity);
  const driver = DRIVERS.find((each) => each.name === name);
  const reason = driver === undefined ? "unknown" : driver.unavailable();
  if (driver === undefined || reason !== undefined)
    throw new EspalierError("ESPALIER_PLATFORM", `the engine ${name} cannot run here: ${reason}`, {
      remedy: "Choose `engine: auto`.",
    });
  return driver.open(slab, capacity);
};
