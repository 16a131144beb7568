/**
 * Super-packets as the kernel gives them to the reader of a TUN device with offloads, and the slow and obvious way to cut
 * them: octet by octet, every checksum from scratch.
 */
import { addressBytes } from "../../src/ip-address.ts";

export interface SuperOptions {
  readonly version: 4 | 6;
  readonly protocol: "tcp" | "udp";
  readonly payload: Uint8Array;
  /** Octets of payload a segment; 0 for a packet that is to be sent as it is, with its checksum completed. */
  readonly segmentSize: number;
  /** Multiples of 4. */
  readonly ipOptions?: number;
  readonly tcpOptions?: number;
  /** Of IPv6, multiples of 8: destination options before the transport header. */
  readonly extensions?: number;
  readonly id?: number;
  readonly seq?: number;
  readonly flags?: number;
}

const get = (from: Uint8Array, at: number): number => from[at]! * 256 + from[at + 1]!;
const put = (to: Uint8Array, at: number, value: number): void => {
  to[at] = (value >> 8) & 255;
  to[at + 1] = value & 255;
};

/** RFC 1071, as it is written there. */
export const onesSum = (...parts: readonly Uint8Array[]): number => {
  let sum = 0;
  for (const part of parts)
    for (let i = 0; i < part.length; i += 2) {
      sum += part[i]! * 256 + (part[i + 1] ?? 0);
      if (sum > 0xffff) sum -= 0xffff;
    }
  return sum;
};

/** The kernel never sends the zero of UDP (RFC 768), and never the other form of it for TCP. */
const checksumOf = (sum: number, tcp: boolean): number => (sum === 0xffff && !tcp ? 0xffff : 0xffff - sum);

interface Shape {
  readonly version: 4 | 6;
  readonly tcp: boolean;
  readonly transport: number;
  readonly headers: number;
}

const pseudoHeader = (packet: Uint8Array, { version, tcp, transport }: Shape): Uint8Array => {
  const addresses = version === 4 ? packet.slice(12, 20) : packet.slice(8, 40);
  const length = packet.length - transport;
  return Uint8Array.from([...addresses, 0, tcp ? 6 : 17, length >> 8, length & 255]);
};

const checksumField = ({ tcp, transport }: Shape): number => transport + (tcp ? 16 : 6);

/** Write lengths, then checksums from scratch: a packet that a receiver accepts. */
export const finishPacket = (packet: Uint8Array, shape: Shape): void => {
  if (shape.version === 4) {
    put(packet, 2, packet.length);
    put(packet, 10, 0);
    put(packet, 10, 0xffff - onesSum(packet.slice(0, (packet[0]! & 15) * 4)));
  } else put(packet, 4, packet.length - 40);
  if (!shape.tcp) put(packet, shape.transport + 4, packet.length - shape.transport);
  put(packet, checksumField(shape), 0);
  const sum = onesSum(pseudoHeader(packet, shape), packet.slice(shape.transport));
  put(packet, checksumField(shape), checksumOf(sum, shape.tcp));
};

/** The virtio_net_hdr and the packet, and its shape. */
export const superPacket = (options: SuperOptions): { header: Uint8Array; packet: Uint8Array; shape: Shape } => {
  const { version, protocol, payload, segmentSize } = options;
  const { ipOptions = 0, tcpOptions = 12, extensions = 0, id = 0x1234, seq = 0x89ab_cdef, flags = 0x18 } = options;
  const tcp = protocol === "tcp";
  const transport = version === 4 ? 20 + ipOptions : 40 + extensions;
  const headers = transport + (tcp ? 20 + tcpOptions : 8);
  const shape = { version, tcp, transport, headers };
  const packet = Uint8Array.from({ length: headers + payload.length }, (_, i) => (i * 57) & 255);
  packet.set(payload, headers);
  const number = tcp ? 6 : 17;
  if (version === 4) {
    packet[0] = 0x40 + transport / 4;
    put(packet, 4, id);
    put(packet, 6, 0x4000);
    packet[9] = number;
    packet.set(addressBytes("10.1.0.1"), 12);
    packet.set(addressBytes("10.2.0.200"), 16);
  } else {
    packet[0] = 0x60;
    packet[6] = extensions > 0 ? 60 : number;
    packet.set(addressBytes("2001:db8:1::1"), 8);
    packet.set(addressBytes("2001:db8:2::ffff"), 24);
    if (extensions > 0) {
      packet[40] = number;
      packet[41] = extensions / 8 - 1;
    }
  }
  if (tcp) {
    put(packet, transport + 4, Math.floor(seq / 65536));
    put(packet, transport + 6, seq & 0xffff);
    packet[transport + 12] = ((20 + tcpOptions) / 4) << 4;
    packet[transport + 13] = flags;
  }
  finishPacket(packet, shape);
  put(packet, checksumField(shape), onesSum(pseudoHeader(packet, shape))); // the rest is left to the reader

  const header = new Uint8Array(10);
  const view = new DataView(header.buffer);
  header[0] = 1;
  header[1] = segmentSize === 0 ? 0 : tcp ? (version === 4 ? 1 : 4) : 5;
  view.setUint16(2, headers, true);
  view.setUint16(4, segmentSize, true);
  view.setUint16(6, transport, true);
  view.setUint16(8, tcp ? 16 : 6, true);
  return { header, packet, shape };
};

/** The packets that a super-packet stands for. */
export const cutSlowly = (packet: Uint8Array, { segmentSize }: SuperOptions, shape: Shape): Uint8Array[] => {
  const { version, tcp, transport, headers } = shape;
  const payload = packet.slice(headers);
  const segments: Uint8Array[] = [];
  const seq = get(packet, transport + 4) * 65536 + get(packet, transport + 6);
  for (let from = 0; from === 0 || from < payload.length; from += segmentSize) {
    const k = segments.length;
    const segment = Uint8Array.from([...packet.slice(0, headers), ...payload.slice(from, from + segmentSize)]);
    if (version === 4) put(segment, 4, (get(packet, 4) + k) % 65536);
    if (tcp) {
      const next = (seq + from) % 2 ** 32;
      put(segment, transport + 4, Math.floor(next / 65536));
      put(segment, transport + 6, next % 65536);
      const isLast = from + segmentSize >= payload.length;
      if (!isLast) segment[transport + 13]! &= 0xff - 0x09; // FIN, PSH
      if (k > 0) segment[transport + 13]! &= 0xff - 0x80; // CWR
    }
    finishPacket(segment, shape);
    segments.push(segment);
  }
  return segments;
};
