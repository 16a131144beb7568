// HOT PATH
/** readv(2) and writev(2) over iovecs that are prepared once: a packet as several pieces of the slab, without a copy. */
import { IOVEC } from "./abi.ts";
import * as libc from "./libc.ts";
import { Memory, outOfRange } from "./memory.ts";

/** The kernel takes no more in one call. */
const IOV_MAX = 1024;

export class IoVectors {
  readonly slab: Memory;
  readonly capacity: number;
  readonly #memory: Memory;
  readonly #words: Uint32Array;

  constructor(slab: Memory, capacity: number) {
    if (capacity >>> 0 !== capacity || capacity < 1) outOfRange("iovecs", 0, capacity, 0);
    this.slab = slab;
    this.capacity = capacity;
    this.#memory = Memory.allocate(capacity * IOVEC.size);
    this.#words = new Uint32Array(this.#memory.bytes.buffer);
    for (let i = 0; i < capacity; i++) this.set(i, 0, 0);
  }

  /** Piece `i` is `length` octets at `at` of the slab. */
  set(i: number, at: number, length: number): void {
    if (i >>> 0 !== i || i >= this.capacity) outOfRange("iovecs", i, 1, this.capacity);
    const address = this.slab.at(at, length);
    this.#words[i * 4] = address >>> 0;
    this.#words[i * 4 + 1] = (address / 0x1_0000_0000) >>> 0;
    this.#words[i * 4 + 2] = length;
  }

  /** Read one packet into pieces `first` to `first + count - 1`. Returns its octets, or -errno. */
  read(fd: number, first: number, count: number): number {
    this.#checkRange(first, count);
    return libc.readv(fd, this.#memory, first * IOVEC.size, count);
  }

  /** Write pieces `first` to `first + count - 1` as one packet. Returns its octets, or -errno. */
  write(fd: number, first: number, count: number): number {
    this.#checkRange(first, count);
    return libc.writev(fd, this.#memory, first * IOVEC.size, count);
  }

  /** The address of iovecs `first` to `first + count - 1`, for a call that takes them. */
  address(first: number, count: number): number {
    this.#checkRange(first, count);
    return this.#memory.base + first * IOVEC.size;
  }

  #checkRange(first: number, count: number): void {
    if (first >>> 0 !== first || count >>> 0 !== count || count > IOV_MAX || first + count > this.capacity)
      outOfRange("iovecs", first, count, this.capacity);
  }
}
