/**
 * Traffic selectors as users write them and logs show them:
 *
 *   10.1.0.0/24   2001:db8::/32   10.0.0.1-10.0.0.9   192.0.2.1   any4   any6
 *   10.1.0.0/24[tcp/443]   10.1.0.0/24[udp/1000-2000]   10.1.0.0/24[udp/opaque]
 *   192.0.2.1[gre]   192.0.2.1[47]
 *   10.1.0.0/24[icmp/8]   10.1.0.0/24[icmp/3-5]   10.1.0.0/24[icmp/3/1]        type, or type/code
 */
import { addressBytes, addressText, canonicalAddress, parsePrefix, prefixRange } from "../ip-address.ts";
import type { TrafficSelector } from "./selector.ts";

const PROTOCOLS = {
  any: 0,
  icmp: 1,
  igmp: 2,
  ipip: 4,
  tcp: 6,
  udp: 17,
  ipv6: 41,
  gre: 47,
  esp: 50,
  ah: 51,
  icmpv6: 58,
  ospf: 89,
  pim: 103,
  vrrp: 112,
  l2tp: 115,
  sctp: 132,
  udplite: 136,
} as const;

const NAMES = new Map<number, string>(Object.entries(PROTOCOLS).map(([name, number]) => [number, name]));
const NUMBERS = new Map<string, number>(Object.entries(PROTOCOLS));
const HAVE_TYPES: readonly number[] = [PROTOCOLS.icmp, PROTOCOLS.icmpv6];
const HAVE_PORTS: readonly number[] = [PROTOCOLS.tcp, PROTOCOLS.udp, PROTOCOLS.sctp, PROTOCOLS.udplite];

type Addresses = Pick<TrafficSelector, "first" | "last">;
type Ports = Pick<TrafficSelector, "startPort" | "endPort">;

const ANY: Ports = { startPort: 0, endPort: 0xffff };
const OPAQUE: Ports = { startPort: 0xffff, endPort: 0 };

/** A selector that a user wrote, or undefined when it is none. Host bits of a prefix are ignored. */
export const parseSelector = (text: string): TrafficSelector | undefined => {
  const parts = /^([^[\]]+)(?:\[([a-z0-9-]+)(?:\/([a-z0-9/-]+))?\])?$/i.exec(text.trim());
  const addresses = parseAddresses(parts?.[1] ?? "");
  const protocol = parseProtocol((parts?.[2] ?? "any").toLowerCase());
  if (addresses === undefined || protocol === undefined) return undefined;
  const ports = parts?.[3] === undefined ? ANY : parsePorts(protocol, parts[3].toLowerCase());
  return ports && { protocol, ...ports, ...addresses };
};

const parseAddresses = (text: string): Addresses | undefined => {
  const [from = "", to, ...more] = text.split("-");
  if (to !== undefined) {
    const bounds = [from, to].map((end) => canonicalAddress(end.trim()));
    if (bounds[0] === undefined || bounds[1] === undefined || more.length > 0) return undefined;
    const first = addressBytes(bounds[0]);
    const last = addressBytes(bounds[1]);
    return first.length === last.length && Buffer.compare(first, last) <= 0 ? { first, last } : undefined;
  }
  const prefix = parsePrefix(text === "any4" ? "0.0.0.0/0" : text === "any6" ? "::/0" : text);
  return prefix && prefixRange(prefix);
};

const parseProtocol = (text: string): number | undefined => {
  if (/^\d{1,3}$/.test(text)) return Number(text) <= 255 ? Number(text) : undefined;
  return NUMBERS.get(text === "ipv6-icmp" ? "icmpv6" : text);
};

const parsePorts = (protocol: number, text: string): Ports | undefined => {
  // Ports of a protocol that has none, and of any protocol, say nothing (RFC 7296 §3.13.1).
  if (protocol === 0 || (NAMES.has(protocol) && !HAVE_TYPES.includes(protocol) && !HAVE_PORTS.includes(protocol)))
    return undefined;
  if (text === "any") return ANY;
  if (text === "opaque") return OPAQUE;
  const [from = "", to = from, ...more] = text.split("-");
  const bound = HAVE_TYPES.includes(protocol) ? typeAndCode : port;
  const startPort = bound(from, 0);
  const endPort = bound(to, 0xff);
  if (startPort === undefined || endPort === undefined || startPort > endPort || more.length > 0) return undefined;
  return { startPort, endPort };
};

const port = (text: string): number | undefined =>
  /^\d{1,5}$/.test(text) && Number(text) <= 0xffff ? Number(text) : undefined;

/** `type` with `code` as default, or `type/code`. */
const typeAndCode = (text: string, code: number): number | undefined => {
  const parts = /^(\d{1,3})(?:\/(\d{1,3}))?$/.exec(text);
  if (parts === null) return undefined;
  const type = Number(parts[1]);
  const ownCode = parts[2] === undefined ? code : Number(parts[2]);
  return type <= 0xff && ownCode <= 0xff ? (type << 8) | ownCode : undefined;
};

/** What `parseSelector` reads, in its shortest form. */
export const formatSelector = (selector: TrafficSelector): string =>
  `${formatAddresses(selector)}${formatProtocol(selector)}`;

const formatAddresses = ({ first, last }: Addresses): string => {
  const bits = first.length * 8;
  let length = 0;
  while (length < bits && bitAt(first, length) === bitAt(last, length)) length++;
  const address = addressText(first);
  if (length === bits) return address;
  for (let bit = length; bit < bits; bit++)
    if (bitAt(first, bit) !== 0 || bitAt(last, bit) !== 1) return `${address}-${addressText(last)}`;
  return `${address}/${length}`;
};

const bitAt = (bytes: Uint8Array, bit: number): number => (bytes[bit >> 3]! >> (7 - (bit & 7))) & 1;

const formatProtocol = ({ protocol, startPort, endPort }: TrafficSelector): string => {
  const ports = formatPorts(protocol, startPort, endPort);
  if (protocol === 0 && ports === "") return "";
  return `[${NAMES.get(protocol) ?? protocol}${ports}]`;
};

const formatPorts = (protocol: number, startPort: number, endPort: number): string => {
  if (startPort === ANY.startPort && endPort === ANY.endPort) return "";
  if (startPort === OPAQUE.startPort && endPort === OPAQUE.endPort) return "/opaque";
  if (!HAVE_TYPES.includes(protocol)) return startPort === endPort ? `/${startPort}` : `/${startPort}-${endPort}`;
  const whole = (startPort & 0xff) === 0 && (endPort & 0xff) === 0xff;
  const [from, to] = [startPort, endPort].map((bound) => (whole ? `${bound >> 8}` : `${bound >> 8}/${bound & 0xff}`));
  return from === to ? `/${from}` : `/${from}-${to}`;
};
