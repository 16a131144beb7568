// HOT PATH
/**
 * Copies octets from one memory to another without making a view of either, as `set` would want: no garbage for a packet.
 * What the source is not aligned to is shifted out of two words at a time; numbers lie in memory lowest octet first, as
 * `linux/abi.ts` proves. What is long is left to the C library.
 */
import * as libc from "../linux/libc.ts";
import { type Memory, outOfRange } from "../linux/memory.ts";

/**
 * Octets that are copied by words. A call takes some 60 ns, and its two addresses are objects of 16 octets each, which is garbage:
 * at 300 octets it saves little, at 1400 two thirds of the time.
 */
const SHORT = 512;

/**
 * Copy `length` octets at octet `at` of `from` to octet `to` of `into`, a multiple of 4; up to three octets behind them may
 * become zero. Throws a RangeError, and copies nothing, when they are not inside. The two must not overlap.
 */
export const copyOctets = (from: Memory, at: number, into: Memory, to: number, length: number): void => {
  if (length <= SHORT) copyWords(from.words, at, into.words, to, length);
  else libc.memcpy(into, to, from, at, length);
};

/**
 * Copy `length` octets at octet `at` of `from` to octet `to` of `into`, a multiple of 4. Up to three octets behind them, the
 * rest of a word, become zero. Nothing is read beyond the words that hold them. Throws a RangeError, and copies nothing, when
 * they are not inside. The two must not overlap.
 */
export const copyWords = (from: Int32Array, at: number, into: Int32Array, to: number, length: number): void => {
  if (at >>> 0 !== at || length >>> 0 !== length || at + length > from.length * 4)
    outOfRange("source", at, length, from.length * 4);
  if (to >>> 0 !== to || (to & 3) !== 0 || to + length > into.length * 4)
    outOfRange("target", to, length, into.length * 4);
  if (length === 0) return;
  const last = (to + length - 1) >>> 2;
  if ((at & 3) === 0) copyAligned(from, at >>> 2, into, to >>> 2, last);
  else copyShifted(from, at, into, to >>> 2, last, length);
  into[last]! &= -1 >>> ((-length & 3) * 8);
};

/** Words up to `last` of the target. */
const copyAligned = (from: Int32Array, first: number, into: Int32Array, to: number, last: number): void => {
  let f = first;
  let t = to;
  for (; t + 7 <= last; t += 8, f += 8) {
    into[t] = from[f]!;
    into[t + 1] = from[f + 1]!;
    into[t + 2] = from[f + 2]!;
    into[t + 3] = from[f + 3]!;
    into[t + 4] = from[f + 4]!;
    into[t + 5] = from[f + 5]!;
    into[t + 6] = from[f + 6]!;
    into[t + 7] = from[f + 7]!;
  }
  for (; t <= last; t++, f++) into[t] = from[f]!;
};

/** The same from an octet that begins no word. */
const copyShifted = (
  from: Int32Array,
  at: number,
  into: Int32Array,
  to: number,
  last: number,
  length: number,
): void => {
  const right = (at & 3) * 8;
  const left = 32 - right;
  let f = at >>> 2;
  let t = to;
  let low = from[f]!;
  for (; t + 4 <= last; t += 4, f += 4) {
    const second = from[f + 1]!;
    const third = from[f + 2]!;
    const fourth = from[f + 3]!;
    const next = from[f + 4]!;
    into[t] = (low >>> right) | (second << left);
    into[t + 1] = (second >>> right) | (third << left);
    into[t + 2] = (third >>> right) | (fourth << left);
    into[t + 3] = (fourth >>> right) | (next << left);
    low = next;
  }
  for (; t < last; t++) {
    const high = from[++f]!;
    into[t] = (low >>> right) | (high << left);
    low = high;
  }
  const end = (at + length - 1) >>> 2; // the last octet's word: it may be the one that we have already
  into[last] = end === f ? low >>> right : (low >>> right) | (from[end]! << left);
};
