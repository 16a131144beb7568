/**
 * Is it chance? The samples are dealt out anew, to the sides or with other signs: of all ways the share that lies as far apart
 * as what was found. All ways are gone through where they are few; else so many are drawn, and no more once enough were as far
 * apart to know that it is common (Besag and Clifford 1991, "Sequential Monte Carlo p-values"). Randomness comes from a seed.
 */
import { mean, seeded } from "./statistics.ts";

export interface Dealing {
  /** Ways that are gone through, or drawn, at most: no probability is found that is less than one of so many. */
  readonly rounds?: number;
  readonly seed?: number;
}

const ROUNDS = 4000;
const ENOUGH = 200;
/** Two ways are as far apart when the last digits of a sum alone tell them apart. */
const CLOSE = 1e-12;

/** Ways to choose `some` of `all`. */
const waysToChoose = (all: number, some: number): number => {
  let ways = 1;
  for (let i = 1; i <= some; i++) ways = (ways * (all - some + i)) / i;
  return Math.round(ways);
};

/** The least that `permutationP` says of so many samples, however far apart they are. */
export const leastPermutationP = (a: number, b: number): number => (a === b ? 2 : 1) / waysToChoose(a + b, a);

/** The same of `signFlipP`. */
export const leastSignFlipP = (differences: number): number => 2 ** (1 - differences);

/** Probability that means as far apart as these come of dealing the values out by chance. */
export const permutationP = (a: readonly number[], b: readonly number[], dealing: Dealing = {}): number => {
  const all = [...a, ...b];
  const total = mean(all) * all.length;
  const apart = Math.abs(mean(b) - mean(a)) - CLOSE;
  const isExtreme = (sum: number): boolean => Math.abs((total - sum) / b.length - sum / a.length) >= apart;
  const { rounds = ROUNDS, seed = 1 } = dealing;
  const ways = waysToChoose(all.length, a.length);
  if (ways <= rounds) return chosenFrom(all, a.length, isExtreme) / ways;
  const random = seeded(seed);
  return drawn(rounds, () => {
    let sum = 0;
    for (let i = 0; i < a.length; i++) {
      const j = i + Math.floor(random() * (all.length - i));
      const kept = all[i]!;
      all[i] = all[j]!;
      all[j] = kept;
      sum += all[i]!;
    }
    return isExtreme(sum);
  });
};

/** Probability that differences whose signs chance had chosen have a mean as far from 0: for samples that come in pairs. */
export const signFlipP = (differences: readonly number[], { rounds = ROUNDS, seed = 1 }: Dealing = {}): number => {
  const apart = Math.abs(mean(differences)) * differences.length - CLOSE;
  const isExtreme = (sum: number): boolean => Math.abs(sum) >= apart;
  const ways = 2 ** differences.length;
  if (ways <= rounds) return flipped(differences, isExtreme) / ways;
  const random = seeded(seed);
  return drawn(rounds, () => {
    let sum = 0;
    for (const difference of differences) sum += random() < 0.5 ? difference : -difference;
    return isExtreme(sum);
  });
};

/** Of all ways to choose `some` of the values, those whose sum is extreme. */
const chosenFrom = (all: readonly number[], some: number, isExtreme: (sum: number) => boolean): number => {
  const from = (at: number, left: number, sum: number): number => {
    if (left === 0) return isExtreme(sum) ? 1 : 0;
    let extreme = 0;
    for (let next = at; next <= all.length - left; next++) extreme += from(next + 1, left - 1, sum + all[next]!);
    return extreme;
  };
  return from(0, some, 0);
};

/** Of all ways to give the values signs, those whose sum is extreme. */
const flipped = (values: readonly number[], isExtreme: (sum: number) => boolean): number => {
  const from = (at: number, sum: number): number =>
    at === values.length ? Number(isExtreme(sum)) : from(at + 1, sum + values[at]!) + from(at + 1, sum - values[at]!);
  return from(0, 0);
};

/** What was found is one of the ways. */
const drawn = (rounds: number, isExtreme: () => boolean): number => {
  let extreme = 0;
  for (let round = 1; round <= rounds; round++) {
    if (isExtreme()) extreme++;
    if (extreme === ENOUGH) return extreme / round;
  }
  return (extreme + 1) / (rounds + 1);
};
