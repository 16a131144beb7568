// HOT PATH
/**
 * Packets by verdict, in shared memory: a block of counters for each SA, each tunnel and each direction of each worker.
 * A block has one writer, so counting is a plain addition; control reads. `PASS` counts packets delivered, `bytes` their
 * inner octets.
 *
 * Every packet is counted once with its worker, and once more with its SA; or, going out without one, with its tunnel. So
 * what workers sent is the sum over tunnels, and what they received is that and the packets that name no SA of theirs.
 */
import { VERDICTS, Verdict, type VerdictName } from "./verdict.ts";

/**
 * Float64 words of a block, four cache lines: PASS, which is verdict 0, its octets beside it, and a word for every other
 * verdict. So what every packet counts is in one line.
 */
const BLOCK = 32;
const BYTES = 1;
const OTHERS = 1; // verdict n is word n + 1

if (VERDICTS.length + OTHERS > BLOCK) throw new RangeError(`${VERDICTS.length} verdicts in ${BLOCK} words`); // cold

const wordOf = (verdict: number): number => (verdict === Verdict.PASS ? 0 : verdict + OTHERS);

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

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#words = new Float64Array(memory);
  }

  static create(blocks: number): Counters {
    return new Counters(new SharedArrayBuffer(blocks * BLOCK * 8));
  }

  /** Count one packet of `block`. `bytes` are its inner octets, counted when it passed. */
  count(block: number, verdict: number, bytes: number): void {
    const words = this.#words;
    const at = block * BLOCK;
    words[at + wordOf(verdict)] = words[at + wordOf(verdict)]! + 1;
    if (verdict === Verdict.PASS) words[at + BYTES] = words[at + BYTES]! + bytes;
  }

  /** Count several packets of one verdict, of `bytes` inner octets together. */
  add(block: number, verdict: number, packets: number, bytes: number): void {
    const words = this.#words;
    const at = block * BLOCK;
    words[at + wordOf(verdict)] = words[at + wordOf(verdict)]! + packets;
    if (verdict === Verdict.PASS) words[at + BYTES] = words[at + BYTES]! + bytes;
  }

  /** Load the line of `block` that packets which pass count in, so that those of a batch arrive together. */
  touch(block: number): number {
    return this.#words[block * BLOCK]!;
  }

  /** Packets of `block` that got this verdict. */
  get(block: number, verdict: number): number {
    return this.#words[block * BLOCK + wordOf(verdict)]!;
  }

  bytes(block: number): number {
    return this.#words[block * BLOCK + BYTES]!;
  }

  /** All packets of `block`, whatever became of them. */
  sum(block: number): number {
    let sum = 0;
    for (let verdict = 0; verdict < VERDICTS.length; verdict++) sum += this.get(block, verdict);
    return sum;
  }

  clear(block: number): void {
    this.#words.fill(0, block * BLOCK, (block + 1) * BLOCK);
  }

  /** Add what `from` holds to `to`: an SA that ends leaves its counts to its tunnel. */
  addTo(to: number, from: number): void {
    for (let i = 0; i < BLOCK; i++)
      this.#words[to * BLOCK + i] = this.#words[to * BLOCK + i]! + this.#words[from * BLOCK + i]!;
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
