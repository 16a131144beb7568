// HOT PATH
/**
 * Transport mode protects whole datagrams and never their fragments (RFC 4301 §7). The local IP layer fragments what is larger
 * than an interface before a worker sees it, so the worker puts it together again, seals it, and leaves it to the IP layer
 * below to fragment the ESP packet: what RFC 4303 §3.3.4 asks of who sits beneath an IP stack.
 *
 * The fragments come from this machine, one after the other and from the first to the last: what comes otherwise is refused.
 */

import { readU16, writeU16 } from "../ipsec/checksum.ts";
import type { Counters } from "../ipsec/counters.ts";
import { IPV4_HEADER, IPV6_HEADER } from "../ipsec/ip.ts";
import { Verdict } from "../ipsec/verdict.ts";
import { Memory } from "../linux/memory.ts";
import { MAX_PACKET } from "./arena.ts";
import { copyOctets } from "./copy-words.ts";

/** Datagrams under way at once; the one that was begun first gives way to another. */
const PLACES = 8;
const FREE = 0;

const FRAGMENT = 44;
const FRAGMENT_HEADER = 8;
const MORE_IPV4 = 0x2000;
const OFFSET_IPV4 = 0x1fff;
const NO_OPTIONS = 0x45;

/** The rest is to come. */
export const PART = 0;
/** It is no next fragment of a datagram under way. */
export const ASTRAY = -1;

/** Whether a whole IP packet is a fragment of another, as transport mode can put it together. */
export const isFragment = (slab: Uint8Array, at: number, length: number): boolean =>
  slab[at]! >> 4 === 4
    ? slab[at] === NO_OPTIONS && (readU16(slab, at + 6) & (MORE_IPV4 | OFFSET_IPV4)) !== 0
    : slab[at + 6] === FRAGMENT && length >= IPV6_HEADER + FRAGMENT_HEADER;

export class Datagrams {
  readonly #memory: Memory;
  readonly #slab: Uint8Array;
  readonly #counters: Counters;
  /** Counter block of all that this worker reads. */
  readonly #all: number;
  /** Made with the first fragment: most workers never see one. */
  #gathered: Memory | undefined;
  /** By place: octets of the datagram that are there, with its header; identification; counter block; when it was begun. */
  readonly #filled = new Int32Array(PLACES);
  readonly #id = new Uint32Array(PLACES);
  readonly #block = new Int32Array(PLACES);
  readonly #begun = new Float64Array(PLACES);
  #clock = 0;
  /** The place of the datagram that was completed last. */
  #done = 0;

  /** `slab`: where packets lie. */
  constructor(slab: Memory, counters: Counters, all: number) {
    this.#memory = slab;
    this.#slab = slab.bytes;
    this.#counters = counters;
    this.#all = all;
  }

  /**
   * Take the fragment of `length` octets at `at`; its datagram is counted in `block` should it never be complete. Returns the
   * octets of the datagram that it completes, which `copyTo` gives to a multiple of 4 octets, or PART, or ASTRAY: then it is the
   * caller's to count.
   */
  take(at: number, length: number, block: number): number {
    const slab = this.#slab;
    const isIpv4 = slab[at] === NO_OPTIONS;
    const header = isIpv4 ? IPV4_HEADER : IPV6_HEADER;
    const payloadAt = isIpv4 ? header : header + FRAGMENT_HEADER;
    const word = readU16(slab, at + (isIpv4 ? 6 : header + 2));
    const offset = isIpv4 ? (word & OFFSET_IPV4) * 8 : word & 0xfff8;
    const more = isIpv4 ? (word & MORE_IPV4) !== 0 : (word & 1) !== 0;
    const id = isIpv4 ? readU16(slab, at + 4) : (readU16(slab, at + header + 4) << 16) | readU16(slab, at + header + 6);
    const payload = length - payloadAt;
    this.#gathered ??= Memory.allocate(PLACES * MAX_PACKET);
    const octets = this.#gathered.bytes;
    let place = this.#find(slab, at, header, id >>> 0);
    if (offset === 0) {
      if (place >= 0) this.#lose(place);
      place = this.#begin(slab, at, header, id >>> 0, block);
      if (!isIpv4) octets[place * MAX_PACKET + 6] = slab[at + header]!; // what follows the fragment header
    }
    if (place < 0) return ASTRAY;
    const end = header + offset + payload;
    if (this.#filled[place] !== header + offset || end > MAX_PACKET || payload <= 0 || (more && (payload & 7) !== 0)) {
      this.#filled[place] = FREE; // the caller counts it for all that was there
      return ASTRAY;
    }
    copyOctets(this.#memory, at + payloadAt, this.#gathered, place * MAX_PACKET + header + offset, payload);
    this.#filled[place] = end;
    if (more) return PART;
    this.#filled[place] = FREE;
    this.#done = place;
    const to = place * MAX_PACKET;
    if (isIpv4) {
      writeU16(octets, to + 2, end);
      writeU16(octets, to + 6, 0);
    } else writeU16(octets, to + 4, end - header);
    return end;
  }

  /** The datagram that `take` has just completed: its header says its length; its IPv4 checksum, which is not sent, is not made anew. */
  copyTo(at: number, length: number): void {
    if (this.#gathered !== undefined) copyOctets(this.#gathered, this.#done * MAX_PACKET, this.#memory, at, length);
  }

  /** Forget what is under way, and what was in it. */
  close(): void {
    this.#filled.fill(FREE);
    this.#gathered?.bytes.fill(0);
  }

  #find(slab: Uint8Array, at: number, header: number, id: number): number {
    const octets = this.#gathered?.bytes;
    if (octets === undefined) return -1;
    const from = header === IPV4_HEADER ? 12 : 8; // the addresses, up to the end of either header
    for (let place = 0; place < PLACES; place++) {
      if (this.#filled[place] === FREE || this.#id[place] !== id) continue;
      const base = place * MAX_PACKET;
      let same = octets[base] === slab[at] && (header === IPV6_HEADER || octets[base + 9] === slab[at + 9]);
      for (let i = from; same && i < header; i++) same = octets[base + i] === slab[at + i];
      if (same) return place;
    }
    return -1;
  }

  #begin(slab: Uint8Array, at: number, header: number, id: number, block: number): number {
    let place = 0;
    for (let each = 0; each < PLACES; each++) {
      if (this.#filled[each] === FREE) {
        place = each;
        break;
      }
      if (this.#begun[each]! < this.#begun[place]!) place = each;
    }
    if (this.#filled[place] !== FREE) this.#lose(place);
    for (let i = 0; i < header; i++) this.#gathered!.bytes[place * MAX_PACKET + i] = slab[at + i]!;
    this.#filled[place] = header;
    this.#id[place] = id;
    this.#block[place] = block;
    this.#begun[place] = this.#clock++;
    return place;
  }

  /** A datagram of which the rest did not come is one packet that was dropped. */
  #lose(place: number): void {
    this.#filled[place] = FREE;
    this.#counters.count(this.#block[place]!, Verdict.UNSUP_TRANSPORT, 0);
    this.#counters.count(this.#all, Verdict.UNSUP_TRANSPORT, 0);
  }
}
