/** Sockets whose packets bear a mark, by which routing rules know them. */
import type { Family } from "../ip-address.ts";
import { systemError } from "./errno.ts";
import * as libc from "./libc.ts";
import { enlargeBuffers, openSocket, SO_MARK, SOCK_RAW, SOL_SOCKET, setOption } from "./socket.ts";

const IPPROTO_RAW = 255;
const ANY: Readonly<Record<Family, string>> = { 4: "0.0.0.0", 6: "::" };

/** From now on what this socket sends bears the mark. Throws ESPALIER_PRIVILEGE without CAP_NET_ADMIN. */
export const markSocket = (fd: number, mark: number): void => {
  const result = setOption(fd, SOL_SOCKET, SO_MARK, mark);
  if (result < 0) throw systemError(result, `mark ${mark} of a socket`);
};

/**
 * A raw socket that sends whole IP packets, header included, with this mark; it receives nothing. The kernel completes the
 * header checksum of IPv4 and sends what is longer than its link takes to nobody (EMSGSIZE). The caller closes it.
 */
export const openBypass = (family: Family, mark: number): number => {
  const fd = openSocket(ANY[family], SOCK_RAW, IPPROTO_RAW, `raw socket of IPv${family}`);
  try {
    markSocket(fd, mark);
    enlargeBuffers(fd);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
};
