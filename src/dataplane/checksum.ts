// HOT PATH
/**
 * The checksum of IP, TCP and UDP (RFC 1071) over words of memory in this machine's order: a sum that is folded at the end
 * comes out the same in either order, so long as its result is stored in the order it was summed in (§2(B) there).
 */

/** Fold a sum below 2^32 to 16 bits. */
export const fold = (sum: number): number => {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
};

/** Sum of `length` octets, at most 65,535, that begin at word `at`: below 2^31, to be folded. Octets behind them do not count. */
export const sumWords = (words: Int32Array, at: number, length: number): number => {
  let low = 0;
  let high = 0;
  let i = at;
  const whole = at + (length >>> 2);
  for (const four = whole - 3; i < four; i += 4) {
    const a = words[i]!;
    const b = words[i + 1]!;
    const c = words[i + 2]!;
    const d = words[i + 3]!;
    low += (a & 0xffff) + (b & 0xffff) + (c & 0xffff) + (d & 0xffff);
    high += (a >>> 16) + (b >>> 16) + (c >>> 16) + (d >>> 16);
  }
  for (; i < whole; i++) {
    low += words[i]! & 0xffff;
    high += words[i]! >>> 16;
  }
  const rest = length & 3;
  if (rest !== 0) {
    const last = words[whole]! & ((1 << (rest * 8)) - 1);
    low += last & 0xffff;
    high += last >>> 16;
  }
  return low + high;
};
