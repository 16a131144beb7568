// HOT PATH
/** poll(2) over an array that is prepared once: what a worker sleeps in. */
import { POLLFD } from "./abi.ts";
import { ERRNO } from "./errno.ts";
import * as libc from "./libc.ts";
import { Memory, outOfRange } from "./memory.ts";

export const POLLIN = 0x001;
export const POLLOUT = 0x004;
export const POLLNVAL = 0x020;

export class PollSet {
  readonly #memory: Memory;
  readonly #words: Int16Array;
  readonly #capacity: number;
  #count = 0;

  constructor(capacity: number) {
    this.#memory = Memory.allocate(capacity * POLLFD.size);
    this.#words = new Int16Array(this.#memory.bytes.buffer);
    this.#capacity = capacity;
  }

  get count(): number {
    return this.#count;
  }

  /** Watch `fd`; returns its index. Throws a RangeError when the set is full. */
  add(fd: number, events: number): number {
    if (this.#count >= this.#capacity) outOfRange("poll set", this.#count, 1, this.#capacity);
    const index = this.#count++;
    this.set(index, fd, events);
    return index;
  }

  /** Change what is watched at `index`; a negative `fd` is skipped by the kernel. */
  set(index: number, fd: number, events: number): void {
    if (index >>> 0 !== index || index >= this.#count) outOfRange("poll set", index, 1, this.#count);
    this.#memory.view.setInt32(index * POLLFD.size + POLLFD.fd, fd, true);
    this.#words[index * 4 + 2] = events;
    this.#words[index * 4 + 3] = 0;
  }

  /** Wait for events only, of descriptor `index`. */
  setEvents(index: number, events: number): void {
    if (index >>> 0 !== index || index >= this.#count) outOfRange("poll set", index, 1, this.#count);
    this.#words[index * 4 + 2] = events;
  }

  /** Forget all descriptors. */
  clear(): void {
    this.#count = 0;
  }

  /** Sleep up to `timeout` ms (-1: for ever). Returns how many are ready, 0 after the time or a signal, or -errno. */
  wait(timeout: number): number {
    const result = libc.poll(this.#memory, 0, this.#count, timeout);
    if (result !== -ERRNO.EINTR) return result;
    for (let i = 0; i < this.#count; i++) this.#words[i * 4 + 3] = 0; // the kernel left the last answer there
    return 0;
  }

  /** What happened to descriptor `index` in the last wait. */
  ready(index: number): number {
    return index < this.#count ? this.#words[index * 4 + 3]! : 0;
  }
}
