/**
 * Sizes and offsets of the kernel's structures, in octets: LP64, little-endian, which x86_64 and arm64 share.
 * A test compares them with what the C compiler says. Nothing else in this folder may hold such a number.
 */

export const IFREQ = { size: 40, name: 0, value: 16 } as const;
/** Interface names hold at most this many octets, the closing NUL not counted. */
export const IFNAME_MAX = 15;

export const SOCKADDR = { family: 0 } as const;
export const SOCKADDR_IN = { size: 16, family: 0, port: 2, address: 4 } as const;
export const SOCKADDR_IN6 = { size: 28, family: 0, port: 2, flowinfo: 4, address: 8, scope: 24 } as const;
export const SOCKADDR_NL = { size: 12, family: 0, port: 4, groups: 8 } as const;

export const IOVEC = { size: 16, base: 0, length: 8 } as const;
export const MSGHDR = {
  size: 56,
  name: 0,
  nameLength: 8,
  iov: 16,
  iovLength: 24,
  control: 32,
  controlLength: 40,
  flags: 48,
} as const;
export const MMSGHDR = { size: 64, header: 0, length: 56 } as const;
export const CMSGHDR = { size: 16, length: 0, level: 8, type: 12 } as const;

/** Before each packet of a TUN device with vnetHdr; the numbers in it are of the machine's byte order. */
export const VIRTIO_NET_HDR = {
  size: 10,
  flags: 0,
  gsoType: 1,
  headerLength: 2,
  gsoSize: 4,
  checksumStart: 6,
  checksumOffset: 8,
} as const;

export const POLLFD = { size: 8, fd: 0, events: 4, revents: 6 } as const;
export const TIMESPEC = { size: 16, seconds: 0, nanoseconds: 8 } as const;
export const TIMEVAL = { size: 16, seconds: 0, microseconds: 8 } as const;

/** What io_uring_setup(2) is asked and answers; the offsets of its two parts lie behind `flags` and the like. */
export const IO_URING_PARAMS = {
  size: 120,
  entries: 0,
  completions: 4,
  flags: 8,
  submission: 40,
  completion: 80,
} as const;
/** Part of that: offsets into the ring, and behind the last of them (`reserved` and four octets) the address of SQEs. */
export const IO_SQRING_OFFSETS = { size: 40, head: 0, tail: 4, mask: 8, array: 24, reserved: 28 } as const;
/** The same of completions; behind the last one lies the address of the rings. */
export const IO_CQRING_OFFSETS = { size: 40, head: 0, tail: 4, mask: 8, cqes: 20, reserved: 28 } as const;
export const IO_URING_SQE = {
  size: 64,
  opcode: 0,
  fd: 4,
  address: 16,
  length: 24,
  rwFlags: 28,
  userData: 32,
} as const;
export const IO_URING_CQE = { size: 16, userData: 0, result: 8 } as const;
/** Which registered descriptor of a ring a request is about. */
export const IO_URING_RSRC_UPDATE = { size: 16, offset: 0 } as const;

export const SOCK_FILTER = { size: 8, code: 0, jt: 2, jf: 3, k: 4 } as const;
export const SOCK_FPROG = { size: 16, length: 0, filter: 8 } as const;

export const NLMSGHDR = { size: 16, length: 0, type: 4, flags: 6, sequence: 8, port: 12 } as const;
export const NLMSGERR = { size: 20, error: 0, message: 4 } as const;
export const RTATTR = { size: 4, length: 0, type: 2 } as const;
export const IFINFOMSG = { size: 16, family: 0, type: 2, index: 4, flags: 8, change: 12 } as const;
export const IFADDRMSG = { size: 8, family: 0, prefixLength: 1, flags: 2, scope: 3, index: 4 } as const;
export const RTMSG = {
  size: 12,
  family: 0,
  destinationLength: 1,
  sourceLength: 2,
  tos: 3,
  table: 4,
  protocol: 5,
  scope: 6,
  type: 7,
  flags: 8,
} as const;

/** Why these layouts do not hold on this machine, or undefined when they do. */
export const abiUnavailable = (
  platform: string = process.platform,
  arch: string = process.arch,
  littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1,
): string | undefined => {
  if (platform !== "linux") return `it needs Linux, this is ${platform}`;
  if (arch !== "x64" && arch !== "arm64") return `its structure layouts are those of x86_64 and arm64, this is ${arch}`;
  if (!littleEndian) return "its structure layouts are little-endian, this machine is not";
  return undefined;
};
