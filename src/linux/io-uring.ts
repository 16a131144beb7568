// HOT PATH
/**
 * Many reads and writes in one system call: io_uring(7), used as a batch. Operations are added, `run` submits them and
 * returns when all are complete; none waits for anything (RWF_NOWAIT), so they are done in the order in which they were
 * added, and one that would have to wait answers -EAGAIN. What they cost less is the way into the kernel.
 *
 * The rings lie in memory of ours, and the ring has no descriptor: it is registered with the thread that opened it, which
 * alone may use it, and goes away with that thread. Linux 6.5 and later can do that; on others, and where the system
 * forbids io_uring, `refusal` says why.
 *
 * The kernel takes a ring apart some time after it was closed, or its thread has ended, and then writes to its rings once
 * more. So their memory must never be another's: it is a mapping of its own.
 */
import {
  IO_CQRING_OFFSETS,
  IO_SQRING_OFFSETS,
  IO_URING_CQE,
  IO_URING_PARAMS,
  IO_URING_RSRC_UPDATE,
  IO_URING_SQE,
} from "./abi.ts";
import { ERRNO, errnoName } from "./errno.ts";
import type { IoVectors } from "./io-vectors.ts";
import * as libc from "./libc.ts";
import { Memory, outOfRange } from "./memory.ts";

/** The entries of a ring fill one page of the smallest size, and so does all else. */
export const RING_ENTRIES = 64;
/** The largest page there is: what begins at a multiple of it begins a page. */
const PAGE = 65_536;

const SETUP_SUBMIT_ALL = 1 << 7;
const SETUP_SINGLE_ISSUER = 1 << 12;
const SETUP_DEFER_TASKRUN = 1 << 13;
const SETUP_NO_MMAP = 1 << 14;
const SETUP_REGISTERED_FD_ONLY = 1 << 15;
const SETUP = SETUP_SUBMIT_ALL | SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN | SETUP_NO_MMAP | SETUP_REGISTERED_FD_ONLY;

const ENTER_GETEVENTS = 1;
const ENTER_REGISTERED_RING = 1 << 4;
const ENTER = ENTER_GETEVENTS | ENTER_REGISTERED_RING;

const UNREGISTER_RING_FDS = 21;
const USE_REGISTERED_RING = 0x8000_0000;

const OP_WRITEV = 2;
const OP_READ = 22;
const OP_WRITE = 23;
const RWF_NOWAIT = 0x8;

/** Offsets in words of 32 bits. */
const SQE_WORDS = IO_URING_SQE.size / 4;
const SQE_FD = IO_URING_SQE.fd / 4;
const SQE_ADDRESS = IO_URING_SQE.address / 4;
const SQE_LENGTH = IO_URING_SQE.length / 4;
const SQE_RW_FLAGS = IO_URING_SQE.rwFlags / 4;
const SQE_USER_DATA = IO_URING_SQE.userData / 4;
const CQE_WORDS = IO_URING_CQE.size / 4;
const CQE_RESULT = IO_URING_CQE.result / 4;

/** What a refused io_uring_setup(2) means. */
export const refusal = (result: number): string => {
  if (result === -ERRNO.EPERM) return "forbidden by kernel.io_uring_disabled or a seccomp filter";
  if (result === -ERRNO.ENOSYS) return "the kernel has none, or a seccomp filter hides it";
  if (result === -ERRNO.EINVAL) return "the kernel is older than Linux 6.5";
  return `io_uring_setup: ${errnoName(result)}`;
};

export class IoUring {
  /** How many operations are added. */
  count = 0;
  /** What came of operation i of the last run: octets, or -errno. */
  readonly result = new Int32Array(RING_ENTRIES);
  /** Number of the ring among those that are registered with this thread. */
  readonly #ring: number;
  readonly #sqes: Int32Array;
  readonly #sqHead: number;
  readonly #sqTail: number;
  readonly #sqMask: number;
  readonly #cqHead: number;
  readonly #cqTail: number;
  readonly #cqMask: number;
  readonly #cqes: number;
  /** The rings as words: what the offsets above, in words, count in. */
  readonly #words: Int32Array;
  /** Free-running, like the kernel's: where the next entry is submitted, and the next completion read. */
  #tail = 0;
  #head = 0;

  private constructor(memory: Memory, ringsAt: number, sqesAt: number, params: DataView, ring: number) {
    const sq = (member: keyof typeof IO_SQRING_OFFSETS): number =>
      params.getUint32(IO_URING_PARAMS.submission + IO_SQRING_OFFSETS[member], true) / 4;
    const cq = (member: keyof typeof IO_CQRING_OFFSETS): number =>
      params.getUint32(IO_URING_PARAMS.completion + IO_CQRING_OFFSETS[member], true) / 4;
    this.#ring = ring;
    this.#words = new Int32Array(memory.bytes.buffer, ringsAt, PAGE / 4);
    this.#sqes = new Int32Array(memory.bytes.buffer, sqesAt, RING_ENTRIES * SQE_WORDS);
    this.#sqHead = sq("head");
    this.#sqTail = sq("tail");
    this.#sqMask = this.#words[sq("mask")]!;
    this.#cqHead = cq("head");
    this.#cqTail = cq("tail");
    this.#cqMask = this.#words[cq("mask")]!;
    this.#cqes = cq("cqes");
    const array = sq("array");
    for (let i = 0; i < RING_ENTRIES; i++) this.#words[array + i] = i;
  }

  /** A ring for this thread, or -errno (see `refusal`). */
  static open(): IoUring | number {
    const memory = Memory.allocateMapping(3 * PAGE);
    const ringsAt = (PAGE - (memory.base % PAGE)) % PAGE;
    const sqesAt = ringsAt + PAGE;
    const params = Memory.allocate(IO_URING_PARAMS.size);
    params.view.setUint32(IO_URING_PARAMS.flags, SETUP, true);
    const behind = 4;
    params.setWord64(
      IO_URING_PARAMS.submission + IO_SQRING_OFFSETS.reserved + behind,
      memory.at(sqesAt, RING_ENTRIES * IO_URING_SQE.size),
    );
    params.setWord64(IO_URING_PARAMS.completion + IO_CQRING_OFFSETS.reserved + behind, memory.at(ringsAt, PAGE));
    const ring = libc.ioUringSetup(RING_ENTRIES, params, 0);
    if (ring < 0) return ring;
    return new IoUring(memory, ringsAt, sqesAt, params.view, ring);
  }

  /** Nothing more fits before `run`. */
  get isFull(): boolean {
    return this.count === RING_ENTRIES;
  }

  /** Read into `length` octets at `at`. Memory must stay as it is until `run` has returned. */
  read(fd: number, memory: Memory, at: number, length: number): void {
    this.#add(OP_READ, fd, memory.at(at, length), length);
  }

  write(fd: number, memory: Memory, at: number, length: number): void {
    this.#add(OP_WRITE, fd, memory.at(at, length), length);
  }

  /** Write pieces `first` to `first + count - 1` as one. */
  writePieces(fd: number, pieces: IoVectors, first: number, count: number): void {
    this.#add(OP_WRITEV, fd, pieces.address(first, count), count);
  }

  /** Do all that was added, in order. Then `result` holds what came of it, and nothing is added any more. */
  run(): void {
    const words = this.#words;
    let count = this.count;
    let waiting = count;
    this.count = 0;
    Atomics.store(words, this.#sqTail, this.#tail);
    while (waiting > 0 || this.#completed() < count) {
      const submitted = libc.ioUringEnter(this.#ring, waiting, count, ENTER);
      if (submitted >= 0) waiting -= submitted;
      else if (submitted !== -ERRNO.EINTR) {
        // The kernel lacks the memory: what it has not taken is taken back.
        this.#tail = Atomics.load(words, this.#sqHead);
        Atomics.store(words, this.#sqTail, this.#tail);
        for (; waiting > 0; waiting--) this.result[--count] = submitted;
      }
    }
    for (let i = 0; i < count; i++) {
      const at = this.#cqes + (this.#head & this.#cqMask) * CQE_WORDS;
      this.result[words[at]!] = words[at + CQE_RESULT]!;
      this.#head = (this.#head + 1) | 0;
    }
    Atomics.store(words, this.#cqHead, this.#head);
  }

  /** Give the ring back before the thread ends. */
  close(): void {
    const which = Memory.allocate(IO_URING_RSRC_UPDATE.size);
    which.view.setUint32(IO_URING_RSRC_UPDATE.offset, this.#ring, true);
    libc.ioUringRegister(this.#ring, UNREGISTER_RING_FDS + USE_REGISTERED_RING, which, 0, IO_URING_RSRC_UPDATE.size, 1);
  }

  #completed(): number {
    return (Atomics.load(this.#words, this.#cqTail) - this.#head) | 0;
  }

  #add(operation: number, fd: number, address: number, length: number): void {
    if (this.count >= RING_ENTRIES) outOfRange("ring", this.count, 1, RING_ENTRIES);
    const at = (this.#tail & this.#sqMask) * SQE_WORDS;
    const sqes = this.#sqes;
    sqes[at] = operation;
    sqes[at + SQE_FD] = fd;
    sqes[at + SQE_ADDRESS] = address | 0;
    sqes[at + SQE_ADDRESS + 1] = address / 0x1_0000_0000;
    sqes[at + SQE_LENGTH] = length;
    sqes[at + SQE_RW_FLAGS] = RWF_NOWAIT;
    sqes[at + SQE_USER_DATA] = this.count++;
    this.#tail = (this.#tail + 1) | 0;
  }
}
