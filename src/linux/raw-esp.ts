/**
 * Raw sockets of IP protocol 50 (RFC 4303 §2), one per worker. Every raw socket would get a copy of every packet: a
 * filter keeps to each worker the SPIs that name it. What is sent gets its IP header from the kernel; what is received
 * begins with the IPv4 header, and for IPv6 with the ESP header.
 */
import { familyOf } from "../ip-address.ts";
import { attachFilter } from "./bpf.ts";
import { rawEspFilter, type Steering } from "./esp-steering.ts";
import * as libc from "./libc.ts";
import { Memory } from "./memory.ts";
import { bindTo, enlargeBuffers, openSocket, SOCK_RAW } from "./socket.ts";

const IPPROTO_ESP = 50;
const WHAT = "raw ESP socket";

export interface RawEspOptions extends Steering {
  /** Local address: the source of what is sent, and the destination of what is received. */
  readonly address: string;
  /** 0..workers-1. */
  readonly worker: number;
}

/** Open the raw socket of one worker; the caller closes it. Throws ESPALIER_PRIVILEGE without CAP_NET_RAW. */
export const openRawEsp = ({ address, worker, ...steering }: RawEspOptions): number => {
  const filter = rawEspFilter(familyOf(address), worker, steering);
  const fd = openSocket(address, SOCK_RAW, IPPROTO_ESP, WHAT);
  try {
    attachFilter(fd, filter);
    bindTo(fd, { address, port: 0 }, WHAT);
    enlargeBuffers(fd);
    drain(fd);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
};

/** Between socket() and filter the kernel may have queued what is not ours. */
const drain = (fd: number): void => {
  const memory = Memory.allocate(1); // the rest of a datagram is discarded
  while (libc.read(fd, memory, 0, 1) >= 0);
};
