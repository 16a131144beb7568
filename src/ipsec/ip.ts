// HOT PATH
/**
 * Reading the headers of an IPv4 or IPv6 packet at (view of the slab, offset): whether it is whole, and the five fields that traffic
 * selectors look at (RFC 4301 §4.4.1.1). The outer header of what we send is the kernel's work.
 */

export const IPV4_HEADER = 20;
export const IPV6_HEADER = 40;

const FRAGMENT_OFFSET = 0x1fff;
const MORE_EXTENSIONS = 8;

const HOP_BY_HOP = 0;
const ICMP = 1;
const TCP = 6;
const UDP = 17;
const ROUTING = 43;
const FRAGMENT = 44;
const ICMPV6 = 58;
const DESTINATION_OPTIONS = 60;
const SCTP = 132;
const MOBILITY = 135;
const UDP_LITE = 136;

/**
 * Octets of the IP packet that begins at `at`, by its own header, or -1 when it is no packet of `version` (4 or 6) or is
 * longer than the `length` octets there. What lies behind it is TFC padding (RFC 4303 §2.7).
 */
export const packetLength = (view: DataView, at: number, length: number, version: number): number => {
  if (length < IPV4_HEADER) return -1;
  const first = view.getUint8(at);
  if (first >> 4 !== version) return -1;
  if (version === 4) {
    const header = (first & 15) * 4;
    const total = view.getUint16(at + 2);
    return header >= IPV4_HEADER && total >= header && total <= length ? total : -1;
  }
  if (version !== 6 || length < IPV6_HEADER) return -1;
  const total = IPV6_HEADER + view.getUint16(at + 4);
  return total <= length ? total : -1;
};

/** The version, 4 or 6, of the packet that fills exactly the `length` octets at `at`; 0 when none does. */
export const versionOfWhole = (view: DataView, at: number, length: number): number => {
  if (length < IPV4_HEADER) return 0;
  const first = view.getInt32(at);
  if (first >>> 28 === 4) {
    const header = (first >>> 22) & 60;
    return header >= IPV4_HEADER && header <= length && (first & 0xffff) === length ? 4 : 0;
  }
  return first >>> 28 === 6 && length >= IPV6_HEADER && view.getUint16(at + 4) === length - IPV6_HEADER ? 6 : 0;
};

/** What selectors ask of a packet. One object a worker, filled for each packet that needs it. */
export class Fields {
  /** 4 or 16 octets at each of these. */
  addressLength = 4;
  sourceAt = 0;
  destinationAt = 0;
  protocol = 0;
  /** Where the header of that protocol begins, or would. */
  transportAt = 0;
  /** Ports, or -1 when the packet does not show them: a later fragment, or cut short (RFC 4301 §7). */
  sourcePort = -1;
  destinationPort = -1;
  /** It is a fragment and not the first: it begins in the middle of a packet. */
  isLaterFragment = false;
}

/** Fill `into` from a packet that `packetLength` found whole. */
export const readFields = (view: DataView, at: number, length: number, into: Fields): void => {
  if (view.getUint8(at) >> 4 === 4) {
    into.addressLength = 4;
    into.sourceAt = at + 12;
    into.destinationAt = at + 16;
    const header = (view.getUint8(at) & 15) * 4;
    const later = (view.getUint16(at + 6) & FRAGMENT_OFFSET) !== 0;
    into.isLaterFragment = later;
    readPorts(view, at + header, later ? 0 : length - header, view.getUint8(at + 9), into);
    return;
  }
  into.addressLength = 16;
  into.sourceAt = at + 8;
  into.destinationAt = at + 24;
  into.isLaterFragment = false;
  let next = view.getUint8(at + 6);
  let offset = IPV6_HEADER;
  for (let i = 0; i < MORE_EXTENSIONS; i++) {
    if (next !== HOP_BY_HOP && next !== ROUTING && next !== DESTINATION_OPTIONS && next !== FRAGMENT) break;
    if (offset + 8 > length) break;
    const kind = next;
    next = view.getUint8(at + offset);
    if (kind === FRAGMENT) {
      const later = (view.getUint16(at + offset + 2) & 0xfff8) !== 0;
      offset += 8;
      if (later) {
        into.isLaterFragment = true;
        offset = length; // what follows is the middle of a packet
        break;
      }
    } else offset += (view.getUint8(at + offset + 1) + 1) * 8;
  }
  readPorts(view, at + offset, length - offset, next, into);
};

const readPorts = (view: DataView, at: number, left: number, protocol: number, into: Fields): void => {
  into.protocol = protocol;
  into.transportAt = at;
  into.sourcePort = -1;
  into.destinationPort = -1;
  if (left < 4) return;
  if (protocol === TCP || protocol === UDP || protocol === SCTP || protocol === UDP_LITE) {
    into.sourcePort = view.getUint16(at);
    into.destinationPort = view.getUint16(at + 2);
  } else if (protocol === ICMP || protocol === ICMPV6) {
    into.sourcePort = view.getUint16(at); // type and code as one number, on both sides (RFC 7296 §3.13.1)
    into.destinationPort = into.sourcePort;
  } else if (protocol === MOBILITY) {
    into.sourcePort = view.getUint8(at + 2) << 8; // mobility header type, in the most significant octet (RFC 4301 §4.4.1.3)
    into.destinationPort = into.sourcePort;
  }
};
