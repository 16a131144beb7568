/** Which engine does which suite: plain data, so that worker threads can be told. */
import type { EngineName } from "./engine.ts";
import type { Suite } from "./suites.ts";

/** By name of the suite. A suite that is not there is done by no engine. */
export type EnginePlan = Readonly<Record<string, EngineName>>;

/** The engines of a plan, the one of most suites first. */
export const enginesOf = (plan: EnginePlan): EngineName[] => {
  const counts = new Map<EngineName, number>();
  for (const name of Object.values(plan)) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a).map(([name]) => name);
};

/** Suites that cost alike per octet, but for the length of a key: one of them is measured for all. */
export const familyOf = ({ cipher, mac }: Suite): string => (mac === undefined ? cipher : `${cipher} ${mac}`);
