/**
 * Who does something by itself next: a heap of IKE SAs and connections, by when. A time that moves away needs no word, it is
 * found out when it has come; one that comes closer does: `touch`.
 */

interface Entry<T> {
  readonly subject: T;
  /** Not later than its next timer; minus infinity: to be looked at. */
  at: number;
  index: number;
}

export class Wakes<T> {
  readonly #heap: Entry<T>[] = [];
  readonly #entries = new Map<T, Entry<T>>();

  /** How many are waited for, among them those that turn out to have nothing to do any more. */
  get size(): number {
    return this.#heap.length;
  }

  /** Something was begun or changed that may be due earlier than what was known, or nothing is left to be done. */
  touch(subject: T): void {
    let entry = this.#entries.get(subject);
    if (entry === undefined) {
      entry = { subject, at: Number.NEGATIVE_INFINITY, index: this.#heap.length };
      this.#entries.set(subject, entry);
      this.#heap.push(entry);
    }
    entry.at = Number.NEGATIVE_INFINITY;
    this.#rise(entry);
  }

  /** What is next of all, by what `next` says of one; one that has nothing to do is forgotten until it is touched. */
  first<Due extends { readonly at: number }>(next: (subject: T) => Due | undefined): Due | undefined {
    for (;;) {
      const [top] = this.#heap;
      if (top === undefined) return undefined;
      const due = next(top.subject);
      if (due === undefined) this.#remove(top);
      else if (due.at <= top.at) return due;
      else {
        top.at = due.at;
        this.#sink(top);
      }
    }
  }

  #remove(entry: Entry<T>): void {
    this.#entries.delete(entry.subject);
    const last = this.#heap.pop();
    if (last === undefined || last === entry) return;
    this.#put(last, entry.index);
    this.#sink(last);
    this.#rise(last);
  }

  #rise(entry: Entry<T>): void {
    while (entry.index > 0) {
      const index = (entry.index - 1) >> 1;
      const above = this.#heap[index];
      if (above === undefined || above.at <= entry.at) return;
      this.#put(above, entry.index);
      this.#put(entry, index);
    }
  }

  #sink(entry: Entry<T>): void {
    for (;;) {
      const [left, right] = [this.#heap[2 * entry.index + 1], this.#heap[2 * entry.index + 2]];
      const below = right !== undefined && left !== undefined && right.at < left.at ? right : left;
      if (below === undefined || below.at >= entry.at) return;
      const { index } = below;
      this.#put(below, entry.index);
      this.#put(entry, index);
    }
  }

  #put(entry: Entry<T>, index: number): void {
    this.#heap[index] = entry;
    entry.index = index;
  }
}
