/** Error numbers of Linux, and what they become when a caller's request fails. */
import { type ErrorCode, EspalierError } from "../errors.ts";

/** asm-generic/errno: the same on x86_64 and arm64. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  ENOSPC: 28,
  ERANGE: 34,
  ENOSYS: 38,
  EBADFD: 77,
  EMSGSIZE: 90,
  ENOPROTOOPT: 92,
  EPROTONOSUPPORT: 93,
  EOPNOTSUPP: 95,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ENOBUFS: 105,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTUNREACH: 113,
} as const;

const NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(ERRNO).map(([name, number]) => [number, name]),
);

/** HOT PATH. A call that gave -errno may well succeed at the next try: nothing is wrong with what was asked for. */
export const isPassing = (result: number): boolean =>
  result === -ERRNO.EAGAIN || result === -ERRNO.EINTR || result === -ERRNO.ENOMEM || result === -ERRNO.ENOBUFS;

/** `EAGAIN` for 11 or -11; `errno 200` for a number that has no name here. */
export const errnoName = (errno: number): string => NAMES[Math.abs(errno)] ?? `errno ${Math.abs(errno)}`;

const CODES: Readonly<Record<number, ErrorCode>> = {
  [ERRNO.EPERM]: "ESPALIER_PRIVILEGE",
  [ERRNO.EACCES]: "ESPALIER_PRIVILEGE",
  [ERRNO.EADDRINUSE]: "ESPALIER_IN_USE",
  [ERRNO.EBUSY]: "ESPALIER_IN_USE",
  [ERRNO.EEXIST]: "ESPALIER_IN_USE",
  [ERRNO.ENODEV]: "ESPALIER_USAGE",
  [ERRNO.EINVAL]: "ESPALIER_USAGE",
  [ERRNO.ERANGE]: "ESPALIER_USAGE",
  [ERRNO.EADDRNOTAVAIL]: "ESPALIER_CONFIG",
};

const REMEDIES: Readonly<Record<number, string>> = {
  [ERRNO.EPERM]: "Run as root, or give the process CAP_NET_ADMIN and CAP_NET_RAW.",
  [ERRNO.EACCES]: "Run as root, or give the process CAP_NET_ADMIN and CAP_NET_RAW.",
  [ERRNO.EADDRINUSE]: "Stop the program that holds it (see `ss -lunp`), or choose another port.",
  [ERRNO.EADDRNOTAVAIL]: "Use an address that an interface of this machine has (see `ip address`).",
  [ERRNO.EMFILE]: "Raise the limit of open files (`ulimit -n`).",
  [ERRNO.EAFNOSUPPORT]: "Enable IPv6 in the kernel, or configure IPv4 addresses only.",
};

/** An error of the kernel as callers see it: `code` follows from the number, and `cause` keeps the number. */
export const systemError = (
  errno: number,
  doing: string,
  { code, remedy, detail }: { code?: ErrorCode; remedy?: string; detail?: string | undefined } = {},
): EspalierError => {
  const number = Math.abs(errno);
  const advice = remedy ?? REMEDIES[number];
  return new EspalierError(
    code ?? CODES[number] ?? "ESPALIER_PLATFORM",
    `${doing}: ${errnoName(number)}${detail === undefined ? "" : ` (${detail})`}`,
    {
      cause: Object.assign(new Error(errnoName(number)), { errno: number }),
      ...(advice === undefined ? {} : { remedy: advice }),
    },
  );
};
