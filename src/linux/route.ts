/** Routes of the main table or of another: adding, replacing, removing, and asking which one a packet would take. */
import { EspalierError } from "../errors.ts";
import { addressBytes, addressText, canonicalAddress, familyOf, parsePrefix, prefixRange } from "../ip-address.ts";
import { RTMSG } from "./abi.ts";
import { ERRNO, systemError } from "./errno.ts";
import { linkOf } from "./link.ts";
import { NLM_F, request } from "./netlink.ts";
import { MessageBuilder, parseAttributes, u32Of } from "./netlink-message.ts";
import { AF_INET, AF_INET6 } from "./sockaddr.ts";

const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;

const RTA_DST = 1;
const RTA_SRC = 2;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTAX_MTU = 2;
const RTA_CACHEINFO = 12;
const RTA_TABLE = 15;
const RTA_MARK = 16;
/** Of its value, `struct rta_cacheinfo`: when what the kernel has learned of the path expires; 0 in a route of the table. */
const EXPIRES_AT = 8;

const RT_TABLE_UNSPEC = 0; // an attribute names it
const RT_TABLE_MAIN = 254;
const RTPROT_STATIC = 4;
const SCOPE_UNIVERSE = 0;
const SCOPE_LINK = 253;
const SCOPE_NOWHERE = 255; // in a removal: any scope

/** `unreachable` answers with ICMP, `blackhole` says nothing; both keep packets from taking a wider route. */
const TYPES = { unicast: 1, blackhole: 6, unreachable: 7 } as const;
export type RouteType = keyof typeof TYPES;

export interface RouteOptions {
  /** Default `unicast`. */
  readonly type?: RouteType;
  /** The smaller is preferred; default 0 for IPv4, 1024 for IPv6. */
  readonly metric?: number;
  /** Source address of packets that begin here. */
  readonly source?: string;
  readonly gateway?: string;
  /** Number of the table; default the main one. */
  readonly table?: number;
}

/** What a packet to an address would do. */
export interface PathRoute {
  readonly interface: string;
  /** Source address that it would have, if it begins here. */
  readonly source: string | undefined;
  readonly gateway: string | undefined;
  /** Octets: of the interface or what the route says, and not what the kernel believes to have learned of the path. */
  readonly mtu: number;
}

const usage = (message: string): EspalierError => new EspalierError("ESPALIER_USAGE", message);

const octetsOf = (text: string, what: string): Uint8Array => {
  if (canonicalAddress(text) === undefined) throw usage(`${what} is not an IP address: ${JSON.stringify(text)}`);
  return addressBytes(text);
};

const describe = (prefix: string, device: string | undefined, { type = "unicast" }: RouteOptions): string =>
  `route ${type === "unicast" ? "" : `${type} `}${prefix}${device === undefined ? "" : ` dev ${device}`}`;

const message = (prefixText: string, device: string | undefined, options: RouteOptions, removal: boolean) => {
  const prefix = parsePrefix(prefixText);
  if (prefix === undefined) throw usage(`not a prefix: ${JSON.stringify(prefixText)}`);
  const { type = "unicast", metric, source, gateway, table } = options;
  if (type === "unicast" && device === undefined && gateway === undefined && !removal)
    throw usage(`route ${prefixText} needs an interface or a gateway`);
  const onLink = type === "unicast" && gateway === undefined && familyOf(prefix.address) === 4;
  const header = new Uint8Array(RTMSG.size);
  header[RTMSG.family] = familyOf(prefix.address) === 4 ? AF_INET : AF_INET6;
  header[RTMSG.destinationLength] = prefix.length;
  header[RTMSG.table] = table === undefined ? RT_TABLE_MAIN : RT_TABLE_UNSPEC;
  header[RTMSG.protocol] = RTPROT_STATIC;
  header[RTMSG.scope] = removal ? SCOPE_NOWHERE : onLink ? SCOPE_LINK : SCOPE_UNIVERSE;
  header[RTMSG.type] = TYPES[type];
  const { first } = prefixRange(prefix);
  const builder = new MessageBuilder().raw(header).attribute(RTA_DST, first);
  if (table !== undefined) builder.u32(RTA_TABLE, table);
  if (device !== undefined) builder.u32(RTA_OIF, linkOf(device).index);
  if (gateway !== undefined) builder.attribute(RTA_GATEWAY, octetsOf(gateway, "gateway"));
  if (metric !== undefined) builder.u32(RTA_PRIORITY, metric);
  if (source !== undefined) builder.attribute(RTA_PREFSRC, octetsOf(source, "source"));
  return builder.finish();
};

const ADVICE = {
  [ERRNO.EEXIST]: { remedy: "Remove that route, or give this one another metric." },
  [ERRNO.ENETDOWN]: { code: "ESPALIER_USAGE", remedy: "Bring the interface up first." },
  [ERRNO.ENETUNREACH]: { code: "ESPALIER_USAGE", remedy: "The gateway must be reachable through the interface." },
  [ERRNO.ESRCH]: { code: "ESPALIER_USAGE", remedy: "`ip route` lists those that exist." },
} as const;

const change = (type: number, flags: number, body: Uint8Array, doing: string): void => {
  const { result, detail } = request(type, flags, body);
  if (result < 0) throw systemError(result, doing, { detail, ...ADVICE[-result as keyof typeof ADVICE] });
};

/** Throws ESPALIER_IN_USE when the same prefix and metric have a route already. Host bits of the prefix are ignored. */
export const addRoute = (prefix: string, device: string | undefined, options: RouteOptions = {}): void =>
  change(
    RTM_NEWROUTE,
    NLM_F.CREATE | NLM_F.EXCL,
    message(prefix, device, options, false),
    describe(prefix, device, options),
  );

/** Add a route in place of the one of the same prefix and metric, if there is one. */
export const replaceRoute = (prefix: string, device: string | undefined, options: RouteOptions = {}): void =>
  change(
    RTM_NEWROUTE,
    NLM_F.CREATE | NLM_F.REPLACE,
    message(prefix, device, options, false),
    describe(prefix, device, options),
  );

/** Remove the route that all given options match. False when there was none. */
export const removeRoute = (prefix: string, device: string | undefined, options: RouteOptions = {}): boolean => {
  const { result, detail } = request(RTM_DELROUTE, 0, message(prefix, device, options, true));
  if (-result === ERRNO.ESRCH) return false;
  if (result < 0) throw systemError(result, `removal of ${describe(prefix, device, options)}`, { detail });
  return true;
};

/** Each type of route that stops packets answers in its own way: `blackhole` with EINVAL, `prohibit` with EACCES. */
const isUnreachable = (result: number): boolean =>
  [ERRNO.ENETUNREACH, ERRNO.EHOSTUNREACH, ERRNO.EACCES, ERRNO.EINVAL].some((errno) => errno === -result);

/**
 * Which way a packet to `address` would go, from `source` and with `mark` when given. Undefined when there is no route, or one of the
 * types that stop packets.
 */
export const routeTo = (
  address: string,
  { source, mark }: { source?: string; mark?: number | undefined } = {},
): PathRoute | undefined => {
  const destination = octetsOf(address, "destination");
  const header = new Uint8Array(RTMSG.size);
  header[RTMSG.family] = destination.length === 4 ? AF_INET : AF_INET6;
  header[RTMSG.destinationLength] = destination.length * 8;
  const builder = new MessageBuilder();
  if (source !== undefined) header[RTMSG.sourceLength] = destination.length * 8;
  builder.raw(header).attribute(RTA_DST, destination);
  if (source !== undefined) builder.attribute(RTA_SRC, octetsOf(source, "source"));
  if (mark !== undefined) builder.u32(RTA_MARK, mark);
  const { result, detail, messages } = request(RTM_GETROUTE, 0, builder.finish());
  if (isUnreachable(result)) return undefined;
  if (result < 0) throw systemError(result, `route to ${address}`, { detail });
  const body = messages.find(({ type }) => type === RTM_NEWROUTE)?.body;
  if (body === undefined || body.length < RTMSG.size) return undefined;
  const type = body[RTMSG.type];
  const attributes = parseAttributes(body, RTMSG.size);
  const index = u32Of(attributes.get(RTA_OIF));
  if (index === undefined || type === TYPES.unreachable || type === TYPES.blackhole) return undefined;
  const link = linkOf(index);
  const isLearned = (u32Of(attributes.get(RTA_CACHEINFO)?.subarray(EXPIRES_AT)) ?? 0) !== 0;
  const metrics = isLearned ? undefined : attributes.get(RTA_METRICS);
  const routeMtu = metrics === undefined ? undefined : u32Of(parseAttributes(metrics).get(RTAX_MTU));
  const from = attributes.get(RTA_PREFSRC);
  const gateway = attributes.get(RTA_GATEWAY);
  return {
    interface: link.name,
    source: source ?? (from === undefined ? undefined : addressText(from)),
    gateway: gateway === undefined ? undefined : addressText(gateway),
    mtu: routeMtu === undefined || routeMtu === 0 ? link.mtu : routeMtu,
  };
};
