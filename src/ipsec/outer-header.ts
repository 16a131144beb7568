// HOT PATH
/**
 * What the outer IP header says of the inner packet (RFC 4301 §5.1.2), as one number for each packet that the sender puts
 * into control messages: packets with another number go in another train. The rest of the header is the kernel's:
 *
 *   hop limit    the system's default (64): the inner one counts hops of another network and is not touched
 *   flow label   the kernel's, one for each pair of sockets (RFC 6438 §3 would take the inner flow): copying it would show
 *                an observer which packets belong to one flow within the tunnel
 *   IPv4 ID      the kernel's: it means something only where DF is clear (RFC 6864 §4)
 *   checksum     the kernel's, or the device's
 */
import { tosOf } from "./ecn.ts";

/** DF of an outer IPv4 header (RFC 4301 §8.1). An inner IPv6 packet counts as one with DF: no router may fragment it. */
export type DfPolicy = "copy" | "set" | "clear";

const DF = 0x40;

/** In a mark, above the eight bits of TOS. */
export const MARK_DF = 0x100;

export const dontFragment = (slab: Uint8Array, at: number): boolean =>
  slab[at]! >> 4 !== 4 || (slab[at + 6]! & DF) !== 0;

/** TOS or traffic class of the outer header, with `MARK_DF` when its DF is set. `tosTable` as from `outerTosTable`. */
export const outerMark = (slab: Uint8Array, at: number, tosTable: Uint8Array, df: DfPolicy): number => {
  const tos = tosTable[tosOf(slab, at)]!;
  return df === "set" || (df === "copy" && dontFragment(slab, at)) ? tos | MARK_DF : tos;
};
