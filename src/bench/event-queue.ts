/** What a discrete-event simulation is made of: queues, and events in the order of their time. */

/** Numbers in the order of their coming. */
export class Queue {
  #values: number[] = [];
  #head = 0;

  get length(): number {
    return this.#values.length - this.#head;
  }

  add(value: number): void {
    this.#values.push(value);
  }

  take(): number {
    const value = this.#values[this.#head++]!;
    if (this.#head > 4096) {
      this.#values = this.#values.slice(this.#head);
      this.#head = 0;
    }
    return value;
  }
}

/** Processors in the order of the time at which they will be free: a binary heap. */
export class Events {
  readonly #times: number[] = [];
  readonly #processors: number[] = [];

  get next(): number {
    return this.#times[0] ?? Number.POSITIVE_INFINITY;
  }

  add(time: number, processor: number): void {
    let at = this.#times.length;
    for (; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (this.#times[parent]! <= time) break;
      this.#times[at] = this.#times[parent]!;
      this.#processors[at] = this.#processors[parent]!;
      at = parent;
    }
    this.#times[at] = time;
    this.#processors[at] = processor;
  }

  /** The processor of the first event. */
  take(): number {
    const processor = this.#processors[0]!;
    const time = this.#times.pop()!;
    const last = this.#processors.pop()!;
    const size = this.#times.length;
    let at = 0;
    for (let child = 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && this.#times[child + 1]! < this.#times[child]!) child++;
      if (this.#times[child]! >= time) break;
      this.#times[at] = this.#times[child]!;
      this.#processors[at] = this.#processors[child]!;
      at = child;
    }
    if (size > 0) {
      this.#times[at] = time;
      this.#processors[at] = last;
    }
    return processor;
  }
}
