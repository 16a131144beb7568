/**
 * The MTU of a tunnel interface: the largest inner packet whose ESP packet fits the outer MTU whole, so that nothing is
 * fragmented after encryption (RFC 4301 §8.2). Exact, because what a suite adds depends on the length modulo its alignment:
 *
 *   outer header + 8 + IV + alignment * ceil((P + 2) / alignment) + ICV <= outer MTU
 *
 * In transport mode (RFC 4303 §3.1.1) the outer header is the packet's own, so P is what lies behind it.
 */
import type { Suite } from "../crypto/suites.ts";
import type { Family } from "../ip-address.ts";
import { ESP_HEADER, sealedLength, TRAILER } from "./esp.ts";

/** How ESP travels: on which IP, and within UDP (RFC 3948) or as protocol 50. */
export interface Encapsulation {
  readonly family: Family;
  readonly udp: boolean;
}

/** What of a suite has to do with lengths, in octets. */
export type Framing = Pick<Suite, "ivLength" | "icvLength" | "alignment">;

/** IPv6 needs it of every link (RFC 8200 §5): under a smaller inner MTU the kernel switches IPv6 off on the interface. */
export const IPV6_MIN_MTU = 1280;

/** The largest IP packets: a length field of 16 bits counts the header in IPv4, and does not in IPv6. */
const MOST: Readonly<Record<Family, number>> = { 4: 65_535, 6: 65_575 };

const IP_HEADER: Readonly<Record<Family, number>> = { 4: 20, 6: 40 };
const TCP_HEADER = 20;

/** Octets of outer headers before the SPI: no IP options, no extension headers. */
export const outerHeaderLength = ({ family, udp }: Encapsulation): number => IP_HEADER[family] + (udp ? 8 : 0);

/** Octets on the outer link for an inner packet of `inner` octets. */
export const outerLength = (framing: Framing, encapsulation: Encapsulation, inner: number): number =>
  outerHeaderLength(encapsulation) + sealedLength(inner, framing.ivLength, framing.icvLength, framing.alignment);

/** The same in transport mode, for a packet of `length` octets with an IP header of `header` octets. */
export const transportLength = (
  framing: Framing,
  encapsulation: Encapsulation,
  length: number,
  header: number = IP_HEADER[encapsulation.family],
): number => outerLength(framing, encapsulation, length - header) + header - IP_HEADER[encapsulation.family];

/** Octets that a packet grows by: least and most, over all lengths. */
export const overhead = (framing: Framing, encapsulation: Encapsulation): { least: number; most: number } => {
  const least = outerHeaderLength(encapsulation) + ESP_HEADER + framing.ivLength + TRAILER + framing.icvLength;
  return { least, most: least + framing.alignment - 1 };
};

/** The largest inner packet that fits `outerMtu`; 0 when none does. */
export const innerMtu = (framing: Framing, encapsulation: Encapsulation, outerMtu: number): number => {
  const { ivLength, icvLength, alignment } = framing;
  const outer = Math.min(outerMtu, MOST[encapsulation.family]); // the loopback device's MTU is more than that of IPv4
  const room = outer - outerHeaderLength(encapsulation) - ESP_HEADER - ivLength - icvLength;
  return Math.max(0, Math.floor(room / alignment) * alignment - TRAILER);
};

/** The largest packet, its IP header of `header` octets included, that fits `outerMtu` in transport mode; 0 when none does. */
export const transportMtu = (
  framing: Framing,
  encapsulation: Encapsulation,
  outerMtu: number,
  header: number = IP_HEADER[encapsulation.family],
): number => {
  const payload = innerMtu(framing, encapsulation, outerMtu - header + IP_HEADER[encapsulation.family]);
  return payload === 0 ? 0 : payload + header;
};

/** The largest TCP segment in a packet of `mtu` octets, neither IP nor TCP with options (RFC 6691 §2); 0 when none fits. */
export const mssFor = (mtu: number, family: Family): number => Math.max(0, mtu - IP_HEADER[family] - TCP_HEADER);
