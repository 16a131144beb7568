/** TCP packets with options, and their checksum as a receiver computes it, for tests. */
import { addressBytes } from "../../src/ip-address.ts";
import { internetChecksum } from "./internet-checksum.ts";
import { ipv4PacketOf } from "./ip-headers.ts";

const TCP = 6;
export const SYN = 0x02;
export const ACK = 0x10;

/** A TCP header whose checksum field is zero. `options`: a multiple of 4 octets, at most 40. */
export const tcpOf = (flags: number, options: readonly number[], payload: readonly number[] = []): Uint8Array => {
  const header = new Uint8Array(20 + options.length + payload.length);
  const view = new DataView(header.buffer);
  view.setUint16(0, 40_000);
  view.setUint16(2, 443);
  view.setUint32(4, 0xdeadbeef);
  header[12] = ((20 + options.length) / 4) << 4;
  header[13] = flags;
  view.setUint16(14, 65_535);
  header.set(options, 20);
  header.set(payload, 20 + options.length);
  return header;
};

/** A packet with this TCP in it, checksum right. `extensions`: octets of IPv6 extension headers, the last leads to TCP. */
export const tcpPacket = (version: 4 | 6, tcp: Uint8Array, extensions: readonly number[] = []): Uint8Array => {
  let packet: Uint8Array;
  if (version === 4) packet = ipv4PacketOf({ protocol: TCP, dontFragment: true }, tcp);
  else {
    const payload = [...extensions, ...tcp];
    packet = new Uint8Array(40 + payload.length);
    packet.set([0x60, 0, 0, 0, payload.length >> 8, payload.length & 255, extensions.length > 0 ? 60 : TCP, 64]);
    packet.set(addressBytes("2001:db8:1::1"), 8);
    packet.set(addressBytes("2001:db8:2::1"), 24);
    packet.set(payload, 40);
  }
  const at = packet.length - tcp.length;
  const sum = tcpChecksum(packet, at);
  packet.set([sum >> 8, sum & 255], at + 16);
  return packet;
};

const pseudoHeader = (packet: Uint8Array, length: number): number[] => {
  const addresses = packet[0]! >> 4 === 4 ? packet.subarray(12, 20) : packet.subarray(8, 40);
  return [...addresses, 0, TCP, length >> 8, length & 255];
};

/** What the checksum field has to be, as long as it is zero; zero when it is right. */
export const tcpChecksum = (packet: Uint8Array, at: number): number =>
  internetChecksum(Uint8Array.from([...pseudoHeader(packet, packet.length - at), ...packet.subarray(at)]));

/** What the field holds while a device still has to sum the rest: the pseudo-header's sum, not complemented. */
export const partialChecksum = (packet: Uint8Array, at: number): number =>
  ~internetChecksum(Uint8Array.from(pseudoHeader(packet, packet.length - at))) & 0xffff;
