/** Lists in log lines: the first few, and how many more there are. A gateway may have a thousand connections. */

const FEW = 5;

/** `a; b; c`, or `a; b; c; d; e; and 59 more`. Only what is shown is put into words. */
export const few = <T>(items: readonly T[], words: (item: T) => string): string => {
  const shown = items.slice(0, FEW).map(words);
  return items.length <= FEW ? shown.join("; ") : `${shown.join("; ")}; and ${items.length - FEW} more`;
};
