// HOT PATH
/**
 * Lowers the maximum segment size that a TCP SYN announces to what fits the tunnel (RFC 9293 §3.7.1, RFC 6691 §2), in either
 * direction, so that no full segment has to be fragmented or answered with an ICMP error that may get lost. An MSS that is
 * small enough, and a SYN that names none, stay as they are.
 */
import { readU16, updated, writeU16 } from "../ipsec/checksum.ts";
import { IPV6_HEADER } from "../ipsec/ip.ts";
import { Verdict } from "../ipsec/verdict.ts";
import { MAX_PACKET } from "./arena.ts";
import type { InboundBatch } from "./inbound.ts";
import type { OutboundBatch } from "./outbound.ts";
import type { PlaneMemory } from "./plane-memory.ts";

const TCP = 6;
const TCP_HEADER = 20;
const FLAGS = 13;
const CHECKSUM = 16;
const SYN = 0x02;
const END = 0;
const NO_OPERATION = 1;
const MAXIMUM_SEGMENT_SIZE = 2;

const HOP_BY_HOP = 0;
const ROUTING = 43;
const DESTINATION_OPTIONS = 60;
const MORE_EXTENSIONS = 8;

/** Clamps what a worker has read from tunnels, before it is sealed, and what it has opened, before it is written to them. */
export class MssClamp {
  readonly #slab: Uint8Array;
  readonly #tables: PlaneMemory;

  constructor(slab: Uint8Array, tables: PlaneMemory) {
    this.#slab = slab;
    this.#tables = tables;
  }

  /** Packets with complete checksums, that are not refused yet. */
  outbound(batch: OutboundBatch): void {
    const { blocks, tunnels } = this.#tables;
    let block = -1;
    let mss4 = 0;
    let mss6 = 0;
    for (let n = 0; n < batch.count; n++) {
      if (batch.tunnelBlock[n] !== block) {
        block = batch.tunnelBlock[n]!;
        const tunnel = blocks.tunnelOf(block);
        mss4 = tunnels.mss4(tunnel);
        mss6 = tunnels.mss6(tunnel);
      }
      if (batch.refused[n] !== Verdict.PASS || batch.length[n]! > MAX_PACKET) continue;
      clampMss(this.#slab, batch.at[n]!, batch.length[n]!, mss4, mss6, true);
    }
  }

  /** Packets that were opened. */
  inbound(batch: InboundBatch): void {
    const { sad, tunnels } = this.#tables;
    let slot = -1;
    let mss4 = 0;
    let mss6 = 0;
    for (let n = 0; n < batch.count; n++) {
      if (batch.verdict[n] !== Verdict.PASS) continue;
      if (batch.slot[n] !== slot) {
        slot = batch.slot[n]!;
        const tunnel = sad.tunnel(slot);
        mss4 = tunnels.mss4(tunnel);
        mss6 = tunnels.mss6(tunnel);
      }
      clampMss(this.#slab, batch.innerAt[n]!, batch.innerLength[n]!, mss4, mss6, true);
    }
  }
}

/**
 * Clamp the whole packet of `length` octets at `at` to a segment of `mss4` or `mss6` octets, by its IP version; 0 leaves that
 * version alone. `summed`: its TCP checksum is complete and is kept so; else the field holds the sum of the pseudo-header and
 * who completes it will sum the new MSS. True when the packet was changed.
 */
export const clampMss = (
  slab: Uint8Array,
  at: number,
  length: number,
  mss4: number,
  mss6: number,
  summed: boolean,
): boolean => {
  const version = slab[at]! >> 4;
  const mss = version === 4 ? mss4 : mss6;
  if (mss === 0) return false;
  const tcp = version === 4 ? tcpInIpv4(slab, at) : tcpInIpv6(slab, at, length);
  if (tcp === 0 || tcp + TCP_HEADER > length || (slab[at + tcp + FLAGS]! & SYN) === 0) return false;
  const option = findMss(slab, at + tcp, length - tcp);
  if (option === 0) return false;
  const value = at + tcp + option;
  const before = readU16(slab, value);
  if (before <= mss) return false;
  writeU16(slab, value, mss);
  if (summed) {
    const field = at + tcp + CHECKSUM;
    // An option may begin anywhere: at an odd offset its octets belong to two words, the other way round.
    const odd = (option & 1) !== 0;
    writeU16(slab, field, updated(readU16(slab, field), odd ? swapped(before) : before, odd ? swapped(mss) : mss));
  }
  return true;
};

const swapped = (value: number): number => ((value & 0xff) << 8) | (value >>> 8);

/** Offset of the TCP header in a packet that is not a later fragment, or 0. */
const tcpInIpv4 = (slab: Uint8Array, at: number): number =>
  slab[at + 9] === TCP && (readU16(slab, at + 6) & 0x1fff) === 0 ? (slab[at]! & 15) * 4 : 0;

const tcpInIpv6 = (slab: Uint8Array, at: number, length: number): number => {
  let next = slab[at + 6]!;
  let offset = IPV6_HEADER;
  for (let i = 0; i < MORE_EXTENSIONS; i++) {
    if (next !== HOP_BY_HOP && next !== ROUTING && next !== DESTINATION_OPTIONS) break;
    if (offset + 8 > length) return 0;
    next = slab[at + offset]!;
    offset += (slab[at + offset + 1]! + 1) * 8;
  }
  return next === TCP ? offset : 0; // fragments of a SYN: there are none that matter
};

/** Offset of the value of the MSS option in a TCP header, or 0. `left`: octets of the packet from the header on. */
const findMss = (slab: Uint8Array, tcp: number, left: number): number => {
  const end = Math.min(left, (slab[tcp + 12]! >> 4) * 4);
  let option = TCP_HEADER;
  while (option < end) {
    const kind = slab[tcp + option]!;
    if (kind === END) return 0;
    if (kind === NO_OPERATION) {
      option++;
      continue;
    }
    if (option + 2 > end) return 0;
    const octets = slab[tcp + option + 1]!;
    if (octets < 2 || option + octets > end) return 0;
    if (kind === MAXIMUM_SEGMENT_SIZE) return octets === 4 ? option + 2 : 0;
    option += octets;
  }
  return 0;
};
