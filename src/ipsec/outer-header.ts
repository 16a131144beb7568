// HOT PATH
/**
 * What the outer IP header says of the inner packet (RFC 4301 §5.1.2), as one number for each packet, its mark: packets
 * with another mark go in another train. The rest of the header is the kernel's:
 *
 *   hop limit    the system's default (64): the inner one counts hops of another network and is not touched
 *   flow label   the kernel's, one for each pair of sockets (RFC 6438 §3 would take the inner flow): copying it would show
 *                an observer which packets belong to one flow within the tunnel
 *   IPv4 ID      the kernel's: it means something only where DF is clear (RFC 6864 §4)
 *   checksum     the kernel's, or the device's
 */

/** DF of an outer IPv4 header (RFC 4301 §8.1). An inner IPv6 packet counts as one with DF: no router may fragment it. */
export type DfPolicy = "copy" | "set" | "clear";

/** The same as a word of shared memory. */
export const Df = { copy: 0, set: 1, clear: 2 } as const satisfies Record<DfPolicy, number>;

const DF = 0x40;

/** In a mark, above the eight bits of TOS. */
export const MARK_DF = 0x100;

export const dontFragment = (slab: Uint8Array, at: number): boolean =>
  slab[at]! >> 4 !== 4 || (slab[at + 6]! & DF) !== 0;

/** The mark of the packet at `at`: TOS or traffic class of its outer header, with `MARK_DF` when that has DF. */
export const outerMark = (tos: number, slab: Uint8Array, at: number, df: number): number =>
  df !== Df.clear && (df === Df.set || dontFragment(slab, at)) ? tos | MARK_DF : tos;
