/** TCP and UDP packets with right checksums, and a slow model of how the kernel cuts what is behind a virtio_net_hdr. */
import { addressBytes } from "../../src/ip-address.ts";

export interface SegmentOptions {
  readonly version: 4 | 6;
  readonly protocol: "tcp" | "udp";
  readonly payload: Uint8Array;
  readonly source?: string;
  readonly destination?: string;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly trafficClass?: number;
  readonly hopLimit?: number;
  /** IPv4. */
  readonly id?: number;
  readonly dontFragment?: boolean;
  /** IPv6. */
  readonly flowLabel?: number;
  /** TCP. */
  readonly seq?: number;
  readonly ack?: number;
  readonly flags?: number;
  readonly window?: number;
  /** A multiple of four octets. */
  readonly options?: Uint8Array;
}

const IPV4 = 20;
const IPV6 = 40;

/** Sum of 16-bit words in network order, one at a time. */
const sum16 = (bytes: Uint8Array, start = 0): number => {
  let sum = start;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += bytes[i]! * 256 + (bytes[i + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
};

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The sum of the pseudo-header. */
const pseudo = (packet: Uint8Array): number => {
  const v4 = packet[0]! >> 4 === 4;
  const body = packet.length - (v4 ? IPV4 : IPV6);
  const rest = new Uint8Array([0, packet[v4 ? 9 : 6]!, body >> 8, body & 255]);
  return sum16(rest, sum16(v4 ? packet.subarray(12, 20) : packet.subarray(8, 40)));
};

/** Write lengths and checksums of a packet without IP options and extension headers. */
const complete = (packet: Uint8Array): void => {
  const view = viewOf(packet);
  const v4 = packet[0]! >> 4 === 4;
  const at = v4 ? IPV4 : IPV6;
  if (v4) {
    view.setUint16(2, packet.length);
    view.setUint16(10, 0);
    view.setUint16(10, 0xffff - sum16(packet.subarray(0, IPV4)));
  } else view.setUint16(4, packet.length - IPV6);
  const udp = packet[v4 ? 9 : 6] === 17;
  if (udp) view.setUint16(at + 4, packet.length - at);
  const field = at + (udp ? 6 : 16);
  view.setUint16(field, 0);
  const checksum = 0xffff - sum16(packet.subarray(at), pseudo(packet));
  view.setUint16(field, udp && checksum === 0 ? 0xffff : checksum);
};

export const segment = ({
  version,
  protocol,
  payload,
  source = version === 4 ? "10.1.0.2" : "2001:db8:1::2",
  destination = version === 4 ? "10.2.0.2" : "2001:db8:2::2",
  sourcePort = 40000,
  destinationPort = 5201,
  trafficClass = 0,
  hopLimit = 64,
  id = 1,
  dontFragment = true,
  flowLabel = 0x12345,
  seq = 1,
  ack = 1,
  flags = 0x10,
  window = 512,
  options = new Uint8Array(0),
}: SegmentOptions): Uint8Array => {
  const at = version === 4 ? IPV4 : IPV6;
  const header = protocol === "tcp" ? 20 + options.length : 8;
  const packet = new Uint8Array(at + header + payload.length);
  const view = viewOf(packet);
  const number = protocol === "tcp" ? 6 : 17;
  if (version === 4) {
    packet[0] = 0x45;
    packet[1] = trafficClass;
    view.setUint16(4, id);
    view.setUint16(6, dontFragment ? 0x4000 : 0);
    packet[8] = hopLimit;
    packet[9] = number;
    packet.set(addressBytes(source), 12);
    packet.set(addressBytes(destination), 16);
  } else {
    view.setUint32(0, 0x6000_0000 + trafficClass * 2 ** 20 + flowLabel);
    packet[6] = number;
    packet[7] = hopLimit;
    packet.set(addressBytes(source), 8);
    packet.set(addressBytes(destination), 24);
  }
  view.setUint16(at, sourcePort);
  view.setUint16(at + 2, destinationPort);
  if (protocol === "tcp") {
    view.setUint32(at + 4, seq);
    view.setUint32(at + 8, ack);
    packet[at + 12] = (header / 4) << 4;
    packet[at + 13] = flags;
    view.setUint16(at + 14, window);
    packet.set(options, at + 20);
  }
  packet.set(payload, at + header);
  complete(packet);
  return packet;
};

/**
 * The packets that the kernel makes of what was written: `written` begins with a virtio_net_hdr. Throws what the kernel
 * would refuse, and what it would leave to a wrong checksum.
 */
export const cutUp = (written: Uint8Array): Uint8Array[] => {
  const virtio = viewOf(written);
  const packet = written.slice(10);
  const view = viewOf(packet);
  const gsoType = written[1]!;
  if (gsoType === 0) {
    if (written.subarray(0, 10).some((octet) => octet !== 0)) throw new Error("a header for nothing");
    return [packet];
  }
  const v4 = packet[0]! >> 4 === 4;
  const at = v4 ? IPV4 : IPV6;
  const udp = gsoType === 5;
  const [headers, size, start, offset] = [2, 4, 6, 8].map((field) => virtio.getUint16(field, true)) as [
    number,
    number,
    number,
    number,
  ];
  const expectHeaders = at + (udp ? 8 : (packet[at + 12]! >> 4) * 4);
  if (written[0] !== 1 || start !== at || offset !== (udp ? 6 : 16) || headers !== expectHeaders)
    throw new Error("a header that does not fit its packet");
  if (packet[v4 ? 9 : 6] !== (udp ? 17 : 6) || gsoType !== (udp ? 5 : v4 ? 1 : 4)) throw new Error("a wrong kind");
  if (packet.length !== (v4 ? view.getUint16(2) : view.getUint16(4) + IPV6)) throw new Error("a wrong IP length");
  if (packet.length > 65535) throw new Error("too long");
  if (v4 && sum16(packet.subarray(0, IPV4)) !== 0xffff) throw new Error("a wrong IP checksum");
  if (udp && view.getUint16(at + 4) !== packet.length - at) throw new Error("a wrong UDP length");
  if (view.getUint16(start + offset) % 0xffff !== pseudo(packet) % 0xffff) throw new Error("a wrong pseudo-header sum");
  if (size < 1 || packet.length - headers <= size) throw new Error("nothing to cut");
  if (udp && packet.length - headers > size * 64) throw new Error("too many datagrams");

  const cut: Uint8Array[] = [];
  for (let from = headers, k = 0; from < packet.length; from += size, k++) {
    const payload = packet.subarray(from, from + size);
    const piece = new Uint8Array([...packet.subarray(0, headers), ...payload]);
    const pieceView = viewOf(piece);
    if (v4) pieceView.setUint16(4, (view.getUint16(4) + k) & 0xffff);
    if (!udp) {
      pieceView.setUint32(at + 4, (view.getUint32(at + 4) + k * size) >>> 0);
      if (from + size < packet.length) piece[at + 13] = piece[at + 13]! & ~0x09;
      if (k > 0) piece[at + 13] = piece[at + 13]! & ~0x80;
    }
    complete(piece);
    cut.push(piece);
  }
  return cut;
};
