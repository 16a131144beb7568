/**
 * ICMP errors that routers send about our ESP packets: what they quote of them (RFC 792, RFC 1191 §4, RFC 4443 §3.2).
 * Nobody vouches for such a message: the SPI and the sequence number of the quoted packet say whether its author has seen
 * it at all (RFC 4301 §6.1.1, §8.2.1), and the caller compares them with the SA. `path-mtu.ts` judges the number.
 */
import type { Family } from "../ip-address.ts";
import { foldSum, readU16, readU32, sumOctets } from "./checksum.ts";
import { ESP_HEADER, MIN_SPI } from "./esp.ts";
import { IPV4_HEADER, IPV6_HEADER } from "./ip.ts";

/** A packet of ours that did not get through, as the error quotes it. */
export interface QuotedEsp {
  readonly family: Family;
  /** Too big for the next hop; or not deliverable for another reason (`type` and `code` say which). */
  readonly tooBig: boolean;
  readonly type: number;
  readonly code: number;
  /** The MTU of the next hop; 0 when `tooBig` is false. */
  readonly mtu: number;
  /** Octets of the quoted packet, by its own header. */
  readonly length: number;
  /** Ours and the peer's, 4 or 16 octets; ports when it was encapsulated in UDP, else 0. */
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly udp: boolean;
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** The peer's SPI, and the low half of the sequence number; both 0 when the quote ends before them. */
  readonly spi: number;
  readonly lowSeq: number;
}

const ESP = 50;
const UDP = 17;
const UDP_HEADER = 8;
const ICMP_HEADER = 8;
const UNREACHABLE = 3;
const FRAGMENTATION_NEEDED = 4;
const PACKET_TOO_BIG = 2;
const UNREACHABLE_V6 = 1;

/** MTUs in use, for routers that do not tell theirs (RFC 1191 §7, Table 7-1). */
const PLATEAUS = [32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68];

const plateauBelow = (length: number): number => PLATEAUS.find((plateau) => plateau < length) ?? 68;

/**
 * Read an ICMP message: octets from the IPv4 header on (as a raw socket of protocol 1 gives them), or from the ICMPv6
 * header on (protocol 58; the kernel has verified its checksum). Undefined: no error, or not about ESP, or it quotes too little.
 * An error about ESP quotes 8 octets behind the IP header, SPI and sequence number. One about UDP-encapsulated ESP that is no
 * longer (RFC 792 asks for no more) shows the ports alone: it may as well be about IKE.
 */
export const readIcmpError = (message: Uint8Array, family: Family): QuotedEsp | undefined => {
  const at = family === 4 ? icmpAt(message) : 0;
  if (at < 0 || message.length < at + ICMP_HEADER) return undefined;
  const type = message[at]!;
  const code = message[at + 1]!;
  if (type !== (family === 4 ? UNREACHABLE : UNREACHABLE_V6) && !(family === 6 && type === PACKET_TOO_BIG))
    return undefined;
  const quote = readQuote(message.subarray(at + ICMP_HEADER), family);
  if (quote === undefined) return undefined;
  const tooBig = family === 4 ? code === FRAGMENTATION_NEEDED : type === PACKET_TOO_BIG;
  const told = family === 4 ? readU16(message, at + 6) : readU32(message, at + 4);
  const mtu = family === 4 && told === 0 ? plateauBelow(quote.length) : told; // a router older than RFC 1191
  return { family, type, code, tooBig, mtu: tooBig ? mtu : 0, ...quote };
};

/** Where the ICMP header of a whole IPv4 packet begins, or -1 when it is none or its checksum is wrong. */
const icmpAt = (message: Uint8Array): number => {
  if (message.length < IPV4_HEADER || message[0]! >> 4 !== 4) return -1;
  const header = (message[0]! & 15) * 4;
  const total = readU16(message, 2);
  if (header < IPV4_HEADER || total < header || total > message.length) return -1;
  return foldSum(sumOctets(message, header, total - header)) === 0xffff ? header : -1;
};

type Quote = Omit<QuotedEsp, "family" | "type" | "code" | "tooBig" | "mtu">;

const readQuote = (quoted: Uint8Array, family: Family): Quote | undefined => {
  const least = family === 4 ? IPV4_HEADER : IPV6_HEADER;
  if (quoted.length < least || quoted[0]! >> 4 !== family) return undefined;
  const header = family === 4 ? (quoted[0]! & 15) * 4 : IPV6_HEADER;
  const length = family === 4 ? readU16(quoted, 2) : IPV6_HEADER + readU16(quoted, 4);
  const addresses = family === 4 ? 12 : 8;
  const octets = family === 4 ? 4 : 16;
  const protocol = quoted[family === 4 ? 9 : 6]!;
  const later = family === 4 && (readU16(quoted, 6) & 0x1fff) !== 0;
  if (header < least || later || (protocol !== ESP && protocol !== UDP)) return undefined;
  const udp = protocol === UDP;
  const esp = header + (udp ? UDP_HEADER : 0);
  if (quoted.length < esp || length < esp + ESP_HEADER) return undefined;
  if (udp && readU16(quoted, header + 4) !== length - header) return undefined;
  const isShort = quoted.length < esp + ESP_HEADER;
  if (isShort && (!udp || family === 6)) return undefined; // RFC 4443 §2.4(c): ICMPv6 quotes what fits 1280 octets
  const spi = isShort ? 0 : readU32(quoted, esp);
  if (!isShort && spi < MIN_SPI) return undefined; // IKE on port 4500 begins with zeros (RFC 3948 §2.2)
  return {
    length,
    source: quoted.slice(addresses, addresses + octets),
    destination: quoted.slice(addresses + octets, addresses + 2 * octets),
    udp,
    sourcePort: udp ? readU16(quoted, header) : 0,
    destinationPort: udp ? readU16(quoted, header + 2) : 0,
    spi,
    lowSeq: isShort ? 0 : readU32(quoted, esp + 4),
  };
};
