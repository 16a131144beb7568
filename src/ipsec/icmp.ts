// HOT PATH
/**
 * What a router tells the sender of a packet that is too big for the tunnel and must not be fragmented (RFC 4301 §8.2):
 * ICMP Destination Unreachable with code 4 (RFC 792, RFC 1191 §4), or ICMPv6 Packet Too Big (RFC 4443 §3.2).
 */
import { foldSum, readU16, sumOctets, writeIpv4Checksum, writeU16 } from "./checksum.ts";
import { Fields, IPV4_HEADER, IPV6_HEADER, readFields } from "./ip.ts";

/** Octets of the longest answers: RFC 1812 §4.3.2.3; the least MTU of IPv6 (RFC 4443 §2.4(c)). */
export const MAX_ICMP = 576;
export const MAX_ICMPV6 = 1280;

const ICMP = 1;
const ICMPV6 = 58;
const ICMP_HEADER = 8;
const UNREACHABLE = 3;
const FRAGMENTATION_NEEDED = 4;
const PACKET_TOO_BIG = 2;
const HOP_LIMIT = 64;
const DF = 0x40;
/** Internetwork control (RFC 1812 §4.3.2.5). */
const PRECEDENCE = 0xc0;

/** The MTU that a sender on this IP version is told: never less than any IPv6 link must carry (RFC 8200 §5). */
export const advertisedMtu = (version: number, mtu: number): number =>
  version === 6 ? Math.max(mtu, MAX_ICMPV6) : mtu;

const fields = new Fields(); // cold: one a thread

/**
 * Whether an error may be sent about this whole packet; `view` is of all of `slab`. Never about an ICMP error (that would not
 * end), about an IPv4 fragment other than the first, or where source or destination is not one host: RFC 1812 §4.3.2.7, RFC 4443
 * §2.4(e), which lets Packet Too Big alone answer a multicast, and later fragments too.
 */
export const mayAnswer = (slab: Uint8Array, view: DataView, at: number, length: number): boolean => {
  readFields(view, at, length, fields);
  const { protocol, sourcePort } = fields;
  if (slab[at]! >> 4 === 4) {
    if ((readU16(slab, at + 6) & 0x1fff) !== 0) return false;
    if (!isIpv4Host(slab, at + 12) || !isIpv4Host(slab, at + 16)) return false;
    return protocol !== ICMP || (sourcePort >= 0 && !isIcmpError(sourcePort >> 8));
  }
  if (!isIpv6Host(slab, at + 8)) return false;
  return protocol !== ICMPV6 || (sourcePort >= 0 && !isIcmpv6Error(sourcePort >> 8));
};

/** One host's address: not of 0/8, 127/8, multicast, reserved or broadcast (RFC 1812 §4.2.2.11, §5.3.7). */
const isIpv4Host = (slab: Uint8Array, at: number): boolean => slab[at]! > 0 && slab[at]! < 224 && slab[at] !== 127;

/** Neither multicast nor unspecified nor loopback. */
const isIpv6Host = (slab: Uint8Array, at: number): boolean => {
  if (slab[at] === 0xff) return false;
  for (let i = 0; i < 15; i++) if (slab[at + i] !== 0) return true;
  return slab[at + 15]! > 1;
};

/** Unreachable, source quench, redirect, time exceeded, parameter problem: RFC 1122 §3.2.2. */
const isIcmpError = (type: number): boolean =>
  type === UNREACHABLE || type === 4 || type === 5 || type === 11 || type === 12;

/** Errors have the types below 128 (RFC 4443 §2.1); a redirect, 137, counts as one (§2.4(e.2)). */
const isIcmpv6Error = (type: number): boolean => type < 128 || type === 137;

/**
 * Write at `to` the answer to the whole packet of `length` octets at `at`, from the address of the same family at
 * `sourceAt` of `source`, and return its length: at most MAX_ICMP or MAX_ICMPV6. The two places must not overlap.
 */
export const writeTooBig = (
  slab: Uint8Array,
  at: number,
  length: number,
  mtu: number,
  source: Uint8Array,
  sourceAt: number,
  to: number,
): number =>
  slab[at]! >> 4 === 4
    ? writeIcmp(slab, at, length, mtu, source, sourceAt, to)
    : writeIcmpv6(slab, at, length, mtu, source, sourceAt, to);

const writeIcmp = (
  slab: Uint8Array,
  at: number,
  length: number,
  mtu: number,
  source: Uint8Array,
  sourceAt: number,
  to: number,
): number => {
  const quoted = Math.min(length, MAX_ICMP - IPV4_HEADER - ICMP_HEADER);
  const total = IPV4_HEADER + ICMP_HEADER + quoted;
  slab.fill(0, to, to + IPV4_HEADER + ICMP_HEADER);
  slab[to] = 0x45;
  slab[to + 1] = PRECEDENCE;
  writeU16(slab, to + 2, total);
  slab[to + 6] = DF; // so the ID may be 0 (RFC 6864 §4.1)
  slab[to + 8] = HOP_LIMIT;
  slab[to + 9] = ICMP;
  copy(source, sourceAt, slab, to + 12, 4);
  copy(slab, at + 12, slab, to + 16, 4);
  writeIpv4Checksum(slab, to, IPV4_HEADER);
  const icmp = to + IPV4_HEADER;
  slab[icmp] = UNREACHABLE;
  slab[icmp + 1] = FRAGMENTATION_NEEDED;
  writeU16(slab, icmp + 6, Math.min(mtu, 0xffff));
  copy(slab, at, slab, icmp + ICMP_HEADER, quoted);
  writeU16(slab, icmp + 2, ~foldSum(sumOctets(slab, icmp, ICMP_HEADER + quoted)));
  return total;
};

const writeIcmpv6 = (
  slab: Uint8Array,
  at: number,
  length: number,
  mtu: number,
  source: Uint8Array,
  sourceAt: number,
  to: number,
): number => {
  const quoted = Math.min(length, MAX_ICMPV6 - IPV6_HEADER - ICMP_HEADER);
  const payload = ICMP_HEADER + quoted;
  slab.fill(0, to, to + IPV6_HEADER + ICMP_HEADER);
  slab[to] = 0x60;
  writeU16(slab, to + 4, payload);
  slab[to + 6] = ICMPV6;
  slab[to + 7] = HOP_LIMIT;
  copy(source, sourceAt, slab, to + 8, 16);
  copy(slab, at + 8, slab, to + 24, 16);
  const icmp = to + IPV6_HEADER;
  slab[icmp] = PACKET_TOO_BIG;
  const told = advertisedMtu(6, mtu);
  writeU16(slab, icmp + 4, told >>> 16);
  writeU16(slab, icmp + 6, told & 0xffff);
  copy(slab, at, slab, icmp + ICMP_HEADER, quoted);
  const pseudoHeader = sumOctets(slab, to + 8, 32) + payload + ICMPV6; // RFC 8200 §8.1
  writeU16(slab, icmp + 2, ~foldSum(pseudoHeader + sumOctets(slab, icmp, payload)));
  return IPV6_HEADER + payload;
};

const copy = (from: Uint8Array, at: number, into: Uint8Array, to: number, length: number): void => {
  for (let i = 0; i < length; i++) into[to + i] = from[at + i]!;
};
