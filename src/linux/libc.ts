/**
 * The C library, through koffi. Each function proves that the octets it names lie inside the given memory, makes one
 * call, and returns its result or -errno. None throws for what the kernel answers; a RangeError is a bug of the caller.
 *
 * Importing this file never fails: where the library or the layouts are missing, the first call says so. But a worker
 * thread must not be terminated while it imports it: koffi then ends the process. Wait for a word of the worker first.
 */
import koffi, { type LibraryHandle } from "koffi";
import { EspalierError } from "../errors.ts";
import { abiUnavailable, IO_URING_PARAMS, IOVEC, MMSGHDR, POLLFD, TIMESPEC } from "./abi.ts";
import type { Memory } from "./memory.ts";

const LIBRARY = "libc.so.6";

const load = (): { library: LibraryHandle } | { reason: string } => {
  const reason = abiUnavailable();
  if (reason !== undefined) return { reason };
  try {
    return { library: koffi.load(LIBRARY) };
  } catch (error) {
    return { reason: `${LIBRARY} cannot be loaded: ${error instanceof Error ? error.message : String(error)}` };
  }
};

const loaded = load();

/** Why the C library cannot be called here, or undefined when it can. */
export const libcUnavailable = (): string | undefined => ("reason" in loaded ? loaded.reason : undefined);

type Call = (...args: readonly (number | string)[]) => number;

const bind = (name: string, result: string, ...args: string[]): Call => {
  if ("library" in loaded) return loaded.library.func(name, result, args);
  return () => {
    throw new EspalierError("ESPALIER_PLATFORM", `espalier cannot reach the kernel: ${loaded.reason}`, {
      remedy: "Run it on x86_64 or arm64 Linux with glibc.",
    });
  };
};

// Pointers are int64_t: a number made of a base and an offset costs less than a typed array.
const c = {
  open: bind("open", "int", "str", "int", "int"),
  close: bind("close", "int", "int"),
  read: bind("read", "int64_t", "int", "int64_t", "int64_t"),
  write: bind("write", "int64_t", "int", "int64_t", "int64_t"),
  memcpy: bind("memcpy", "void", "int64_t", "int64_t", "uint64_t"), // its result, an address, would be an object
  readv: bind("readv", "int64_t", "int", "int64_t", "int"),
  writev: bind("writev", "int64_t", "int", "int64_t", "int"),
  ioctl: bind("ioctl", "int", "int", "int64_t", "int64_t"),
  socket: bind("socket", "int", "int", "int", "int"),
  socketpair: bind("socketpair", "int", "int", "int", "int", "int64_t"),
  bind: bind("bind", "int", "int", "int64_t", "uint32_t"),
  connect: bind("connect", "int", "int", "int64_t", "uint32_t"),
  getsockname: bind("getsockname", "int", "int", "int64_t", "int64_t"),
  setsockopt: bind("setsockopt", "int", "int", "int", "int", "int64_t", "uint32_t"),
  getsockopt: bind("getsockopt", "int", "int", "int", "int", "int64_t", "int64_t"),
  poll: bind("poll", "int", "int64_t", "uint64_t", "int"),
  eventfd: bind("eventfd", "int", "uint32_t", "int"),
  recvmmsg: bind("recvmmsg", "int", "int", "int64_t", "uint32_t", "int", "int64_t"),
  clock_gettime: bind("clock_gettime", "int", "int", "int64_t"),
  sched_yield: bind("sched_yield", "int"),
  schedGetAffinity: bind("sched_getaffinity", "int", "int", "uint64_t", "int64_t"),
  schedSetAffinity: bind("sched_setaffinity", "int", "int", "uint64_t", "int64_t"),
  sendmmsg: bind("sendmmsg", "int", "int", "int64_t", "uint32_t", "int"),
  // Variable arguments that are all integers are passed like fixed ones, on x86_64 and arm64.
  syscall: bind("syscall", "int64_t", "int64_t", "int64_t", "int64_t", "int64_t", "int64_t", "int64_t", "int64_t"),
};

const outcome = (result: number): number => (result < 0 ? -koffi.errno() : result);

export const open = (path: string, flags: number): number => outcome(c.open(path, flags, 0));

export const close = (fd: number): number => outcome(c.close(fd));

export const read = (fd: number, memory: Memory, at: number, length: number): number =>
  outcome(c.read(fd, memory.at(at, length), length));

export const write = (fd: number, memory: Memory, at: number, length: number): number =>
  outcome(c.write(fd, memory.at(at, length), length));

/** Copy `length` octets at `at` of `from` to `toAt` of `to`. They must not overlap. */
export const memcpy = (to: Memory, toAt: number, from: Memory, at: number, length: number): void => {
  c.memcpy(to.at(toAt, length), from.at(at, length), length);
};

/** `count` prepared iovecs at `at`; what they point to is proved where they are written (IoVectors). */
export const readv = (fd: number, memory: Memory, at: number, count: number): number =>
  outcome(c.readv(fd, memory.at(at, count * IOVEC.size), count));

export const writev = (fd: number, memory: Memory, at: number, count: number): number =>
  outcome(c.writev(fd, memory.at(at, count * IOVEC.size), count));

/** An ioctl whose argument points to `size` octets. */
export const ioctl = (fd: number, request: number, memory: Memory, at: number, size: number): number =>
  outcome(c.ioctl(fd, request, memory.at(at, size)));

/** An ioctl whose argument is a number. */
export const ioctlNumber = (fd: number, request: number, value: number): number => outcome(c.ioctl(fd, request, value));

export const socket = (domain: number, type: number, protocol: number): number =>
  outcome(c.socket(domain, type, protocol));

/** Writes two descriptors at `at`. */
export const socketpair = (domain: number, type: number, protocol: number, memory: Memory, at: number): number =>
  outcome(c.socketpair(domain, type, protocol, memory.at(at, 8)));

export const bindSocket = (fd: number, memory: Memory, at: number, length: number): number =>
  outcome(c.bind(fd, memory.at(at, length), length));

export const connect = (fd: number, memory: Memory, at: number, length: number): number =>
  outcome(c.connect(fd, memory.at(at, length), length));

/** Writes at most `room` octets of address at `at`; the four octets at `lengthAt` receive its length. */
export const getsockname = (fd: number, memory: Memory, at: number, room: number, lengthAt: number): number => {
  const address = memory.at(at, room);
  const length = memory.at(lengthAt, 4);
  memory.view.setUint32(lengthAt, room, true);
  return outcome(c.getsockname(fd, address, length));
};

export const setsockopt = (
  fd: number,
  level: number,
  option: number,
  memory: Memory,
  at: number,
  length: number,
): number => outcome(c.setsockopt(fd, level, option, memory.at(at, length), length));

/** Writes at most `room` octets of value at `at`; the four octets at `lengthAt` receive its length. */
export const getsockopt = (
  fd: number,
  level: number,
  option: number,
  memory: Memory,
  at: number,
  room: number,
  lengthAt: number,
): number => {
  const value = memory.at(at, room);
  const length = memory.at(lengthAt, 4);
  memory.view.setUint32(lengthAt, room, true);
  return outcome(c.getsockopt(fd, level, option, value, length));
};

/** `timeout` in ms; -1 waits for ever. Blocks the calling thread: for workers. */
export const poll = (memory: Memory, at: number, count: number, timeout: number): number =>
  outcome(c.poll(memory.at(at, count * POLLFD.size), count, timeout));

export const eventfd = (initial: number, flags: number): number => outcome(c.eventfd(initial, flags));

/** CPU mask of the calling thread, `length` octets at `at`. */
export const schedGetAffinity = (memory: Memory, at: number, length: number): number =>
  outcome(c.schedGetAffinity(0, length, memory.at(at, length)));

export const schedSetAffinity = (memory: Memory, at: number, length: number): number =>
  outcome(c.schedSetAffinity(0, length, memory.at(at, length)));

/** `count` prepared mmsghdrs at `at`; what they point to is proved where they are written (MsgBatch). */
export const recvmmsg = (fd: number, memory: Memory, at: number, count: number, flags: number): number =>
  outcome(c.recvmmsg(fd, memory.at(at, count * MMSGHDR.size), count, flags, 0));

export const sendmmsg = (fd: number, memory: Memory, at: number, count: number, flags: number): number =>
  outcome(c.sendmmsg(fd, memory.at(at, count * MMSGHDR.size), count, flags));

/** Writes a timespec at `at`. */
export const clockGettime = (clock: number, memory: Memory, at: number): number =>
  outcome(c.clock_gettime(clock, memory.at(at, TIMESPEC.size)));

/** Let others that wait for this processor run first. */
export const schedYield = (): number => outcome(c.sched_yield());

/** Numbers of system calls that the C library has no function for; those since Linux 5.0 are the same everywhere. */
const SYS_IO_URING_SETUP = 425;
const SYS_IO_URING_ENTER = 426;
const SYS_IO_URING_REGISTER = 427;

/** An io_uring_params at `at`; what it points to is proved where it is written (IoUring). */
export const ioUringSetup = (entries: number, memory: Memory, at: number): number =>
  outcome(c.syscall(SYS_IO_URING_SETUP, entries, memory.at(at, IO_URING_PARAMS.size), 0, 0, 0, 0));

/** What the submitted entries point to is proved where they are written (IoUring). */
export const ioUringEnter = (ring: number, submit: number, complete: number, flags: number): number =>
  outcome(c.syscall(SYS_IO_URING_ENTER, ring, submit, complete, flags, 0, 0));

/** A registration whose argument is `count` things of `size` octets at `at`. */
export const ioUringRegister = (
  ring: number,
  request: number,
  memory: Memory,
  at: number,
  size: number,
  count: number,
): number => outcome(c.syscall(SYS_IO_URING_REGISTER, ring, request, memory.at(at, size * count), count, 0, 0));
