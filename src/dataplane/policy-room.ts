/**
 * Where lists of policies lie in shared memory, as control keeps account of it: the first place that is large enough, and
 * what was freed is used again once no worker can read it any more.
 */
import { EspalierError } from "../errors.ts";

interface Block {
  readonly at: number;
  readonly words: number;
}

export class PolicyRoom {
  readonly #first: number;
  readonly #end: number;
  /** What is taken, ascending. */
  #taken: Block[] = [];
  #retired: { readonly at: number; readonly revision: number }[] = [];

  /** The first word, and the one behind the last. */
  constructor([first, end]: readonly [number, number]) {
    this.#first = first;
    this.#end = end;
  }

  /** Throws ESPALIER_USAGE when there is no room for so many words. */
  take(words: number): number {
    let at = this.#first;
    let place = 0;
    for (const block of this.#taken) {
      if (block.at - at >= words) break;
      at = block.at + block.words;
      place++;
    }
    if (this.#end - at < words)
      throw new EspalierError("ESPALIER_USAGE", `no room for a list of policies of ${words * 4} octets`, {
        remedy: "Join ranges of addresses or ports.",
      });
    this.#taken.splice(place, 0, { at, words });
    return at;
  }

  /** Not published any more since `revision` of the worker board. */
  retire(at: number, revision: number): void {
    this.#retired.push({ at, revision });
  }

  /** `passed`: whether all workers have begun a batch after a revision. */
  reclaim(passed: (revision: number) => boolean): void {
    if (this.#retired.length === 0) return;
    const gone = new Set(this.#retired.filter(({ revision }) => passed(revision)).map(({ at }) => at));
    this.#retired = this.#retired.filter(({ at }) => !gone.has(at));
    this.#taken = this.#taken.filter(({ at }) => !gone.has(at));
  }
}
