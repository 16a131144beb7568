// HOT PATH
/**
 * Packets by verdict, in shared memory: a block of counters for each SA, each tunnel and each direction of each worker.
 * A block has one writer, so counting is a plain addition; control reads. `PASS` counts packets delivered, `bytes` their
 * inner octets.
 *
 * Every packet is counted once with its worker, and once more with its SA; or, going out without one, with its tunnel. So what
 * workers sent is the sum over tunnels (but for dummies, which their SA alone counts), and what they received is that and the
 * packets that name no SA of theirs.
 */
import { FIRST_LINE, LINE_SPARE } from "./cache-line.ts";
import { VERDICTS, Verdict, type VerdictName } from "./verdict.ts";

const { PASS } = Verdict; // to V8 what a module imports is no constant

/**
 * Float64 words: what every packet counts, PASS, which is verdict 0, and its octets, is a pair for each block, and all pairs lie
 * together, so that those of ten thousand SAs stay in a cache. Behind them each block has its four cache lines, a word for
 * every other verdict.
 *
 * A cache line has the pairs of four blocks that are 64 apart, and 64 lines follow one another: so neighbours, which different
 * workers own, share no line, and where workers are a power of two all in one line are one worker's.
 */
const BLOCK = 32;
const PAIR = 2;
const BYTES = 1;
/** Blocks of 64 lines of pairs. */
const TILE = 256;

if (VERDICTS.length > BLOCK) throw new RangeError(`${VERDICTS.length} verdicts in ${BLOCK} words`); // cold

/** A block as control reads it. */
export interface Tally {
  readonly packets: number;
  /** Inner octets of those packets. */
  readonly bytes: number;
  /** Only reasons that occurred. */
  readonly drops: Readonly<Partial<Record<VerdictName, number>>>;
}

export class Counters {
  readonly memory: SharedArrayBuffer;
  readonly #words: Float64Array;
  /** Where the other verdicts begin. */
  readonly #others: number;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#words = new Float64Array(memory, FIRST_LINE);
    this.#others = Math.trunc(this.#words.length / (PAIR + BLOCK)) * PAIR;
  }

  static create(blocks: number): Counters {
    const tiles = Math.ceil(blocks / TILE);
    return new Counters(new SharedArrayBuffer(LINE_SPARE + tiles * TILE * (PAIR + BLOCK) * 8));
  }

  #pairAt(block: number): number {
    return ((block & -TILE) + ((block & 63) << 2) + ((block >> 6) & 3)) * PAIR;
  }

  #wordAt(block: number, verdict: number): number {
    return verdict === PASS ? this.#pairAt(block) : this.#others + block * BLOCK + verdict;
  }

  /** Count one packet of `block`. `bytes` are its inner octets, counted when it passed. */
  count(block: number, verdict: number, bytes: number): void {
    this.add(block, verdict, 1, bytes);
  }

  /** Count several packets of one verdict, of `bytes` inner octets together. */
  add(block: number, verdict: number, packets: number, bytes: number): void {
    const words = this.#words;
    const at = this.#wordAt(block, verdict);
    words[at] = words[at]! + packets;
    if (verdict === PASS) words[at + BYTES] = words[at + BYTES]! + bytes;
  }

  /** Packets of `block` that got this verdict. */
  get(block: number, verdict: number): number {
    return this.#words[this.#wordAt(block, verdict)]!;
  }

  bytes(block: number): number {
    return this.#words[this.#pairAt(block) + BYTES]!;
  }

  /** All packets of `block`, whatever became of them. */
  sum(block: number): number {
    let sum = 0;
    for (let verdict = 0; verdict < VERDICTS.length; verdict++) sum += this.get(block, verdict);
    return sum;
  }

  clear(block: number): void {
    const pair = this.#pairAt(block);
    this.#words.fill(0, pair, pair + PAIR);
    const others = this.#others + block * BLOCK;
    this.#words.fill(0, others, others + BLOCK);
  }

  /** Add what `from` holds to `to`: an SA that ends leaves its counts to its tunnel. */
  addTo(to: number, from: number): void {
    this.add(to, Verdict.PASS, this.get(from, Verdict.PASS), this.bytes(from));
    for (let verdict = 1; verdict < VERDICTS.length; verdict++) this.add(to, verdict, this.get(from, verdict), 0);
  }

  tally(block: number): Tally {
    const drops: Partial<Record<VerdictName, number>> = {};
    for (let verdict = 1; verdict < VERDICTS.length; verdict++) {
      const count = this.get(block, verdict);
      if (count > 0) drops[VERDICTS[verdict]!.name] = count;
    }
    return { packets: this.get(block, Verdict.PASS), bytes: this.bytes(block), drops };
  }
}

/** The sum of several tallies. */
export const addTallies = (tallies: readonly Tally[]): Tally => {
  const drops: Partial<Record<VerdictName, number>> = {};
  let packets = 0;
  let bytes = 0;
  tallies.forEach((tally) => {
    packets += tally.packets;
    bytes += tally.bytes;
    VERDICTS.forEach(({ name }) => {
      const count = tally.drops[name];
      if (count !== undefined) drops[name] = (drops[name] ?? 0) + count;
    });
  });
  return { packets, bytes, drops };
};
