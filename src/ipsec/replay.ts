// HOT PATH
/**
 * Anti-replay window (RFC 4303 §3.4.3) with the ring bitmap of RFC 6479, over words of shared memory. One writer a window.
 *
 * Sequence numbers are whole: the high half of an extended one has been inferred already. They are doubles, exact to
 * 2^53, and every operation below is exact there. `top` is the highest number authenticated, 0 before the first packet.
 *
 *        top - window + 1 ............ top
 *   old |  seen or not, a bit each         | new: authenticate it, then slide
 *
 * A ring of n words, n a power of two, serves windows up to 32 (n - 1): the spare word is the newest one, which has `top` in it.
 * That lies apart, beside `top`, and goes into the ring when it is full: so packets in order touch the ring once in 32. A ring
 * has far fewer than 2^27 words, so the low 32 bits of a number tell its word.
 */

/** Instead of a window: none, every authentic packet is taken (RFC 4303 §3.4.3). */
export const NO_WINDOW = 0;
/** RFC 4303 §3.4.3: 32 must be supported, 64 should be the least that is used without being asked for. */
export const MIN_WINDOW = 32;
export const MAX_WINDOW = 4096;
export const DEFAULT_WINDOW = 1024;

/** Words of the largest ring. */
export const MAX_RING_WORDS = 256;

/** Words of the ring for `window` numbers: the next power of two that leaves a word to spare. */
export const ringWordsFor = (window: number): number => {
  let words = 4;
  while (words < Math.ceil(window / 32) + 1) words *= 2;
  return words;
};

/** How late a packet may be, without a window, for its high half to be found. */
const HALF = 0x8000_0000;

/**
 * The only number with these low 32 bits that is not left of the window: both cases of RFC 4303 Appendix A2.2 at once.
 * Negative or zero when there is none yet: such a number is never fresh. Without a window it is the one nearest to `top`.
 */
export const inferSeq = (top: number, window: number, low: number): number => {
  const left = top - (window === NO_WINDOW ? HALF : window) + 1;
  return left + ((low - left) >>> 0);
};

/** Whether two numbers, less than 2^32 apart, are in one word. */
const areInOneWord = (a: number, b: number): boolean => a >>> 5 === b >>> 5;

/** True when `seq` may be fresh; without a window always. Ask before paying for the ICV: a bad packet changes nothing. */
export const isFresh = (
  words: Uint32Array,
  newestAt: number,
  ringAt: number,
  ringWords: number,
  window: number,
  top: number,
  seq: number,
): boolean => {
  if (seq > top || window === NO_WINDOW) return true;
  if (seq < 1 || seq <= top - window) return false; // the first packet of an SA is number 1 (RFC 4303 §3.3.3)
  const at = areInOneWord(seq, top) ? newestAt : ringAt + ((seq >>> 5) & (ringWords - 1));
  return (words[at]! & (1 << (seq & 31))) === 0;
};

/** Record an authenticated `seq` and return the new top. Call only after a good ICV and a second `isFresh`. */
export const accept = (
  words: Uint32Array,
  newestAt: number,
  ringAt: number,
  ringWords: number,
  top: number,
  seq: number,
): number => {
  let at = newestAt;
  if (seq > top) {
    if (!areInOneWord(seq, top) || seq - top >= 32) slide(words, newestAt, ringAt, ringWords, top, seq);
  } else if (!areInOneWord(seq, top)) at = ringAt + ((seq >>> 5) & (ringWords - 1)); // without a window it may be any
  words[at] = words[at]! | (1 << (seq & 31));
  return Math.max(seq, top);
};

/** Begin the word of `seq`, which is not the newest one any more: that one goes into the ring, those between are empty. */
const slide = (
  words: Uint32Array,
  newestAt: number,
  ringAt: number,
  ringWords: number,
  top: number,
  seq: number,
): void => {
  const mask = ringWords - 1;
  const from = Math.floor(top / 32);
  let passed = Math.floor(seq / 32) - from;
  if (passed > ringWords) passed = ringWords + 1; // a jump over the ring clears it all, once
  words[ringAt + (from & mask)] = words[newestAt]!;
  for (let i = 1; i < passed; i++) words[ringAt + ((from + i) & mask)] = 0;
  words[newestAt] = 0;
};

/**
 * Count every number up to `top` as seen, whatever the ring says: its writer died, perhaps in the middle of `accept`. Late
 * packets are lost by it, but none is ever accepted twice.
 */
export const closeWindow = (
  words: Uint32Array,
  newestAt: number,
  ringAt: number,
  ringWords: number,
  top: number,
): void => {
  words.fill(0xffff_ffff, ringAt, ringAt + ringWords);
  words[newestAt] = 0xffff_ffff >>> (31 - (top % 32));
};
