/** The UDP socket of the IKE port, and how packets of IKE are marked on their way. */
import { type Endpoint, familyOf } from "../ip-address.ts";
import { systemError } from "./errno.ts";
import * as libc from "./libc.ts";
import {
  bindTo,
  enlargeBuffers,
  IP_TOS,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_TCLASS,
  IPV6_V6ONLY,
  openSocket,
  SOCK_DGRAM,
  setOption,
} from "./socket.ts";

const WHAT = "UDP socket";

/**
 * A bound socket with big buffers, so that a burst of strangers does not push the messages of peers out. A dgram socket may
 * take it over: `bind({ fd })`. Throws as `bindTo` does.
 */
export const openIkePort = (local: Endpoint): number => {
  const fd = openSocket(local.address, SOCK_DGRAM, 0, WHAT);
  try {
    if (familyOf(local.address) === 6) setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    enlargeBuffers(fd);
    bindTo(fd, local, WHAT);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
};

/** From now on packets from this socket have a DSCP of 0..63 in their header (RFC 2474). Throws ESPALIER_PLATFORM. */
export const markPackets = (fd: number, address: string, dscp: number): void => {
  const result =
    familyOf(address) === 4
      ? setOption(fd, IPPROTO_IP, IP_TOS, dscp << 2)
      : setOption(fd, IPPROTO_IPV6, IPV6_TCLASS, dscp << 2);
  if (result < 0) throw systemError(result, `${WHAT}: DSCP ${dscp}`, { code: "ESPALIER_PLATFORM" });
};
