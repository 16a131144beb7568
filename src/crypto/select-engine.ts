/**
 * Which engine does the work: every engine is asked and must give the known answers of the suites that it does, and of
 * those that do, each suite gets the one that is fastest here. Each refusal has a reason, which is printed.
 */
import { EspalierError } from "../errors.ts";
import type { EngineDriver, EngineName } from "./engine.ts";
import { type EnginePlan, enginesOf, familyOf } from "./engine-plan.ts";
import { type Measurement, measure } from "./engine-speed.ts";
import { ipsecMb } from "./engines/ipsec-mb.ts";
import { noble } from "./engines/noble.ts";
import { node } from "./engines/node.ts";
import { openssl } from "./engines/openssl.ts";
import { examine, failedAnswer } from "./known-answers.ts";
import type { ProbeCache } from "./probe-cache.ts";
import { SUITES, type Suite, suiteByName } from "./suites.ts";

/** All engines, in the order in which speed alone would usually put them. */
export const ENGINE_DRIVERS: readonly EngineDriver[] = [ipsecMb, openssl, node, noble];

export interface Refusal {
  readonly name: EngineName;
  readonly reason: string;
}

export interface EngineChoice {
  readonly plan: EnginePlan;
  /** The engines of the plan, the one of most suites first. */
  readonly drivers: readonly EngineDriver[];
  /** Engines that were asked and cannot be used here. */
  readonly refused: readonly Refusal[];
  /** How it came about: `named` by the user, the `only` one there is, `measured` now, or from the `cache`. */
  readonly basis: "named" | "only" | "measured" | "cache";
  /** What the choice among several rests on; else empty. */
  readonly measured: readonly Measurement[];
}

export interface SelectOptions {
  readonly drivers?: readonly EngineDriver[];
  readonly speedOf?: typeof measure;
  /** Where measurements are kept; none by default. */
  readonly cache?: ProbeCache;
}

/** The driver of this name. Throws an EspalierError ESPALIER_USAGE when there is none. */
export const driverByName = (name: string, drivers: readonly EngineDriver[] = ENGINE_DRIVERS): EngineDriver => {
  const driver = drivers.find((candidate) => candidate.name === name);
  if (driver !== undefined) return driver;
  const known = drivers.map((candidate) => candidate.name).join(", ");
  throw new EspalierError("ESPALIER_USAGE", `no engine is called ${name}`, { remedy: `Engines: ${known}.` });
};

/**
 * Choose engines for `suites`. Takes some hundred milliseconds when there is something to measure: once a gateway, not
 * once a tunnel. Throws an EspalierError ESPALIER_PLATFORM when the engine wanted, or with `auto` every one, cannot do a
 * suite here.
 */
export const selectEngine = (
  wanted: EngineName | "auto",
  suites: readonly Suite[],
  { drivers = ENGINE_DRIVERS, speedOf = measure, cache }: SelectOptions = {},
): EngineChoice => {
  if (wanted !== "auto") {
    const driver = demand(driverByName(wanted, drivers), suites);
    return {
      plan: Object.fromEntries(suites.map(({ name }) => [name, driver.name])),
      drivers: [driver],
      refused: [],
      basis: "named",
      measured: [],
    };
  }
  const refused: Refusal[] = [];
  const fit: Fit[] = [];
  for (const driver of drivers) {
    const reason = driver.unavailable();
    const examined = reason === undefined ? examine(driver, suites) : { wrong: reason };
    if ("wrong" in examined) refused.push({ name: driver.name, reason: examined.wrong });
    else fit.push({ driver, suites: examined.suites });
  }
  const orphan = suites.find((suite) => !fit.some((each) => each.suites.includes(suite)));
  if (orphan !== undefined || fit.length === 0) {
    const reasons = refused.map(({ name, reason }) => `${name}: ${reason}`).join("; ");
    const what = fit.length === 0 ? "run here" : `do ${orphan?.name} here`;
    throw new EspalierError("ESPALIER_PLATFORM", `no engine can ${what}${reasons === "" ? "" : `: ${reasons}`}`);
  }
  const { measured, basis } = compare(fit, suites, speedOf, cache);
  const plan: EnginePlan = Object.fromEntries(suites.map((suite) => [suite.name, fastest(suite, fit, measured)]));
  const used = enginesOf(plan).map((name) => driverByName(name, drivers));
  return { plan, drivers: used, refused, basis, measured };
};

/** Why each refused engine was refused, and which were chosen: one line each. */
export const describeChoice = ({ plan, drivers, refused, basis, measured }: EngineChoice): string[] => [
  ...refused.map(({ name, reason }) => `engine ${name} refused: ${reason}`),
  ...drivers.map((driver) => {
    const speeds = measured
      .filter(({ engine, suite }) => engine === driver.name && familiesOf(plan, driver.name).has(familyOfName(suite)))
      .map(({ suite, nsPerPacket }) => `${suite} ${Math.round(nsPerPacket)} ns`);
    const how = basis === "cache" ? "as measured here before" : "measured now";
    return `engine ${driver.name}: ${driver.describe()}${speeds.length === 0 ? "" : `, fastest here, ${how} (${speeds.join(", ")})`}`;
  }),
];

const familyOfName = (name: string): string => {
  const suite = suiteByName(name);
  return suite === undefined ? name : familyOf(suite);
};

/** The families of the suites that this engine does. */
const familiesOf = (plan: EnginePlan, engine: EngineName): ReadonlySet<string> =>
  new Set(Object.keys(plan).flatMap((suite) => (plan[suite] === engine ? [familyOfName(suite)] : [])));

/** An engine that may be used, and for which suites. */
interface Fit {
  readonly driver: EngineDriver;
  readonly suites: readonly Suite[];
}

/** Measure, or remember, one suite of every family for which there is a choice. */
const compare = (
  fit: readonly Fit[],
  suites: readonly Suite[],
  speedOf: typeof measure,
  cache: ProbeCache | undefined,
): Pick<EngineChoice, "measured" | "basis"> => {
  const contested = representatives(
    suites.filter((suite) => fit.filter((each) => each.suites.includes(suite)).length > 1),
  );
  if (contested.length === 0) return { measured: [], basis: "only" };
  const known = (cache?.read() ?? []).filter(({ suite }) => contested.some(({ name }) => name === suite));
  const isKnown = ({ driver, suites: able }: Fit): boolean =>
    contested.every(
      (suite) =>
        !able.some((each) => familyOf(each) === familyOf(suite)) ||
        known.some((each) => each.engine === driver.name && each.suite === suite.name),
    );
  if (fit.every(isKnown)) return { measured: known, basis: "cache" };
  const measured: Measurement[] = [];
  for (const { driver, suites: able } of fit) {
    const families = new Set(able.map(familyOf));
    measured.push(
      ...speedOf(
        driver,
        contested.filter((suite) => families.has(familyOf(suite))),
        measured,
      ),
    );
  }
  cache?.write(measured);
  return { measured, basis: "measured" };
};

/** The first suite of each family, of all that there are: figures of two configurations are of the same suites. */
const representatives = (suites: readonly Suite[]): Suite[] => {
  const families = new Set(suites.map(familyOf));
  return SUITES.filter(
    (suite, i) =>
      families.has(familyOf(suite)) && SUITES.findIndex((other) => familyOf(other) === familyOf(suite)) === i,
  );
};

const fastest = (suite: Suite, fit: readonly Fit[], measured: readonly Measurement[]): EngineName => {
  const able = fit.filter((each) => each.suites.includes(suite));
  const [representative] = representatives([suite]);
  const cost = ({ driver }: Fit): number =>
    measured.find((each) => each.engine === driver.name && each.suite === representative?.name)?.nsPerPacket ??
    Number.POSITIVE_INFINITY;
  return able.reduce((best, each) => (cost(each) < cost(best) ? each : best)).driver.name;
};

const demand = (driver: EngineDriver, suites: readonly Suite[]): EngineDriver => {
  const reason = driver.unavailable() ?? failedAnswer(driver, suites);
  if (reason === undefined) return driver;
  throw new EspalierError("ESPALIER_PLATFORM", `the engine ${driver.name} cannot run here: ${reason}`, {
    remedy:
      driver.name === "ipsec-mb"
        ? "Install libIPSec_MB 1.3 (Debian 12: apt-get install libipsec-mb1), or use the engine auto."
        : "Use the engine auto.",
  });
};
