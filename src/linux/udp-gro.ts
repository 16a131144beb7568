// HOT PATH
/**
 * UDP_GRO (udp(7)): the kernel gives several datagrams of one peer and port at once, behind each other, all of one size but
 * the last, and tells that size in a control message. It looks at addresses, ports and lengths only.
 *
 * In a SO_REUSEPORT group the kernel asks the filter for the socket of a train by its first datagram. But before, when it
 * merges, it picks a socket by a hash of addresses and ports and merges only if that one has the option: so every member of
 * the group must have it, the control thread's too, or some peers get no trains. Seen over veth with `gro on` and trains
 * that were cut up on the way, three sockets: without the option on one of them 2 of 8 source ports came as single datagrams,
 * with it none; and each of 5120 trains came as it had been sent, with datagrams of one SPI. Trains that are trains already
 * on their way (over veth or virtio) come whole to all.
 */
import type { MsgBatch } from "./msg-batch.ts";
import { setOption } from "./socket.ts";

const SOL_UDP = 17;
const UDP_GRO = 104;

/** Room for control messages that `segmentSize` needs. */
export const GRO_CONTROL_ROOM = 24;
/** The longest train: what an IPv6 datagram of any kind can hold. */
export const MAX_TRAIN = 65535;

/** Ask for trains. Returns 0, or -errno: then each datagram comes alone, as before. */
export const enableUdpGro = (fd: number): number => setOption(fd, SOL_UDP, UDP_GRO, 1);

/** Ask for single datagrams again. */
export const disableUdpGro = (fd: number): number => setOption(fd, SOL_UDP, UDP_GRO, 0);

/** Octets of each datagram of train `i` but the last, or 0: then it is no train. */
export const segmentSize = (batch: MsgBatch, i: number): number => {
  const at = batch.findControl(i, SOL_UDP, UDP_GRO, 4);
  if (at < 0) return 0;
  const { bytes } = batch;
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
};
