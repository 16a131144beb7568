// HOT PATH
/**
 * Fragments of an IPv4 packet that is too big for the tunnel and may be fragmented (RFC 791 §2.3, §3.2), made before it is
 * sealed: each becomes an ESP packet that fits the path, and the receiving host puts them together (RFC 4301 §8.2.1). IPv6 is
 * never fragmented here (RFC 8200 §4.5): its sender is told.
 *
 *   1500 octets, MTU 1400:   | IP 20 | 1376, offset 0, MF |   | IP 20 | 104, offset 1376 / 8 = 172 |
 *
 * A fragment may be fragmented again. Options without the copied flag stay with the first fragment (RFC 791 §3.1).
 */
import { readU16, writeIpv4Checksum, writeU16 } from "./checksum.ts";
import { IPV4_HEADER } from "./ip.ts";

const DF = 0x4000;
const MF = 0x2000;
const OFFSET = 0x1fff;
const COPIED = 0x80;
const END = 0;
const NO_OPERATION = 1;
const MAX_HEADER = 60;

export class Fragmenter {
  /** Fragments of the packet that was begun. */
  count = 0;
  readonly #first = new Uint8Array(MAX_HEADER);
  readonly #later = new Uint8Array(MAX_HEADER);
  #firstHeader = 0;
  #laterHeader = 0;
  /** Octets of payload: in all, in the first fragment, and in each other but the last. */
  #payload = 0;
  #firstPayload = 0;
  #laterPayload = 0;
  #payloadAt = 0;
  #flagsAndOffset = 0;

  /**
   * Take up the whole packet of `length` octets at `at`. False when it is not IPv4, forbids it (DF), or not even 8 octets of
   * payload fit `mtu` with its header. Its payload has to stay where it is until all fragments are written; its header has not.
   */
  begin(slab: Uint8Array, at: number, length: number, mtu: number): boolean {
    this.count = 0;
    const flagsAndOffset = readU16(slab, at + 6);
    const header = (slab[at]! & 15) * 4;
    if (slab[at]! >> 4 !== 4 || (flagsAndOffset & DF) !== 0) return false;
    const firstPayload = (mtu - header) & ~7;
    if (firstPayload < 8) return false;
    for (let i = 0; i < header; i++) this.#first[i] = slab[at + i]!;
    this.#firstHeader = header;
    this.#laterHeader = this.#copyHeader(header);
    this.#flagsAndOffset = flagsAndOffset;
    this.#payloadAt = at + header;
    this.#payload = length - header;
    this.#laterPayload = (mtu - this.#laterHeader) & ~7;
    this.#firstPayload = length <= mtu ? this.#payload : firstPayload;
    this.count = 1 + this.#laterCount(mtu);
    return true;
  }

  /** How many more: the last one alone may end between multiples of 8, and so take up to 7 octets more. */
  #laterCount(mtu: number): number {
    const rest = this.#payload - this.#firstPayload;
    if (rest === 0) return 0;
    const beyond = rest - (mtu - this.#laterHeader);
    return beyond <= 0 ? 1 : 1 + Math.ceil(beyond / this.#laterPayload);
  }

  /** Octets of fragment `k`, its header included. */
  length(k: number): number {
    return k === 0 ? this.#firstHeader + this.#firstPayload : this.#laterHeader + this.#end(k) - this.#start(k);
  }

  #start(k: number): number {
    return k === 0 ? 0 : this.#firstPayload + (k - 1) * this.#laterPayload;
  }

  #end(k: number): number {
    return k === this.count - 1 ? this.#payload : this.#firstPayload + k * this.#laterPayload;
  }

  /** Write fragment `k` at `to`; returns its length. It may overlap the packet only where that will not be read again. */
  write(slab: Uint8Array, k: number, to: number): number {
    const header = k === 0 ? this.#firstHeader : this.#laterHeader;
    const template = k === 0 ? this.#first : this.#later;
    const start = this.#start(k);
    const end = this.#end(k);
    const from = this.#payloadAt + start;
    if (from !== to + header) slab.copyWithin(to + header, from, from + end - start);
    for (let i = 0; i < header; i++) slab[to + i] = template[i]!;
    const more = k < this.count - 1 ? MF : this.#flagsAndOffset & MF;
    writeU16(slab, to + 2, header + end - start);
    writeU16(slab, to + 6, more | ((this.#flagsAndOffset & OFFSET) + (start >>> 3)));
    writeIpv4Checksum(slab, to, header);
    return header + end - start;
  }

  /** The header of later fragments: options with the copied flag alone, padded with END. Returns its octets. */
  #copyHeader(header: number): number {
    const first = this.#first;
    const later = this.#later;
    for (let i = 0; i < IPV4_HEADER; i++) later[i] = first[i]!;
    let to = IPV4_HEADER;
    let from = IPV4_HEADER;
    while (from + 1 < header && first[from] !== END) {
      const length = first[from] === NO_OPERATION ? 1 : first[from + 1]!;
      if (length === 0 || from + length > header) break; // no option at all: what follows means nothing
      if ((first[from]! & COPIED) !== 0) for (let i = 0; i < length; i++) later[to++] = first[from + i]!;
      from += length;
    }
    while ((to & 3) !== 0) later[to++] = END;
    later[0] = 0x40 | (to >>> 2);
    return to;
  }
}
