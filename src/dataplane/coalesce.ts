// HOT PATH
/**
 * Puts decrypted segments of one flow back together, so that the host takes them as one packet: TCP (RFC 9293) and UDP
 * segments become a group that is written behind a virtio_net_hdr with a segment size. Nothing is copied, nothing is
 * written before `seal`.
 *
 * The rule: when the kernel cuts a group up again, it gets the packets that were put in, octet for octet. So a packet joins
 * only if its headers are what the kernel would write: the same but for lengths and checksums, the TCP sequence number going
 * on, the IPv4 identification counting up (RFC 6864 leaves it free, the kernel does not), PSH on the last one alone. Its
 * checksums are verified first, since a group gets new ones: a damaged packet stays alone and damaged.
 *
 * Packets of a flow stay in order. A packet that cannot join ends the group of its flow; one whose flow cannot be told (a
 * fragment, extension headers, IP options) ends all groups.
 */
import { VIRTIO_NET_HDR } from "../linux/abi.ts";
import { fold, sumWords } from "./checksum.ts";
import type { InboundBatch } from "./inbound.ts";
import { type SlabSum, scalarSum } from "./slab-sum.ts";

/** Flows that may be growing at one time. */
const LANES = 8;
/** The longest IP packet. */
const MAX_GROUP = 65535;
/** UDP_MAX_SEGMENTS of kernels before 6.9. */
const MAX_DATAGRAMS = 64;

const TCP = 6;
const UDP = 17;
const ACK = 0x10;
const PSH = 0x08;
const DONT_FRAGMENT = 0x40;

const NEEDS_CSUM = 1;
const GSO_TCPV4 = 1;
const GSO_TCPV6 = 4;
const GSO_UDP_L4 = 5;

/** What a packet is to its flow. */
const STRANGER = 0; // its flow cannot be told
const SINGLE = 1; // never part of a group
const SEGMENT = 2; // may be part of a group

export class Coalescer {
  /** Groups, in the order in which they are to be written. */
  count = 0;
  /** By group: its first packet, and how many it has. */
  readonly first: Int32Array;
  readonly segments: Int32Array;
  /** By packet: the next of its group; -1 is the end. */
  readonly next: Int32Array;
  /** By packet of a group of several: octets of its headers. */
  readonly headers: Int32Array;

  readonly #slab: Uint8Array;
  readonly #words: Int32Array;
  readonly #sum: SlabSum;
  /** By group: last packet, octets of the whole, and of each payload but the last. */
  readonly #last: Int32Array;
  readonly #total: Int32Array;
  readonly #size: Int32Array;
  /** By lane: the group that may still grow or -1, its tunnel, and both its ports. */
  readonly #group = new Int32Array(LANES).fill(-1);
  readonly #tunnel = new Int32Array(LANES);
  readonly #ports = new Int32Array(LANES);
  #lane = 0;
  #growing = 0;
  /** Of the packet looked at last. */
  #ipHeader = 0;
  #headerLength = 0;

  constructor(slab: Uint8Array, capacity: number, sum: SlabSum = scalarSum(slab)) {
    this.#slab = slab;
    this.#sum = sum;
    this.#words = new Int32Array(slab.buffer, slab.byteOffset, slab.length >>> 2);
    this.first = new Int32Array(capacity);
    this.segments = new Int32Array(capacity);
    this.next = new Int32Array(capacity);
    this.headers = new Int32Array(capacity);
    this.#last = new Int32Array(capacity);
    this.#total = new Int32Array(capacity);
    this.#size = new Int32Array(capacity);
  }

  /** Forget all groups. */
  clear(): void {
    this.count = 0;
    this.#endAll();
  }

  /** Packet `n` of the batch joins a group or begins one. `datagrams`: the tunnel takes UDP groups as well as TCP ones. */
  add(batch: InboundBatch, n: number, tunnel: number, datagrams: boolean): void {
    const at = batch.innerAt[n]!;
    const length = batch.innerLength[n]!;
    const kind = this.#look(at, length, datagrams);
    this.headers[n] = this.#headerLength;
    if (kind === STRANGER) {
      this.#endAll();
      this.addAlone(batch, n);
      return;
    }
    let lane = this.#growing === 0 ? -1 : this.#find(batch, at, tunnel);
    if (lane >= 0) {
      const group = this.#group[lane]!;
      if (kind === SEGMENT && this.#continues(batch, group, n)) {
        this.#join(group, n, length);
        const payload = length - this.#headerLength;
        if (payload < this.#size[group]! || this.#isPushed(at)) this.#end(lane);
        return;
      }
      this.#end(lane);
    }
    this.addAlone(batch, n);
    if (kind !== SEGMENT || this.#isPushed(at)) return;
    lane = this.#lane;
    this.#lane = (lane + 1) & (LANES - 1);
    if (this.#group[lane]! < 0) this.#growing++;
    this.#group[lane] = this.count - 1;
    this.#tunnel[lane] = tunnel;
    this.#ports[lane] = this.#words[(at + this.#ipHeader) >>> 2]!;
  }

  /** Packet `n` is a group of its own. */
  addAlone(batch: InboundBatch, n: number): void {
    const group = this.count++;
    const length = batch.innerLength[n]!;
    this.first[group] = n;
    this.segments[group] = 1;
    this.#last[group] = n;
    this.#total[group] = length;
    this.#size[group] = length - this.headers[n]!;
    this.next[n] = -1;
  }

  /** Whether a group of several is one of datagrams; else it is one of TCP segments. */
  isDatagrams(batch: InboundBatch, group: number): boolean {
    const at = batch.innerAt[this.first[group]!]!;
    return this.#slab[at + (this.#slab[at]! >> 4 === 4 ? 9 : 6)] === UDP;
  }

  /** Make the headers of a group of several those of one packet, with its virtio_net_hdr before them. */
  seal(batch: InboundBatch, group: number): void {
    const slab = this.#slab;
    const n = this.first[group]!;
    const at = batch.innerAt[n]!;
    const total = this.#total[group]!;
    const v4 = slab[at]! >> 4 === 4;
    const ipHeader = v4 ? 20 : 40;
    const protocol = slab[at + (v4 ? 9 : 6)]!;
    const body = total - ipHeader;
    if (v4) {
      put16(slab, at + 2, total);
      slab[at + 10] = 0;
      slab[at + 11] = 0;
      this.#putSum(at + 10, ~fold(sumWords(this.#words, at >>> 2, ipHeader)));
    } else put16(slab, at + 4, body);

    const transport = at + ipHeader;
    let checksum = 16;
    if (protocol === UDP) {
      checksum = 6;
      put16(slab, transport + 4, body);
    } else {
      const last = batch.innerAt[this.#last[group]!]! + ipHeader;
      slab[transport + 13] = slab[transport + 13]! | (slab[last + 13]! & PSH);
    }
    this.#putSum(transport + checksum, fold(this.#sumPseudo(at, v4, protocol, body))); // the kernel adds the rest

    const header = at - VIRTIO_NET_HDR.size;
    slab[header + VIRTIO_NET_HDR.flags] = NEEDS_CSUM;
    slab[header + VIRTIO_NET_HDR.gsoType] = protocol === UDP ? GSO_UDP_L4 : v4 ? GSO_TCPV4 : GSO_TCPV6;
    this.#putHost16(header + VIRTIO_NET_HDR.headerLength, this.headers[n]!);
    this.#putHost16(header + VIRTIO_NET_HDR.gsoSize, this.#size[group]!);
    this.#putHost16(header + VIRTIO_NET_HDR.checksumStart, ipHeader);
    this.#putHost16(header + VIRTIO_NET_HDR.checksumOffset, checksum);
  }

  /** What the packet is, by its own headers; notes their lengths. It is a whole IP packet (`packetLength`). */
  #look(at: number, length: number, datagrams: boolean): number {
    const slab = this.#slab;
    this.#ipHeader = 0;
    this.#headerLength = 0;
    if ((at & 3) !== 0) return STRANGER; // words below are at multiples of four, as ESP has them (RFC 4303 §2)
    const v4 = slab[at]! >> 4 === 4;
    if (v4 && (slab[at] !== 0x45 || (slab[at + 6]! & ~DONT_FRAGMENT) !== 0 || slab[at + 7] !== 0)) return STRANGER;
    const ipHeader = v4 ? 20 : 40;
    const protocol = slab[at + (v4 ? 9 : 6)]!;
    const body = length - ipHeader;
    const transport = at + ipHeader;
    this.#ipHeader = ipHeader;
    if (protocol === TCP && body >= 20) {
      const offset = slab[transport + 12]!;
      const header = (offset >> 4) * 4;
      const plain =
        (offset & 15) === 0 &&
        (slab[transport + 13]! & ~PSH) === ACK &&
        slab[transport + 18] === 0 &&
        slab[transport + 19] === 0;
      this.#headerLength = ipHeader + header;
      return plain && header >= 20 && body > header ? SEGMENT : SINGLE;
    }
    if (protocol !== UDP || body < 8) return STRANGER;
    this.#headerLength = ipHeader + 8;
    const checked = slab[transport + 6] !== 0 || slab[transport + 7] !== 0;
    const whole = ((slab[transport + 4]! << 8) | slab[transport + 5]!) === body;
    return datagrams && checked && whole && body > 8 ? SEGMENT : SINGLE;
  }

  /** The lane in which the packet's flow has its group, or -1. */
  #find(batch: InboundBatch, at: number, tunnel: number): number {
    const words = this.#words;
    const word = at >>> 2;
    const ports = words[(at + this.#ipHeader) >>> 2]!;
    for (let lane = 0; lane < LANES; lane++) {
      const group = this.#group[lane]!;
      if (group < 0 || this.#ports[lane] !== ports || this.#tunnel[lane] !== tunnel) continue;
      const other = batch.innerAt[this.first[group]!]!;
      if (this.#isSameFlow(words, word, other >>> 2)) return lane;
    }
    return -1;
  }

  /** Both have simple headers and the same ports. */
  #isSameFlow(words: Int32Array, a: number, b: number): boolean {
    if (((words[a]! ^ words[b]!) & 0xf0) !== 0) return false;
    if (this.#ipHeader === 20)
      return (
        ((words[a + 2]! ^ words[b + 2]!) & 0xff00) === 0 && // protocol
        words[a + 3] === words[b + 3] &&
        words[a + 4] === words[b + 4]
      );
    if (((words[a + 1]! ^ words[b + 1]!) & 0xff_0000) !== 0) return false; // next header
    for (let i = 2; i < 10; i++) if (words[a + i] !== words[b + i]) return false;
    return true;
  }

  /** Whether packet `n`, a segment of the group's flow, is what the kernel would cut off the group next. */
  #continues(batch: InboundBatch, group: number, n: number): boolean {
    const words = this.#words;
    const slab = this.#slab;
    const head = this.first[group]!;
    const headAt = batch.innerAt[head]!;
    const at = batch.innerAt[n]!;
    const length = batch.innerLength[n]!;
    const headerLength = this.#headerLength;
    const segments = this.segments[group]!;
    const payload = length - headerLength;
    const size = this.#size[group]!;
    if (headerLength !== this.headers[head] || payload > size) return false;
    if (this.#total[group]! + payload > MAX_GROUP) return false;
    const a = at >>> 2;
    const b = headAt >>> 2;
    if (this.#ipHeader === 20) {
      if (((words[a]! ^ words[b]!) & 0xffff) !== 0) return false; // version, header length, TOS with its ECN mark
      if (slab[at + 6] !== slab[headAt + 6]) return false; // DF
      if (slab[at + 8] !== slab[headAt + 8]) return false; // TTL
      if (get16(slab, at + 4) !== ((get16(slab, headAt + 4) + segments) & 0xffff)) return false; // identification
    } else {
      if (words[a] !== words[b]) return false; // version, traffic class, flow label
      if (slab[at + 7] !== slab[headAt + 7]) return false; // hop limit
    }
    const isTcp = slab[at + (this.#ipHeader === 20 ? 9 : 6)] === TCP;
    if (isTcp) {
      const t = (at + this.#ipHeader) >>> 2;
      const u = (headAt + this.#ipHeader) >>> 2;
      const sequence = get32(slab, headAt + this.#ipHeader + 4) + segments * size;
      if (((get32(slab, at + this.#ipHeader + 4) - sequence) | 0) !== 0) return false;
      if (words[t + 2] !== words[u + 2]) return false; // acknowledgment
      if (((words[t + 3]! ^ words[u + 3]!) & ~(PSH << 8)) !== 0) return false; // offset, flags, window
      const options = (headerLength - this.#ipHeader) >>> 2;
      for (let i = 5; i < options; i++) if (words[t + i] !== words[u + i]) return false;
    } else if (segments >= MAX_DATAGRAMS) return false;
    // The head's only when it first gets company: most packets that stay alone are never summed.
    if (segments === 1 && !this.#isIntact(headAt, batch.innerLength[head]!, isTcp)) return false;
    return this.#isIntact(at, length, isTcp);
  }

  /** Both checksums are right, and written as the kernel would write them: the zero of TCP and IP is never 0xffff. */
  #isIntact(at: number, length: number, isTcp: boolean): boolean {
    const words = this.#words;
    const slab = this.#slab;
    const ipHeader = this.#ipHeader;
    const v4 = ipHeader === 20;
    if (v4) {
      if (fold(sumWords(words, at >>> 2, ipHeader)) !== 0xffff) return false;
      if (slab[at + 10] === 0xff && slab[at + 11] === 0xff) return false;
    }
    const transport = at + ipHeader;
    if (isTcp && slab[transport + 16] === 0xff && slab[transport + 17] === 0xff) return false;
    const body = length - ipHeader;
    // The addresses stand right before the transport header: one sum over both.
    const addresses = v4 ? 8 : 32;
    const sum = fold(this.#sum(transport - addresses, addresses + body));
    return fold(sum + pseudoRest(isTcp ? TCP : UDP, body)) === 0xffff;
  }

  /** Addresses, protocol and length (RFC 9293 §3.1, RFC 8200 §8.1), not folded. */
  #sumPseudo(at: number, v4: boolean, protocol: number, body: number): number {
    const addresses = v4 ? sumWords(this.#words, (at + 12) >>> 2, 8) : sumWords(this.#words, (at + 8) >>> 2, 32);
    return addresses + pseudoRest(protocol, body);
  }

  #isPushed(at: number): boolean {
    const slab = this.#slab;
    const v4 = this.#ipHeader === 20;
    return slab[at + (v4 ? 9 : 6)] === TCP && (slab[at + this.#ipHeader + 13]! & PSH) !== 0;
  }

  #join(group: number, n: number, length: number): void {
    this.next[this.#last[group]!] = n;
    this.next[n] = -1;
    this.#last[group] = n;
    this.segments[group] = this.segments[group]! + 1;
    this.#total[group] = this.#total[group]! + length - this.#headerLength;
  }

  #end(lane: number): void {
    this.#group[lane] = -1;
    this.#growing--;
  }

  #endAll(): void {
    if (this.#growing === 0) return;
    this.#group.fill(-1);
    this.#growing = 0;
  }

  /** Store the low 16 bits of a checksum in the order in which words were summed. */
  #putSum(at: number, sum: number): void {
    this.#putHost16(at, sum);
  }

  #putHost16(at: number, value: number): void {
    this.#slab[at] = value;
    this.#slab[at + 1] = value >>> 8;
  }
}

/** What of the pseudo-header is no address, as its octets lie in memory. */
const pseudoRest = (protocol: number, body: number): number => (protocol << 8) + (((body & 0xff) << 8) | (body >>> 8));

const get16 = (slab: Uint8Array, at: number): number => (slab[at]! << 8) | slab[at + 1]!;

const get32 = (slab: Uint8Array, at: number): number =>
  (slab[at]! << 24) | (slab[at + 1]! << 16) | (slab[at + 2]! << 8) | slab[at + 3]!;

const put16 = (slab: Uint8Array, at: number, value: number): void => {
  slab[at] = value >>> 8;
  slab[at + 1] = value;
};
