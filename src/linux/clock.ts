// HOT PATH
/** A clock for short spans: CLOCK_MONOTONIC in whole µs, without an object for the garbage collector. */
import { TIMESPEC } from "./abi.ts";
import * as libc from "./libc.ts";
import { Memory } from "./memory.ts";

const CLOCK_MONOTONIC = 1;

export class MicroClock {
  readonly #memory = Memory.allocate(TIMESPEC.size);
  readonly #words = new Int32Array(this.#memory.bytes.buffer);

  /** µs since some moment, modulo 2^32, as a signed number: `(later - earlier) | 0` is a span of at most 35 minutes. */
  now(): number {
    libc.clockGettime(CLOCK_MONOTONIC, this.#memory, 0);
    const seconds = this.#words[TIMESPEC.seconds >> 2]!;
    const nanoseconds = this.#words[TIMESPEC.nanoseconds >> 2]!;
    return (Math.imul(seconds, 1_000_000) + ((nanoseconds / 1000) | 0)) | 0;
  }
}
