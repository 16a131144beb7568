/**
 * The MTU of a tunnel interface: the largest inner packet whose ESP packet fits the outer MTU whole, so that nothing is
 * fragmented after encryption (RFC 4301 §8.2). Exact, because what a suite adds depends on the length modulo its alignment:
 *
 *   outer header + 8 + IV + alignment * ceil((P + 2) / alignment) + ICV <= outer MTU
 */
import type { Suite } from "../crypto/suites.ts";
import type { Family } from "../ip-address.ts";
import { ESP_HEADER, sealedLength, TRAILER } from "./esp.ts";

/** How ESP travels: on which IP, and within UDP (RFC 3948) or as protocol 50. */
export interface Encapsulation {
  readonly family: Family;
  readonly udp: boolean;
}

/** IPv6 needs it of every link (RFC 8200 §5): under a smaller inner MTU the kernel switches IPv6 off on the interface. */
export const IPV6_MIN_MTU = 1280;

/** Octets of outer headers before the SPI: no IP options, no extension headers. */
export const outerHeaderLength = ({ family, udp }: Encapsulation): number => (family === 4 ? 20 : 40) + (udp ? 8 : 0);

/** Octets on the outer link for an inner packet of `inner` octets. */
export const outerLength = (suite: Suite, encapsulation: Encapsulation, inner: number): number =>
  outerHeaderLength(encapsulation) + sealedLength(inner, suite.ivLength, suite.icvLength, suite.alignment);

/** Octets that a packet grows by: least and most, over all lengths. */
export const overhead = (suite: Suite, encapsulation: Encapsulation): { least: number; most: number } => {
  const least = outerHeaderLength(encapsulation) + ESP_HEADER + suite.ivLength + TRAILER + suite.icvLength;
  return { least, most: least + suite.alignment - 1 };
};

/** The largest inner packet that fits `outerMtu`; 0 when none does. */
export const innerMtu = (suite: Suite, encapsulation: Encapsulation, outerMtu: number): number => {
  const room = outerMtu - outerHeaderLength(encapsulation) - ESP_HEADER - suite.ivLength - suite.icvLength;
  const text = Math.floor(room / suite.alignment) * suite.alignment;
  return Math.max(0, text - TRAILER);
};
