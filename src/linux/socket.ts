/** Opening sockets, and the few options that all of ours want. Control path: each failure is an EspalierError. */
import { type Endpoint, familyOf, formatEndpoint } from "../ip-address.ts";
import { systemError } from "./errno.ts";
import * as libc from "./libc.ts";
import { Memory } from "./memory.ts";
import { AF_INET, AF_INET6, readSockaddr, SOCKADDR_ROOM, writeSockaddr } from "./sockaddr.ts";

export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0x800;
export const SOCK_CLOEXEC = 0x80000;

export const SOL_SOCKET = 1;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_REUSEPORT = 15;
export const SO_RCVTIMEO = 20;
export const SO_ATTACH_FILTER = 26;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
export const SO_MARK = 36;
export const SO_ATTACH_REUSEPORT_CBPF = 51;
const SO_MEMINFO = 55;
const MEMINFO_DROPS = 8 * 4; // SK_MEMINFO_DROPS, in octets
export const SOL_UDP = 17;
export const UDP_SEGMENT = 103;
export const IPPROTO_IP = 0;
export const IP_TOS = 1;
export const IPPROTO_IPV6 = 41;
export const IPV6_TCLASS = 67;
export const IPV6_V6ONLY = 26;

/** Octets of each socket buffer, before the kernel doubles it for its own bookkeeping. */
const BUFFER = 7 * 1024 * 1024;

/** A non-blocking socket of the family of `address`. The caller closes it. */
export const openSocket = (address: string, type: number, protocol: number, doing: string): number => {
  const domain = familyOf(address) === 4 ? AF_INET : AF_INET6;
  const fd = libc.socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (fd < 0) throw systemError(fd, doing);
  return fd;
};

/** Set an option of four octets. Returns 0 or -errno. */
export const setOption = (fd: number, level: number, option: number, value: number): number => {
  const memory = Memory.allocate(4);
  memory.view.setInt32(0, value, true);
  return libc.setsockopt(fd, level, option, memory, 0, 4);
};

/** Read an option of four octets. Returns it, or -errno. */
export const getOption = (fd: number, level: number, option: number): number => {
  const memory = Memory.allocate(8);
  const result = libc.getsockopt(fd, level, option, memory, 0, 4, 4);
  return result < 0 ? result : memory.view.getInt32(0, true);
};

/**
 * What came for a socket and was dropped, most of it because the buffer was full; a train of datagrams (UDP_GRO) counts as
 * one. 0 before Linux 4.12.
 */
export const overrunsOf = (fd: number): number => {
  const memory = Memory.allocate(MEMINFO_DROPS + 8);
  const result = libc.getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, 0, MEMINFO_DROPS + 4, MEMINFO_DROPS + 4);
  return result < 0 ? 0 : memory.view.getUint32(MEMINFO_DROPS, true);
};

/** Ask for big buffers: past the system's limit with CAP_NET_ADMIN, else as much as it grants. A wish, not a need. */
export const enlargeBuffers = (fd: number): void => {
  if (setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER) < 0) setOption(fd, SOL_SOCKET, SO_RCVBUF, BUFFER);
  if (setOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER) < 0) setOption(fd, SOL_SOCKET, SO_SNDBUF, BUFFER);
};

/** Bind, or throw an EspalierError that names `what` and the endpoint. Does not close `fd`. */
export const bindTo = (fd: number, endpoint: Endpoint, what: string): void => {
  const memory = Memory.allocate(SOCKADDR_ROOM);
  const length = writeSockaddr(memory.bytes, 0, endpoint);
  const result = libc.bindSocket(fd, memory, 0, length);
  if (result < 0) throw systemError(result, `${what} cannot be bound to ${formatEndpoint(endpoint)}`);
};

/** The address and port a socket is bound to. */
export const boundEndpoint = (fd: number): Endpoint => {
  const memory = Memory.allocate(SOCKADDR_ROOM + 4);
  const result = libc.getsockname(fd, memory, 0, SOCKADDR_ROOM, SOCKADDR_ROOM);
  const endpoint = result < 0 ? undefined : readSockaddr(memory.bytes, 0);
  if (endpoint === undefined) throw systemError(result, "address of a socket");
  return endpoint;
};
