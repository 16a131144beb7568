/**
 * Traffic selectors, RFC 7296 §3.13.1 and RFC 4301 §4.4.1.1: which packets an SA carries, and narrowing (RFC 7296 §2.9).
 * A selector is a set of packets: intersection and covering are those of sets.
 */
import { equalBytes } from "../bytes.ts";

export interface TrafficSelector {
  /** IP protocol, 0 for any. */
  readonly protocol: number;
  /** 0 and 65535 for any port; 65535 and 0 for OPAQUE: the packet shows no port. ICMP: type << 8 | code. */
  readonly startPort: number;
  readonly endPort: number;
  /** First and last address, both included: 4 or 16 octets each, the same length. */
  readonly first: Uint8Array;
  readonly last: Uint8Array;
}

const ANY_PROTOCOL = 0;
const LAST_PORT = 0xffff;

const everything = (octets: number): TrafficSelector => ({
  protocol: ANY_PROTOCOL,
  startPort: 0,
  endPort: LAST_PORT,
  first: new Uint8Array(octets),
  last: new Uint8Array(octets).fill(0xff),
});

/** 0.0.0.0/0 and ::/0, all protocols. */
export const anySelectors: readonly TrafficSelector[] = [everything(4), everything(16)];

export const isAnyPort = ({ startPort, endPort }: TrafficSelector): boolean => startPort === 0 && endPort === LAST_PORT;

export const isOpaque = ({ startPort, endPort }: TrafficSelector): boolean => startPort === LAST_PORT && endPort === 0;

export const equalSelectors = (a: TrafficSelector, b: TrafficSelector): boolean =>
  a.protocol === b.protocol &&
  a.startPort === b.startPort &&
  a.endPort === b.endPort &&
  equalBytes(a.first, b.first) &&
  equalBytes(a.last, b.last);

/** The packets that both select, or undefined when there are none. */
export const intersect = (a: TrafficSelector, b: TrafficSelector): TrafficSelector | undefined => {
  if (a.first.length !== b.first.length) return undefined;
  if (a.protocol !== b.protocol && a.protocol !== ANY_PROTOCOL && b.protocol !== ANY_PROTOCOL) return undefined;
  const ports = intersectPorts(a, b);
  const first = Buffer.compare(a.first, b.first) >= 0 ? a.first : b.first;
  const last = Buffer.compare(a.last, b.last) <= 0 ? a.last : b.last;
  if (ports === undefined || Buffer.compare(first, last) > 0) return undefined;
  return {
    protocol: a.protocol === ANY_PROTOCOL ? b.protocol : a.protocol,
    startPort: ports.startPort,
    endPort: ports.endPort,
    first,
    last,
  };
};

type Ports = Pick<TrafficSelector, "startPort" | "endPort">;

/** ANY holds every port and OPAQUE; OPAQUE is no port of a range (RFC 4301 §4.4.1.1). */
const intersectPorts = (a: TrafficSelector, b: TrafficSelector): Ports | undefined => {
  if (isOpaque(a) || isOpaque(b)) return holdsOpaque(a) && holdsOpaque(b) ? (isOpaque(a) ? a : b) : undefined;
  const startPort = Math.max(a.startPort, b.startPort);
  const endPort = Math.min(a.endPort, b.endPort);
  return startPort <= endPort ? { startPort, endPort } : undefined;
};

const holdsOpaque = (selector: TrafficSelector): boolean => isOpaque(selector) || isAnyPort(selector);

/** Whether every packet of `b` is one of `a`. */
export const covers = (a: TrafficSelector, b: TrafficSelector): boolean => {
  const both = intersect(a, b);
  return both !== undefined && equalSelectors(both, b);
};

/** Whether a packet is selected. `port` is undefined where the packet shows none, as in a later fragment. */
export const containsPacket = (
  selector: TrafficSelector,
  packet: { readonly protocol: number; readonly address: Uint8Array; readonly port: number | undefined },
): boolean =>
  (selector.protocol === ANY_PROTOCOL || selector.protocol === packet.protocol) &&
  selector.first.length === packet.address.length &&
  Buffer.compare(selector.first, packet.address) <= 0 &&
  Buffer.compare(packet.address, selector.last) <= 0 &&
  (packet.port === undefined
    ? holdsOpaque(selector)
    : selector.startPort <= packet.port && packet.port <= selector.endPort);

/**
 * Selectors that a Child SA has at most on a side, of the 255 that a TS payload may hold (RFC 7296 §3.13): packets are
 * compared with each of them. A responder may narrow what it was offered to so many.
 */
export const MAX_SELECTORS = 32;

/**
 * What a responder with this policy accepts of an offer, RFC 7296 §2.9: the packets that are in both, in the order of the
 * offer, none twice. Empty: TS_UNACCEPTABLE.
 */
export const narrow = (offered: readonly TrafficSelector[], policy: readonly TrafficSelector[]): TrafficSelector[] => {
  let narrowed: TrafficSelector[] = [];
  for (const offer of offered)
    for (const allowed of policy) {
      const both = intersect(offer, allowed);
      if (both === undefined || narrowed.some((already) => covers(already, both))) continue;
      // An initiator may offer the packet that it wants to send and then the range around it: the range says it all.
      narrowed = narrowed.filter((already) => !covers(both, already));
      narrowed.push(both);
      if (narrowed.length === MAX_SELECTORS) return narrowed;
    }
  return narrowed;
};

export { formatSelector, parseSelector } from "./selector-text.ts";
