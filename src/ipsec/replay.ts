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
 * A ring of n words, n a power of two, serves windows up to 32 (n - 1): the spare word is the one being cleared. A ring has
 * far fewer than 2^27 words, so the low 32 bits of a number tell its word.
 */

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

/**
 * The only number with these low 32 bits that is not left of the window: both cases of RFC 4303 Appendix A2.2 at once.
 * Negative or zero when there is none yet: such a number is never fresh.
 */
export const inferSeq = (top: number, window: number, low: number): number => {
  const left = top - window + 1;
  return left + ((low - left) >>> 0);
};

/** True when `seq` may be fresh. Ask before paying for the ICV: a bad packet changes nothing. */
export const isFresh = (
  words: Uint32Array,
  ringAt: number,
  ringWords: number,
  window: number,
  top: number,
  seq: number,
): boolean => {
  if (seq > top) return true;
  if (seq < 1 || seq <= top - window) return false; // the first packet of an SA is number 1 (RFC 4303 §3.3.3)
  return (words[ringAt + ((seq >>> 5) & (ringWords - 1))]! & (1 << (seq & 31))) === 0;
};

/** Record an authenticated `seq` and return the new top. Call only after a good ICV and a second `isFresh`. */
export const accept = (words: Uint32Array, ringAt: number, ringWords: number, top: number, seq: number): number => {
  const mask = ringWords - 1;
  if (seq === top + 1) {
    if ((seq & 31) === 0) words[ringAt + ((seq >>> 5) & mask)] = 0; // the first of its word
  } else if (seq > top) {
    const from = Math.floor(top / 32);
    let stale = Math.floor(seq / 32) - from;
    if (stale > ringWords) stale = ringWords; // a jump over the ring clears it all, once
    for (let i = 1; i <= stale; i++) words[ringAt + ((from + i) & mask)] = 0;
  }
  const at = ringAt + ((seq >>> 5) & mask);
  words[at] = words[at]! | (1 << (seq & 31));
  return Math.max(seq, top);
};

/**
 * Count every number up to `top` as seen, whatever the ring says: its writer died, perhaps in the middle of `accept`. Late
 * packets are lost by it, but none is ever accepted twice.
 */
export const closeWindow = (words: Uint32Array, ringAt: number, ringWords: number, top: number): void => {
  words.fill(0xffff_ffff, ringAt, ringAt + ringWords);
  words[ringAt + (Math.floor(top / 32) & (ringWords - 1))] = 0xffff_ffff >>> (31 - (top % 32));
};
