// HOT PATH
/**
 * TOS (IPv4) and traffic class (IPv6) of single datagrams, by control messages: ip(7) IP_TOS and IP_RECVTOS, ipv6(7)
 * IPV6_TCLASS and IPV6_RECVTCLASS. They go together with UDP_SEGMENT and UDP_GRO: a train has one, and the kernel merges no
 * datagrams of several. DF has no such message: see `setDf`.
 */
import type { MsgBatch } from "./msg-batch.ts";
import { IPPROTO_IPV6, setOption } from "./socket.ts";

const IPPROTO_IP = 0;
const IP_TOS = 1;
const IP_RECVTOS = 13;
const IPV6_RECVTCLASS = 66;
const IPV6_TCLASS = 67;

/** Room that the control message takes, sent or received. */
export const TOS_CONTROL_ROOM = 24;

/** Ask for it with every datagram. Returns 0 or -errno. */
export const enableTos = (fd: number, family: 4 | 6): number =>
  family === 4 ? setOption(fd, IPPROTO_IP, IP_RECVTOS, 1) : setOption(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);

/** Of datagram `i` as received; 0 when it was not asked for. */
export const receivedTos = (batch: MsgBatch, i: number): number => {
  let at = batch.findControl(i, IPPROTO_IP, IP_TOS, 1);
  if (at < 0) at = batch.findControl(i, IPPROTO_IPV6, IPV6_TCLASS, 4);
  return at < 0 ? 0 : batch.bytes[at]!; // little-endian: the first octet is the value
};

/** Send datagram or train `i` with it, beside the control messages that it has. */
export const addTos = (batch: MsgBatch, i: number, family: 4 | 6, tos: number): void => {
  if (family === 4) batch.addControl32(i, IPPROTO_IP, IP_TOS, tos);
  else batch.addControl32(i, IPPROTO_IPV6, IPV6_TCLASS, tos);
};
