/** Lists in log lines: the first few, and how many more there are. A gateway may have a thousand connections. */

const FEW = 5;

/** `a; b; c`, or `a; b; c; d; e; and 59 more`. */
export const few = (items: readonly string[]): string =>
  items.length <= FEW ? items.join("; ") : `${items.slice(0, FEW).join("; ")}; and ${items.length - FEW} more`;
