// HOT PATH
/**
 * Many packets of a TUN queue: one read(2) or write(2) each, until the queue is empty or full. Columns are made once.
 * Nothing is allocated; system calls answer -errno; a RangeError is a bug of the caller, never of a packet.
 */
import { ERRNO } from "./errno.ts";
import * as libc from "./libc.ts";
import { type Memory, outOfRange } from "./memory.ts";

export class PacketBatch {
  readonly slab: Memory;
  readonly capacity: number;
  /** Where packet i lies in the slab. */
  readonly at: Int32Array;
  /** Octets: the room to read into, or the packet to write. */
  readonly length: Int32Array;
  /** What came of packet i: octets read or written, or -errno. */
  readonly result: Int32Array;

  constructor(slab: Memory, capacity: number) {
    if (capacity >>> 0 !== capacity || capacity < 1 || capacity > 65536) outOfRange("batch", 0, capacity, 65536);
    this.slab = slab;
    this.capacity = capacity;
    this.at = new Int32Array(capacity);
    this.length = new Int32Array(capacity);
    this.result = new Int32Array(capacity);
  }

  /** Read into packets `first` on, at most `count`. Returns how many came, or -errno (-EAGAIN: none). */
  read(fd: number, first: number, count: number): number {
    this.#checkRange(first, count);
    for (let i = first; i < first + count; i++) {
      const result = libc.read(fd, this.slab, this.at[i]!, this.length[i]!);
      this.result[i] = result;
      if (result < 0) return i > first ? i - first : result;
    }
    return count;
  }

  /**
   * Write packets `first` on, `count` of them. A packet that the kernel refuses (-EINVAL, or -EIO while the interface is
   * down) has its -errno in `result` and does not hold up the others. Returns how many were dealt with; fewer than
   * `count` when the queue is full, and -EAGAIN when it is before the first.
   */
  write(fd: number, first: number, count: number): number {
    this.#checkRange(first, count);
    for (let i = first; i < first + count; i++) {
      const result = libc.write(fd, this.slab, this.at[i]!, this.length[i]!);
      this.result[i] = result;
      if (result === -ERRNO.EAGAIN) return i > first ? i - first : result;
    }
    return count;
  }

  #checkRange(first: number, count: number): void {
    if (first >>> 0 !== first || count >>> 0 !== count || first + count > this.capacity)
      outOfRange("batch", first, count, this.capacity);
  }
}
