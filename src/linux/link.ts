/** Interfaces: finding them, and their MTU, state, queue length and MAC address. */
import { EspalierError } from "../errors.ts";
import { IFINFOMSG, IFNAME_MAX } from "./abi.ts";
import { ERRNO, systemError } from "./errno.ts";
import { demand, request } from "./netlink.ts";
import { MessageBuilder, type NetlinkMessage, parseAttributes, textOf, u32Of } from "./netlink-message.ts";

const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTM_SETLINK = 19;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_TXQLEN = 13;

const IFF_UP = 0x1;
const IFF_RUNNING = 0x40;

export interface Link {
  readonly index: number;
  readonly name: string;
  /** Octets. */
  readonly mtu: number;
  /** Administratively up. */
  readonly up: boolean;
  /** Up, and with a carrier: for a TUN device, open. */
  readonly running: boolean;
  /** `02:00:00:00:00:01`, or undefined for interfaces without one. */
  readonly mac: string | undefined;
  /** Packets that may wait for a slow reader. */
  readonly txQueueLength: number;
}

const header = (index: number, flags = 0, change = 0): Uint8Array => {
  const bytes = new Uint8Array(IFINFOMSG.size);
  const view = new DataView(bytes.buffer);
  view.setInt32(IFINFOMSG.index, index, true);
  view.setUint32(IFINFOMSG.flags, flags, true);
  view.setUint32(IFINFOMSG.change, change, true);
  return bytes;
};

const parseLink = ({ body }: NetlinkMessage): Link => {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const attributes = parseAttributes(body, IFINFOMSG.size);
  const flags = view.getUint32(IFINFOMSG.flags, true);
  const name = attributes.get(IFLA_IFNAME);
  const mac = attributes.get(IFLA_ADDRESS);
  return {
    index: view.getInt32(IFINFOMSG.index, true),
    name: name === undefined ? "" : textOf(name),
    mtu: u32Of(attributes.get(IFLA_MTU)) ?? 0,
    up: (flags & IFF_UP) !== 0,
    running: (flags & IFF_RUNNING) !== 0,
    mac: mac?.length === 6 ? [...mac].map((octet) => octet.toString(16).padStart(2, "0")).join(":") : undefined,
    txQueueLength: u32Of(attributes.get(IFLA_TXQLEN)) ?? 0,
  };
};

/** The interface of this name, or of this index; undefined when there is none. */
export const findLink = (which: string | number): Link | undefined => {
  if (typeof which === "string" && (which === "" || Buffer.byteLength(which) > IFNAME_MAX)) return undefined;
  const message = new MessageBuilder().raw(header(typeof which === "number" ? which : 0));
  if (typeof which === "string") message.text(IFLA_IFNAME, which);
  const { result, detail, messages } = request(RTM_GETLINK, 0, message.finish());
  if (-result === ERRNO.ENODEV) return undefined;
  if (result < 0) throw systemError(result, `interface ${which}`, { detail });
  const [found] = messages;
  return found === undefined ? undefined : parseLink(found);
};

/** The interface of this name or index. Throws ESPALIER_USAGE when there is none. */
export const linkOf = (which: string | number): Link => {
  const link = findLink(which);
  if (link === undefined)
    throw new EspalierError("ESPALIER_USAGE", `no interface ${which}`, { remedy: "`ip link` lists those that exist." });
  return link;
};

export const mtuOf = (name: string): number => linkOf(name).mtu;

const change = (name: string, message: MessageBuilder, doing: string): void => {
  demand(RTM_SETLINK, 0, message.finish(), `${doing} of ${name}`);
};

/** Octets: 68..65535, and at least 1280 for an interface with IPv6 addresses. */
export const setMtu = (name: string, mtu: number): void =>
  change(name, new MessageBuilder().raw(header(linkOf(name).index)).u32(IFLA_MTU, mtu), `MTU ${mtu}`);

export const setUp = (name: string, up: boolean): void =>
  change(
    name,
    new MessageBuilder().raw(header(linkOf(name).index, up ? IFF_UP : 0, IFF_UP)),
    up ? "bringing up" : "taking down",
  );

/** Packets that may wait until they are read: a longer queue survives longer pauses of the reader. */
export const setTxQueueLength = (name: string, packets: number): void =>
  change(name, new MessageBuilder().raw(header(linkOf(name).index)).u32(IFLA_TXQLEN, packets), "queue length");

/** `02:00:00:00:00:01`. */
export const setMac = (name: string, mac: string): void => {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(mac))
    throw new EspalierError("ESPALIER_USAGE", `not a MAC address: ${JSON.stringify(mac)}`);
  const octets = new Uint8Array(mac.split(":").map((octet) => Number.parseInt(octet, 16)));
  change(name, new MessageBuilder().raw(header(linkOf(name).index)).attribute(IFLA_ADDRESS, octets), "MAC address");
};

/** Remove an interface that can be removed. */
export const removeLink = (name: string): void => {
  demand(RTM_DELLINK, 0, new MessageBuilder().raw(header(linkOf(name).index)).finish(), `removal of ${name}`);
};
