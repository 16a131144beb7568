// HOT PATH
/**
 * ICMP errors that pass a tunnel (RFC 4301 §6.2). A router behind a gateway that reports an error need not have an address that the
 * selectors of the SA hold, but the packet that it reports on has: it came from the other end. So such a message is judged by
 * what it quotes, turned round: the packet with which the one that it reports on would have been answered.
 */
import { type Fields, IPV4_HEADER, IPV6_HEADER, readFields } from "./ip.ts";

const ICMP = 1;
const ICMPV6 = 58;
const ICMP_HEADER = 8;

const UNREACHABLE = 3;
const TIME_EXCEEDED = 11;
const PARAMETER_PROBLEM = 12;
/** Unreachable, too big, time exceeded, parameter problem: RFC 4443 §2.1. */
const LAST_ICMPV6_ERROR = 4;

/** Redirects are for the link that they are sent on, and source quench is for nobody (RFC 6633): neither is carried for its quote. */
const isError = (version: number, type: number): boolean =>
  version === 4
    ? type === UNREACHABLE || type === TIME_EXCEEDED || type === PARAMETER_PROBLEM
    : type >= 1 && type <= LAST_ICMPV6_ERROR;

/**
 * Fill `into` with what selectors ask of the answer to the packet that this one, an ICMP error, quotes; its offsets are those of the quote.
 * False, with `into` of no meaning: it is no error, quotes less than an IP header, or is not for who sent what it quotes.
 */
export const readTriggering = (view: DataView, at: number, length: number, into: Fields): boolean => {
  readFields(view, at, length, into);
  const version = into.addressLength === 4 ? 4 : 6;
  if (into.protocol !== (version === 4 ? ICMP : ICMPV6) || into.sourcePort < 0) return false;
  if (!isError(version, into.sourcePort >> 8)) return false;
  const to = into.destinationAt;
  const quoted = into.transportAt + ICMP_HEADER;
  const left = at + length - quoted;
  if (left < (version === 4 ? IPV4_HEADER : IPV6_HEADER)) return false;
  const first = view.getUint8(quoted);
  if (first >> 4 !== version || (version === 4 && ((first & 15) < 5 || (first & 15) * 4 > left))) return false;
  readFields(view, quoted, left, into);
  const { sourceAt, destinationAt, sourcePort, destinationPort } = into;
  for (let i = 0; i < into.addressLength; i += 4)
    if (view.getUint32(to + i) !== view.getUint32(sourceAt + i)) return false;
  into.sourceAt = destinationAt;
  into.destinationAt = sourceAt;
  into.sourcePort = destinationPort;
  into.destinationPort = sourcePort;
  return true;
};
