/**
 * The seeds of a simulation, in batches of one test each. `SIMULATION_SEED=183` runs one alone, `SIMULATION_SEEDS=6000` more of
 * them, `SIMULATION_FROM=2000` later ones. And how long peers may take to settle.
 */
import { DELETE_GUARD } from "../../src/ike/child-sa.ts";
import { OVERDUE_PATIENCE } from "../../src/ike/ike-sa-end.ts";

const { SIMULATION_SEED: ONLY, SIMULATION_SEEDS: SEEDS, SIMULATION_FROM: FROM = "0" } = process.env;

/** One seed alone was asked for. */
export const isOneSeed = ONLY !== undefined;

const BATCH = 25;

/** `usual`: how many there are unless the environment says otherwise. */
export const simulationSeeds = (usual: number): number[] =>
  ONLY === undefined
    ? Array.from({ length: SEEDS === undefined ? usual : Number(SEEDS) }, (_, seed) => Number(FROM) + seed)
    : [Number(ONLY)];

export const inBatches = (seeds: readonly number[]): (readonly [number, readonly number[]])[] =>
  Array.from({ length: Math.ceil(seeds.length / BATCH) }, (_, n) => {
    const batch = seeds.slice(n * BATCH, (n + 1) * BATCH);
    return [batch[0]!, batch] as const;
  });

/**
 * Within this time of calm peers have settled what is left, ms: the guard time of what the other ought to have deleted, the time
 * in which that is told in vain to one who does not have it, and 20 s for a rekey that is under way.
 */
export const SETTLED = DELETE_GUARD + OVERDUE_PATIENCE + 20_000;
