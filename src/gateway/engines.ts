/** Which engines a configuration gets on this machine, and how to say so. */
import type { Config } from "../config/config.ts";
import { VERSION } from "../control/version.ts";
import { FileProbeCache, machineKey, probeCachePath } from "../crypto/probe-cache.ts";
import { describeChoice, ENGINE_DRIVERS, type EngineChoice, selectEngine } from "../crypto/select-engine.ts";
import { SUITES, type Suite, suiteByName } from "../crypto/suites.ts";
import { EspalierError } from "../errors.ts";
import { parseEspProposal, suitesOffered } from "../ike/proposal.ts";

/** For the suites that the configuration may negotiate. Throws ESPALIER_PLATFORM when one of them has no engine here. */
export const chooseEngines = (config: Config): EngineChoice =>
  selectEngine(config.engine, suitesOf(config), {
    cache: new FileProbeCache(probeCachePath(), machineKey(ENGINE_DRIVERS, VERSION)),
  });

/** Lines on the choice, or why there is none: what `start` would say. */
export const describeEngines = (config: Config): string[] => {
  try {
    return describeChoice(chooseEngines(config));
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    return [`engine: ${error.message}`];
  }
};

const suitesOf = ({ connections }: Config): Suite[] => {
  const offered = connections.flatMap(({ children }) =>
    children.flatMap(({ proposals, esn, manual }) =>
      manual === undefined
        ? proposals.flatMap((text) => suitesOffered(parseEspProposal(text, esn)))
        : (suiteByName(manual.suite) ?? []),
    ),
  );
  return offered.length === 0 ? SUITES.slice(0, 1) : SUITES.filter((suite) => offered.includes(suite));
};
