/**
 * Which engine does the work: every engine is probed, must give the known answers for every suite wanted, and of those
 * that do the fastest here is taken. Each refusal has a reason, which is printed.
 */
import { EspalierError } from "../errors.ts";
import type { EngineDriver, EngineName } from "./engine.ts";
import { type Measurement, measure } from "./engine-speed.ts";
import { ipsecMb } from "./engines/ipsec-mb.ts";
import { noble } from "./engines/noble.ts";
import { node } from "./engines/node.ts";
import { openssl } from "./engines/openssl.ts";
import { failedAnswer } from "./known-answers.ts";
import type { Suite } from "./suites.ts";

/** All engines, in the order in which speed alone would usually put them. */
export const ENGINE_DRIVERS: readonly EngineDriver[] = [ipsecMb, openssl, node, noble];

export interface Refusal {
  readonly name: EngineName;
  readonly reason: string;
}

export interface EngineChoice {
  readonly driver: EngineDriver;
  /** Engines that were asked and cannot be used here. */
  readonly refused: readonly Refusal[];
  /** What was measured to choose among several; undefined when there was no choice. */
  readonly measured: readonly Measurement[] | undefined;
}

/** The driver of this name. Throws an EspalierError ESPALIER_USAGE when there is none. */
export const driverByName = (name: string, drivers: readonly EngineDriver[] = ENGINE_DRIVERS): EngineDriver => {
  const driver = drivers.find((candidate) => candidate.name === name);
  if (driver !== undefined) return driver;
  const known = drivers.map((candidate) => candidate.name).join(", ");
  throw new EspalierError("ESPALIER_USAGE", `no engine is called ${name}`, { remedy: `Engines: ${known}.` });
};

/**
 * Choose an engine for `suites`. Takes some milliseconds for each engine: once a gateway, not once a tunnel.
 * Throws an EspalierError ESPALIER_PLATFORM when the engine wanted, or with `auto` every one, cannot run here.
 */
export const selectEngine = (
  wanted: EngineName | "auto",
  suites: readonly Suite[],
  drivers: readonly EngineDriver[] = ENGINE_DRIVERS,
  speedOf: typeof measure = measure,
): EngineChoice => {
  if (wanted !== "auto")
    return { driver: demand(driverByName(wanted, drivers), suites), refused: [], measured: undefined };

  const refused: Refusal[] = [];
  const fit: EngineDriver[] = [];
  for (const driver of drivers) {
    const reason = whyNot(driver, suites);
    if (reason === undefined) fit.push(driver);
    else refused.push({ name: driver.name, reason });
  }
  const [first, ...others] = fit;
  if (first === undefined) {
    const reasons = refused.map(({ name, reason }) => `${name}: ${reason}`).join("; ");
    throw new EspalierError("ESPALIER_PLATFORM", `no engine can run here: ${reasons}`);
  }
  if (others.length === 0) return { driver: first, refused, measured: undefined };
  const measured: Measurement[] = [];
  for (const driver of fit) measured.push(...speedOf(driver, suites, measured));
  return { driver: fastest(fit, measured), refused, measured };
};

/** Why each refused engine was refused, and which was chosen: one line each. */
export const describeChoice = ({ driver, refused, measured }: EngineChoice): string[] => {
  const speeds = (measured ?? [])
    .filter(({ engine }) => engine === driver.name)
    .map(({ suite, nsPerPacket }) => `${suite} ${Math.round(nsPerPacket)} ns`);
  return [
    ...refused.map(({ name, reason }) => `engine ${name} refused: ${reason}`),
    `engine ${driver.name}: ${driver.describe()}${speeds.length === 0 ? "" : `, fastest here (${speeds.join(", ")})`}`,
  ];
};

const whyNot = (driver: EngineDriver, suites: readonly Suite[]): string | undefined =>
  driver.unavailable() ?? failedAnswer(driver, suites);

const demand = (driver: EngineDriver, suites: readonly Suite[]): EngineDriver => {
  const reason = whyNot(driver, suites);
  if (reason === undefined) return driver;
  throw new EspalierError("ESPALIER_PLATFORM", `the engine ${driver.name} cannot run here: ${reason}`, {
    remedy:
      driver.name === "ipsec-mb"
        ? "Install libIPSec_MB 1.3 (Debian 12: apt-get install libipsec-mb1), or use the engine auto."
        : "Use the engine auto.",
  });
};

/** The least product of times: each cipher counts alike, whatever its own pace. */
const fastest = (fit: readonly EngineDriver[], measured: readonly Measurement[]): EngineDriver => {
  const cost = ({ name }: EngineDriver): number =>
    measured.reduce((sum, { engine, nsPerPacket }) => (engine === name ? sum + Math.log(nsPerPacket) : sum), 0);
  return fit.reduce((best, driver) => (cost(driver) < cost(best) ? driver : best));
};
