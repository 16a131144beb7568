import fc from "fast-check";
import { expect, test } from "vitest";
import { accept, closeWindow, inferSeq, isFresh, NO_WINDOW, ringWordsFor } from "../../src/ipsec/replay.ts";

/** The window as the code of the data plane uses it: ask, then accept. */
class Window {
  readonly size: number;
  readonly words: Uint32Array;
  readonly newestAt: number;
  readonly ringWords: number;
  top: number;

  constructor(size: number, top = 0) {
    this.size = size;
    this.ringWords = ringWordsFor(size);
    this.newestAt = this.ringWords + 3;
    this.words = new Uint32Array(this.ringWords + 5); // with a neighbour on each side of both, to see strays
    this.top = top;
  }

  take(seq: number): boolean {
    if (!isFresh(this.words, this.newestAt, 1, this.ringWords, this.size, this.top, seq)) return false;
    this.top = accept(this.words, this.newestAt, 1, this.ringWords, this.top, seq);
    return true;
  }

  neighbours(): number[] {
    const { words, ringWords, newestAt } = this;
    return [words[0]!, words[ringWords + 1]!, words[newestAt - 1]!, words[newestAt + 1]!];
  }
}

/** RFC 4303 §3.4.3 in the most obvious way: remember everything. */
class SlowWindow {
  readonly size: number;
  readonly seen = new Set<number>();
  top: number;

  constructor(size: number, top = 0) {
    this.size = size;
    this.top = top;
  }

  take(seq: number): boolean {
    if (seq < 1 || seq < this.top - this.size + 1 || this.seen.has(seq)) return false;
    this.seen.add(seq);
    this.top = Math.max(this.top, seq);
    return true;
  }
}

const windows = fc.oneof(
  fc.constantFrom(32, 33, 63, 64, 65, 96, 100, 127, 128, 256, 512, 1000, 1024, 2048, 4095, 4096),
  fc.integer({ min: 32, max: 4096 }),
);

test("agrees with a set that remembers everything, whatever the window and the jumps", () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: -80, max: 80 }) },
    { weight: 3, arbitrary: fc.integer({ min: -5000, max: 5000 }) },
    { weight: 1, arbitrary: fc.integer({ min: 5000, max: 40_000 }) }, // over the whole ring
  );
  const start = fc.constantFrom(0, 0, 2 ** 31 - 40, 2 ** 32 - 40, 2 ** 40 + 7, 2 ** 52);
  fc.assert(
    fc.property(windows, start, fc.array(step, { minLength: 50, maxLength: 400 }), (size, top, steps) => {
      const fast = new Window(size, top);
      const slow = new SlowWindow(size, top);
      // What lies left of `top` was never seen: an SA that was installed in the middle of its life.
      for (const by of steps) {
        const seq = slow.top + by;
        expect(fast.take(seq), `window ${size}, top ${slow.top}, seq ${seq}`).toBe(slow.take(seq));
      }
      expect(fast.top).toBe(slow.top);
      expect(fast.neighbours()).toEqual([0, 0, 0, 0]);
    }),
    { numRuns: 400, seed: 4303 },
  );
});

test.each([32, 64, 100, 128, 256, 512, 1024, 2048, 4096])(
  "every number of a window of %i is taken once, the next older never",
  (size) => {
    const window = new Window(size);
    window.take(10_000);
    expect(window.take(10_000 - size)).toBe(false);
    for (let seq = 10_000 - size + 1; seq < 10_000; seq++) expect(window.take(seq)).toBe(true);
    for (let seq = 10_000 - size; seq <= 10_000; seq++) expect(window.take(seq)).toBe(false);
  },
);

// The window is exactly as wide as asked for: only its ring in memory is rounded up, to 32 times a power of two.
test("window 100, highest 522: 423 is the oldest taken, 422 is dropped, 523 slides", () => {
  const window = new Window(100);
  for (let seq = 1; seq <= 522; seq++) if (seq !== 423 && seq !== 422) window.take(seq);
  expect(window.take(522)).toBe(false);
  expect(window.take(422)).toBe(false);
  expect(window.take(423)).toBe(true);
  expect(window.take(423)).toBe(false);
  expect(window.take(523)).toBe(true);
  expect(window.top).toBe(523);
});

test("window 64: a lag of 63 is taken once, lags of 64 and 65 are not", () => {
  const window = new Window(64);
  window.take(1000);
  expect([937, 937, 936, 935].map((seq) => window.take(seq))).toEqual([true, false, false, false]);
});

test("sequence number 0 is never taken", () => {
  expect(new Window(64).take(0)).toBe(false);
});

/** RFC 4303 Appendix A2.2, case by case, in 64-bit arithmetic: the sequence number, or undefined when it would be negative. */
const inferAsWritten = (top: bigint, size: bigint, low: bigint): bigint | undefined => {
  const full = 1n << 32n;
  const th = top / full;
  const tl = top % full;
  const bl = (tl - size + 1n + full) % full;
  if (tl >= size - 1n) return (low >= bl ? th : th + 1n) * full + low; // case A: the window lies within one subspace
  if (low < bl) return th * full + low; // case B: it spans two
  return th === 0n ? undefined : (th - 1n) * full + low;
};

test("infers the high half as RFC 4303 Appendix A2.2 does", () => {
  const high = fc.constantFrom(0n, 1n, 2n, 1000n, (1n << 20n) - 1n);
  const near = fc.oneof(
    fc.bigInt({ min: 0n, max: 5000n }),
    fc.bigInt({ min: (1n << 32n) - 5000n, max: (1n << 32n) - 1n }),
  );
  const low = fc.oneof(near, fc.bigInt({ min: 0n, max: (1n << 32n) - 1n }));
  fc.assert(
    fc.property(windows, high, low, low, (size, th, tl, seql) => {
      const top = (th << 32n) + tl;
      const expected = inferAsWritten(top, BigInt(size), seql);
      const inferred = inferSeq(Number(top), size, Number(seql));
      if (expected === undefined) expect(inferred).toBeLessThan(1);
      else expect(inferred).toBe(Number(expected));
    }),
    { numRuns: 20_000, seed: 4303 },
  );
});

test("a window closed after its writer died half-way accepts nothing twice, and goes on", () => {
  const start = fc.constantFrom(0, 31, 32, 2 ** 32 - 40, 2 ** 52);
  const garbage = fc.array(fc.integer({ min: 0, max: 0xffff_ffff }), { minLength: 1, maxLength: 256 });
  const steps = fc.array(fc.integer({ min: -5000, max: 5000 }), { minLength: 50, maxLength: 200 });
  fc.assert(
    fc.property(windows, start, garbage, steps, (size, top, words, offsets) => {
      const window = new Window(size, top);
      for (let i = 0; i < window.ringWords; i++) window.words[1 + i] = words[i % words.length]!;
      window.words[window.newestAt] = words[0]!;
      closeWindow(window.words, window.newestAt, 1, window.ringWords, top);
      for (let seq = Math.max(top - size - 40, 0); seq <= top; seq++) expect(window.take(seq)).toBe(false);
      const slow = new SlowWindow(size, top);
      for (let seq = Math.max(top - size, 1); seq <= top; seq++) slow.seen.add(seq);
      for (const offset of offsets) {
        const seq = window.top + offset;
        expect(window.take(seq)).toBe(slow.take(seq));
      }
      expect(window.neighbours()).toEqual([0, 0, 0, 0]);
    }),
    { numRuns: 100 },
  );
});

test("without a window every number is taken, however late and however often", () => {
  const window = new Window(NO_WINDOW);
  const numbers = [5, 5, 1, 100_000, 2, 5, 0, 2 ** 32 - 1, 3];
  expect(numbers.map((seq) => window.take(seq))).toEqual(numbers.map(() => true));
  expect(window.top).toBe(2 ** 32 - 1);
});

test("without a window the high half is that of the number nearest to the highest", () => {
  const nearest = (top: number, low: number): number =>
    [-1, 0, 1]
      .map((by) => (Math.floor(top / 2 ** 32) + by) * 2 ** 32 + low)
      .sort((a, b) => Math.abs(a - top) - Math.abs(b - top))[0]!;
  const low = fc.integer({ min: 0, max: 2 ** 32 - 1 });
  const tops = fc.oneof(low, fc.integer({ min: 2 ** 32, max: 2 ** 45 }));
  fc.assert(
    fc.property(tops, low, (top, number) => {
      fc.pre(Math.abs(nearest(top, number) - top) !== 2 ** 31); // as near as another
      expect(inferSeq(top, NO_WINDOW, number)).toBe(nearest(top, number));
    }),
    { numRuns: 5000, seed: 4303 },
  );
});
