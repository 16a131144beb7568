/** eventfd(2): how one thread wakes another that sleeps in poll(2). The descriptor belongs to the process. */
import { ERRNO, systemError } from "./errno.ts";
import * as libc from "./libc.ts";
import { Memory } from "./memory.ts";

const EFD_NONBLOCK = 0x800;
const EFD_CLOEXEC = 0x80000;
const COUNTER = 8;

const one = Memory.allocate(COUNTER);
one.bytes[0] = 1;
const sink = Memory.allocate(COUNTER);

/** A non-blocking event counter at zero. The caller closes it. */
export const openEventfd = (): number => {
  const fd = libc.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) throw systemError(fd, "eventfd");
  return fd;
};

/** Make the descriptor readable. Returns -errno on failure; -EAGAIN means that it is readable already. */
export const wake = (fd: number): number => libc.write(fd, one, 0, COUNTER);

/** Make it unreadable again. Returns how often it was woken since, 0 when it was not, or -errno. */
export const drainEventfd = (fd: number): number => {
  const result = libc.read(fd, sink, 0, COUNTER);
  return result === COUNTER ? sink.getWord64(0) : result === -ERRNO.EAGAIN ? 0 : result;
};
