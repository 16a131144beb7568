/**
 * Where the first whole cache line of a large piece of shared memory begins, in octets: what allocates it keeps 16 octets of its
 * own in front, and these lie on a page. Tables whose lines are to be one worker's begin there; elsewhere they work as well.
 */
export const FIRST_LINE = 48;

/** Octets that such a table takes more than what is in it. */
export const LINE_SPARE = 64;
