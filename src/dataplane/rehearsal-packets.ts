/** Packets that a worker carries to warm up, each behind the virtio_net_hdr that a TUN device would put before it. */
import { foldSum, sumOctets, writeIpv4Checksum, writeU16 } from "../ipsec/checksum.ts";
import { VIRTIO_NET_HDR } from "../linux/abi.ts";

const HOST = Uint8Array.of(127, 0, 0, 1);
const IPV4_HEADER = 20;
const TOS = 1;
const FRAGMENT = 6;
const DF = 0x40;
const ICMP = 1;
const TCP = 6;
const TCP_HEADER = 20;
const TCP_CHECKSUM = 16;
const ACK = 0x10;
const NEEDS_CHECKSUM = 1;
const GSO_TCPV4 = 1;
const SEGMENT = 1348;
/** Of the super-packet. */
export const SUPER_SEGMENTS = 40;
const ECHO = 84;

/** Without what its protocol says. */
const ipv4 = (protocol: number, length: number, tos: number, flags: number): Uint8Array => {
  const at = VIRTIO_NET_HDR.size;
  const packet = new Uint8Array(at + length);
  packet[at] = 0x45;
  packet[at + TOS] = tos;
  writeU16(packet, at + 2, length);
  packet[at + FRAGMENT] = flags;
  packet[at + 8] = 64;
  packet[at + 9] = protocol;
  packet.set(HOST, at + 12);
  packet.set(HOST, at + 16);
  writeIpv4Checksum(packet, at, IPV4_HEADER);
  return packet;
};

/** As the kernel gives it to the reader: its checksum is that of the pseudo-header alone. */
const tcp = (payload: number, segment: number): Uint8Array => {
  const headers = IPV4_HEADER + TCP_HEADER;
  const packet = ipv4(TCP, headers + payload, 0, DF);
  const view = new DataView(packet.buffer);
  packet[VIRTIO_NET_HDR.flags] = NEEDS_CHECKSUM;
  packet[VIRTIO_NET_HDR.gsoType] = segment > 0 ? GSO_TCPV4 : 0;
  view.setUint16(VIRTIO_NET_HDR.headerLength, headers, true);
  view.setUint16(VIRTIO_NET_HDR.gsoSize, segment, true);
  view.setUint16(VIRTIO_NET_HDR.checksumStart, IPV4_HEADER, true);
  view.setUint16(VIRTIO_NET_HDR.checksumOffset, TCP_CHECKSUM, true);
  const at = VIRTIO_NET_HDR.size + IPV4_HEADER;
  packet[at + 12] = (TCP_HEADER / 4) << 4;
  packet[at + 13] = ACK;
  writeU16(packet, at + TCP_CHECKSUM, foldSum(sumOctets(packet, at - 8, 8) + TCP + TCP_HEADER + payload));
  return packet;
};

/** What a TUN device has of an idle and of a busy tunnel. */
export const rehearsalPackets = {
  echo: ipv4(ICMP, ECHO, 0, DF),
  /** A router may fragment it, and it is of another class. */
  other: ipv4(ICMP, ECHO, 0x10, 0),
  acknowledgement: tcp(0, 0),
  super: tcp(SUPER_SEGMENTS * SEGMENT, SEGMENT),
} as const;

/** Octets of the longest. */
export const LONGEST_REHEARSED = VIRTIO_NET_HDR.size + IPV4_HEADER + TCP_HEADER + SUPER_SEGMENTS * SEGMENT;
