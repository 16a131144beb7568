// HOT PATH
/**
 * Transport mode (RFC 4301 §4.1, RFC 4303 §3.1.1) of a gateway that leaves outer headers to the kernel: of a packet between
 * the two ends themselves what lies behind the IP header is protected, and the header that the kernel writes takes the place of
 * its own; the receiver writes a header again, of the addresses of its SA.
 *
 *   | IP | TCP or GRE ... |   ->   | IP | ESP, IV | TCP or GRE ... | padding, length, next header | ICV |
 *
 * So only what such a header can say is carried: no IPv4 options, no extension headers, and no fragments, which transport
 * mode never carries (RFC 4301 §7): `dataplane/datagrams.ts` makes whole packets of them before. The hop limit begins anew.
 */
import { IPV4_HEADER, IPV6_HEADER } from "./ip.ts";

const MORE_OR_OFFSET = 0x3fff;
const DONT_FRAGMENT = 0x4000;
const HOP_LIMIT = 64;

const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const DESTINATION_OPTIONS = 60;

/** Octets of the header of a whole packet that one of the kernel can take the place of; -1 when none can. */
export const plainHeader = (view: DataView, at: number): number => {
  if (view.getUint8(at) >> 4 === 4)
    return (view.getUint8(at) & 15) === 5 && (view.getUint16(at + 6) & MORE_OR_OFFSET) === 0 ? IPV4_HEADER : -1;
  const next = view.getUint8(at + 6);
  const extended = next === HOP_BY_HOP || next === ROUTING || next === FRAGMENT || next === DESTINATION_OPTIONS;
  return extended ? -1 : IPV6_HEADER;
};

/** What follows such a header. */
export const protocolOf = (view: DataView, at: number): number =>
  view.getUint8(at) >> 4 === 4 ? view.getUint8(at + 9) : view.getUint8(at + 6);

/**
 * Write the header of a packet of `payload` octets, which begin at `at`, in front of them. `source` and `destination`: 4 or
 * 16 octets. Returns its octets.
 */
export const writePlainHeader = (
  view: DataView,
  at: number,
  payload: number,
  protocol: number,
  tos: number,
  source: Uint8Array,
  destination: Uint8Array,
): number => {
  if (source.length !== 4) {
    const head = at - IPV6_HEADER;
    view.setUint32(head, 0x6000_0000 | (tos << 20));
    view.setUint16(head + 4, payload);
    view.setUint8(head + 6, protocol);
    view.setUint8(head + 7, HOP_LIMIT);
    for (let i = 0; i < 16; i++) {
      view.setUint8(head + 8 + i, source[i]!);
      view.setUint8(head + 24 + i, destination[i]!);
    }
    return IPV6_HEADER;
  }
  const head = at - IPV4_HEADER;
  view.setUint16(head, 0x4500 | tos);
  view.setUint16(head + 2, IPV4_HEADER + payload);
  view.setUint32(head + 4, DONT_FRAGMENT); // no identification: it is never a fragment (RFC 6864 §4.1)
  view.setUint16(head + 8, (HOP_LIMIT << 8) | protocol);
  view.setUint16(head + 10, 0);
  for (let i = 0; i < 4; i++) {
    view.setUint8(head + 12 + i, source[i]!);
    view.setUint8(head + 16 + i, destination[i]!);
  }
  let sum = 0;
  for (let i = 0; i < IPV4_HEADER; i += 2) sum += view.getUint16(head + i);
  sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(head + 10, ~((sum & 0xffff) + (sum >>> 16)));
  return IPV4_HEADER;
};
