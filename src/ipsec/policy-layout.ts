/**
 * How a compiled list of policies lies in memory: `policy-compiler.ts` writes it, `policy-table.ts` reads it.
 *
 * The table is words, offsets counted from its beginning:
 *
 *   0 ..          family 4: rules, groups, rule list, then five axes: bounds, count, rows
 *   FAMILY ..     family 6: the same
 *   rule list     policy of each rule
 *   axis          its bounds, ascending, 1 word each (4 for an IPv6 address); the row of each interval
 *   row           per group of 1,024 rules: 32 bits that say which of its words are not zero, and where those words are
 *   words         32 rules each, only those that are not zero
 *
 * Row FULL holds all rules and row EMPTY none: neither is written down. Equal rows are one.
 */

export const Row = { FULL: 0, EMPTY: 1 } as const;

/** Words of the header of one family, and where they are. */
export const FAMILY = 24;
export const RULES = 0;
export const GROUPS = 1;
export const RULE_LIST = 2;
export const AXES = 3;
/** Words of one axis. */
export const AXIS = 3;
export const BOUNDS = 0;
export const COUNT = 1;
export const ROWS = 2;
export const Axis = { LOCAL: 0, REMOTE: 1, PROTOCOL: 2, LOCAL_PORT: 3, REMOTE_PORT: 4 } as const;

export const RULES_A_WORD = 32;
export const WORDS_A_GROUP = 32;
