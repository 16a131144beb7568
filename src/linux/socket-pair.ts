/** Two ends of a queue of packets in memory, unix(7) SOCK_SEQPACKET: what is written to the one is read from the other. */
import { systemError } from "./errno.ts";
import * as libc from "./libc.ts";
import { Memory } from "./memory.ts";

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;

/** Neither end ever waits; one takes an address to send to, and control messages, and heeds none. The caller closes both. */
export const openSocketPair = (): readonly [number, number] => {
  const memory = Memory.allocate(8);
  const result = libc.socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, memory, 0);
  if (result < 0) throw systemError(result, "socketpair");
  return [memory.view.getInt32(0, true), memory.view.getInt32(4, true)];
};
