/** Medians, quantiles, Student's t, and randomness from a seed: the same data, the same word. */

/** NaN of nothing. */
export const median = (values: readonly number[]): number => quantile(values, 0.5);

export const medianOrNull = (values: readonly number[]): number | null => (values.length === 0 ? null : median(values));

/** Between the two values that are nearest, in proportion. NaN of nothing. */
export const quantile = (values: readonly number[], share: number): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const low = Math.floor(at);
  const below = sorted[low] ?? Number.NaN;
  return below + (at - low) * ((sorted[Math.ceil(at)] ?? below) - below);
};

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Of a sample: divided by one less than its size. */
export const variance = (values: readonly number[]): number => {
  const centre = mean(values);
  return values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1);
};

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export const seeded = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};

/**
 * Probability that Student's t of `freedom` degrees, a whole number, is farther from 0 than `t`, on either side
 * (Abramowitz and Stegun 26.7.3 and 26.7.4).
 */
export const studentP = (t: number, freedom: number): number => {
  if (!Number.isFinite(t)) return Number.isNaN(t) ? 1 : 0;
  const angle = Math.atan(Math.abs(t) / Math.sqrt(freedom));
  const cosine = Math.cos(angle);
  const odd = freedom % 2 === 1;
  let term = odd ? cosine : 1;
  let sum = freedom === 1 ? 0 : term;
  for (let k = odd ? 3 : 2; k <= freedom - 2; k += 2) {
    term *= ((k - 1) / k) * cosine ** 2;
    sum += term;
  }
  const within = odd ? (2 / Math.PI) * (angle + Math.sin(angle) * sum) : Math.sin(angle) * sum;
  return Math.min(1, Math.max(0, 1 - within));
};

/** The t that is exceeded with the probability `p`, on either side. */
export const studentQuantile = (p: number, freedom: number): number => {
  let low = 0;
  let high = 1;
  while (studentP(high, freedom) > p) high *= 2;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (studentP(middle, freedom) > p) low = middle;
    else high = middle;
  }
  return high;
};
