// HOT PATH
/**
 * What the kernel leaves to the reader of a TUN device with offloads (the virtio_net_hdr before each packet says what):
 *
 *   checksum        a field that holds the sum of the pseudo-header: add the rest and complement it
 *   segmentation    a TCP or UDP packet of up to 64 KiB that has to become packets of `segmentSize` octets of payload:
 *
 *     | IP | TCP | payload ................................ |
 *     | IP | TCP | payload | IP | TCP | payload | IP | TCP | rest |
 *
 * Each segment is a whole packet: lengths, IPv4 identification (one more each), TCP sequence number, FIN and PSH on the
 * last alone, CWR on the first alone (RFC 3168 §6.1.2), and complete checksums. Payload is not touched: it lies where it
 * belongs when its segment is written.
 */
import { VIRTIO_NET_HDR } from "../linux/abi.ts";
import { fold } from "./checksum.ts";
import type { SlabSum } from "./slab-sum.ts";

/** Flag of a virtio_net_hdr. */
const NEEDS_CSUM = 1;
/** Kinds of segmentation of a virtio_net_hdr. Others (UDP fragmentation, TCP with ECN) are not asked for. */
const GSO_NONE = 0;
const GSO_TCPV4 = 1;
const GSO_TCPV6 = 4;
const GSO_UDP_L4 = 5;

const TCP = 6;
const UDP = 17;
const IPV4_HEADER = 20;
const IPV6_HEADER = 40;
const UDP_HEADER = 8;
const TCP_HEADER = 20;
const TCP_CHECKSUM = 16;
const UDP_CHECKSUM = 6;
const FIN_PSH = 0x09;
const CWR = 0x80;
const FRAGMENT = 0x3fff;

/** IP, its options or extension headers, and TCP or UDP: a super-packet with more is refused. */
export const MAX_HEADERS = 256;

/** What a packet that was read wants. */
export const Wish = { NOTHING: 0, CHECKSUM: 1, SEGMENTS: 2, UNKNOWN: 3 } as const;

export class Segmenter {
  readonly #slab: Uint8Array;
  readonly #words: Uint32Array;
  readonly #sum: SlabSum;
  /** The super-packet's headers, without what differs from segment to segment. */
  readonly #header = new Uint8Array(MAX_HEADERS);
  readonly #headerWords = new Uint32Array(this.#header.buffer);
  /** Packets that it becomes, octets of their headers, and of the payload of all but the last. */
  count = 0;
  headerLength = 0;
  segmentSize = 0;
  #payload = 0;
  #version = 4;
  #tcp = true;
  #transport = 0;
  #id = 0;
  #seq = 0;
  #flags = 0;
  #ipSum = 0;
  #transportSum = 0;

  constructor(slab: Uint8Array, sum: SlabSum) {
    this.#slab = slab;
    this.#words = new Uint32Array(slab.buffer, slab.byteOffset, slab.length >>> 2);
    this.#sum = sum;
  }

  /** What the virtio_net_hdr at `at` asks for. */
  wish(at: number): number {
    const type = this.#slab[at + VIRTIO_NET_HDR.gsoType]!;
    if (type === GSO_NONE) return (this.#slab[at]! & NEEDS_CSUM) !== 0 ? Wish.CHECKSUM : Wish.NOTHING;
    return type === GSO_TCPV4 || type === GSO_TCPV6 || type === GSO_UDP_L4 ? Wish.SEGMENTS : Wish.UNKNOWN;
  }

  /** Complete the checksum of a packet whose virtio_net_hdr, at `from`, asks for it. False: it names no place in it. */
  complete(from: number, at: number, length: number): boolean {
    const slab = this.#slab;
    const start = this.#number(from + VIRTIO_NET_HDR.checksumStart);
    const field = start + this.#number(from + VIRTIO_NET_HDR.checksumOffset);
    if (field + 2 > length || (start & 1) !== 0) return false;
    const sum = swapped(fold(this.#sum(at + start, length - start))); // the pseudo-header's included
    put16(slab, at + field, field - start === UDP_CHECKSUM ? nonZero(~sum) : ~sum);
    return true;
  }

  /**
   * Take up the super-packet of `length` octets whose virtio_net_hdr is at `from`. The first MAX_HEADERS octets of it lie
   * at `at`, where they may be overwritten after. False when it cannot be cut.
   */
  begin(from: number, at: number, length: number): boolean {
    const slab = this.#slab;
    const type = slab[from + VIRTIO_NET_HDR.gsoType]!;
    const size = this.#number(from + VIRTIO_NET_HDR.gsoSize);
    const transport = this.#number(from + VIRTIO_NET_HDR.checksumStart);
    const tcp = type !== GSO_UDP_L4;
    const smallest = transport + (tcp ? TCP_HEADER : UDP_HEADER);
    if ((slab[from]! & NEEDS_CSUM) === 0 || size === 0 || smallest > length || smallest > MAX_HEADERS) return false;
    if (this.#number(from + VIRTIO_NET_HDR.checksumOffset) !== (tcp ? TCP_CHECKSUM : UDP_CHECKSUM)) return false;
    const version = slab[at]! >> 4;
    if (version !== (type === GSO_TCPV6 ? 6 : type === GSO_TCPV4 ? 4 : version)) return false;
    if (!isWhole(slab, at, length, version, transport, tcp ? TCP : UDP)) return false;
    const headers = transport + (tcp ? (slab[at + transport + 12]! >> 4) * 4 : UDP_HEADER);
    if (headers < smallest || headers > length || headers > MAX_HEADERS) return false;

    const header = this.#header;
    for (let i = 0; i < headers; i++) header[i] = slab[at + i]!;
    this.#version = version;
    this.#tcp = tcp;
    this.#transport = transport;
    this.headerLength = headers;
    this.segmentSize = size;
    this.#payload = length - headers;
    this.count = Math.max(1, Math.ceil(this.#payload / size));
    this.#takeIp(header, version);
    this.#takeTransport(header, length);
    return true;
  }

  /** What of the IP header differs from segment to segment is kept apart, and zero in the header. */
  #takeIp(header: Uint8Array, version: number): void {
    put16(header, version === 4 ? 2 : 4, 0);
    if (version !== 4) return;
    this.#id = get16(header, 4);
    put16(header, 4, 0);
    put16(header, 10, 0);
    this.#ipSum = sumOf(header, 0, (header[0]! & 15) * 4);
  }

  #takeTransport(header: Uint8Array, length: number): void {
    const at = this.#transport;
    const field = at + (this.#tcp ? TCP_CHECKSUM : UDP_CHECKSUM);
    // The field holds the pseudo-header's sum for the whole packet: take its length out again.
    const pseudo = get16(header, field) + (~(length - at) & 0xffff);
    put16(header, field, 0);
    if (this.#tcp) {
      this.#seq = get16(header, at + 4) * 0x1_0000 + get16(header, at + 6);
      this.#flags = header[at + 13]!;
      put16(header, at + 4, 0);
      put16(header, at + 6, 0);
      header[at + 13] = 0;
    } else put16(header, at + 4, 0);
    this.#transportSum = pseudo + sumOf(header, at, this.headerLength - at);
  }

  /** Octets of segment `k`. */
  length(k: number): number {
    return this.headerLength + Math.min(this.segmentSize, this.#payload - k * this.segmentSize);
  }

  /** Write the headers of segment `k` at `at`, a multiple of 4: its payload lies behind them. Returns its length. */
  write(k: number, at: number): number {
    const slab = this.#slab;
    const words = this.#words;
    const header = this.#headerWords;
    const headers = this.headerLength;
    const length = this.length(k);
    for (let i = 0, to = at >>> 2; i < headers; i += 4) words[to++] = header[i >>> 2]!;
    if (this.#version === 4) {
      const id = (this.#id + k) & 0xffff;
      put16(slab, at + 2, length);
      put16(slab, at + 4, id);
      put16(slab, at + 10, ~fold(this.#ipSum + length + id));
    } else put16(slab, at + 4, length - IPV6_HEADER);

    const transport = at + this.#transport;
    const octets = length - this.#transport;
    let sum = this.#transportSum + octets + swapped(fold(this.#sum(at + headers, length - headers)));
    if (!this.#tcp) {
      put16(slab, transport + 4, octets);
      put16(slab, transport + UDP_CHECKSUM, nonZero(~fold(sum + octets)));
      return length;
    }
    const seq = (this.#seq + k * this.segmentSize) >>> 0;
    let flags = this.#flags;
    if (k > 0) flags &= ~CWR;
    if (k < this.count - 1) flags &= ~FIN_PSH;
    put16(slab, transport + 4, seq >>> 16);
    put16(slab, transport + 6, seq);
    slab[transport + 13] = flags;
    sum += (seq >>> 16) + (seq & 0xffff) + flags;
    put16(slab, transport + TCP_CHECKSUM, ~fold(sum));
    return length;
  }

  /** A field of a virtio_net_hdr: in the machine's order, little-endian. */
  #number(at: number): number {
    return this.#slab[at]! | (this.#slab[at + 1]! << 8);
  }
}

/** One IP packet of exactly `length` octets, no fragment, whose `protocol` begins at `transport`. */
const isWhole = (
  slab: Uint8Array,
  at: number,
  length: number,
  version: number,
  transport: number,
  protocol: number,
): boolean => {
  if (version === 4)
    return (
      transport >= IPV4_HEADER &&
      transport === (slab[at]! & 15) * 4 &&
      get16(slab, at + 2) === length &&
      (get16(slab, at + 6) & FRAGMENT) === 0 &&
      slab[at + 9] === protocol
    );
  // Extension headers are copied as they are; where they end the kernel has said.
  const plain = transport === IPV6_HEADER && slab[at + 6] === protocol;
  const extended = transport > IPV6_HEADER && (transport & 7) === 0 && slab[at + 6] !== protocol;
  return version === 6 && (plain || extended) && get16(slab, at + 4) + IPV6_HEADER === length;
};

const get16 = (from: Uint8Array, at: number): number => (from[at]! << 8) | from[at + 1]!;

const put16 = (to: Uint8Array, at: number, value: number): void => {
  to[at] = value >>> 8;
  to[at + 1] = value;
};

/** From the machine's order to that of the network. */
const swapped = (sum: number): number => ((sum & 0xff) << 8) | (sum >>> 8);

/** Zero would say that there is no checksum: it is sent as its other form (RFC 768). */
const nonZero = (checksum: number): number => ((checksum & 0xffff) === 0 ? 0xffff : checksum);

/** Of an even number of octets, not folded. */
const sumOf = (header: Uint8Array, at: number, length: number): number => {
  let sum = 0;
  for (let i = at; i < at + length; i += 2) sum += get16(header, i);
  return sum;
};
