/** Addresses of interfaces, as prefixes: `192.0.2.1/24`, `2001:db8::1/64`. */
import { EspalierError } from "../errors.ts";
import { addressBytes, addressText, familyOf, type Prefix, parsePrefix } from "../ip-address.ts";
import { IFADDRMSG } from "./abi.ts";
import { ERRNO, systemError } from "./errno.ts";
import { linkOf } from "./link.ts";
import { demand, NLM_F, request } from "./netlink.ts";
import { MessageBuilder, parseAttributes } from "./netlink-message.ts";
import { AF_INET, AF_INET6 } from "./sockaddr.ts";

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
/** No duplicate address detection: the address is usable at once, and a point-to-point link has nobody to ask. */
const IFA_F_NODAD = 0x02;
const SCOPE_UNIVERSE = 0;
const SCOPE_LINK = 253;

const LINK_LOCAL = /^(169\.254\.|fe[89ab])/i;

const prefixOf = (text: string): Prefix => {
  const prefix = parsePrefix(text);
  if (prefix === undefined)
    throw new EspalierError("ESPALIER_USAGE", `not an address with its prefix length: ${JSON.stringify(text)}`, {
      remedy: "Write it as 192.0.2.1/24 or 2001:db8::1/64.",
    });
  return prefix;
};

const message = (index: number, { address, length }: Prefix): Uint8Array => {
  const v4 = familyOf(address) === 4;
  const header = new Uint8Array(IFADDRMSG.size);
  header[IFADDRMSG.family] = v4 ? AF_INET : AF_INET6;
  header[IFADDRMSG.prefixLength] = length;
  header[IFADDRMSG.flags] = v4 ? 0 : IFA_F_NODAD;
  header[IFADDRMSG.scope] = LINK_LOCAL.test(address) ? SCOPE_LINK : SCOPE_UNIVERSE;
  new DataView(header.buffer).setUint32(IFADDRMSG.index, index, true);
  const octets = addressBytes(address);
  return new MessageBuilder().raw(header).attribute(IFA_LOCAL, octets).attribute(IFA_ADDRESS, octets).finish();
};

/** Give an interface an address; one that it has already is left as it is. */
export const addAddress = (name: string, prefixText: string): void => {
  const body = message(linkOf(name).index, prefixOf(prefixText));
  const { result, detail } = request(RTM_NEWADDR, NLM_F.CREATE | NLM_F.EXCL, body);
  if (result >= 0 || -result === ERRNO.EEXIST) return;
  // The kernel's words for IPv6 that is switched off are those of a missing privilege; that one is EPERM.
  const advice =
    -result === ERRNO.EACCES
      ? ({ code: "ESPALIER_PLATFORM", remedy: `Enable IPv6: sysctl net.ipv6.conf.${name}.disable_ipv6=0.` } as const)
      : {};
  throw systemError(result, `address ${prefixText} of ${name}`, { detail, ...advice });
};

/** Take an address away. Throws when the interface does not have it. */
export const removeAddress = (name: string, prefixText: string): void => {
  demand(RTM_DELADDR, 0, message(linkOf(name).index, prefixOf(prefixText)), `removal of ${prefixText} from ${name}`, {
    code: "ESPALIER_USAGE",
    remedy: "`ip address` lists the addresses that it has.",
  });
};

/** Addresses of an interface with their prefix lengths, IPv4 first, in the kernel's order. */
export const addressesOf = (name: string): string[] => {
  const { index } = linkOf(name);
  const texts: string[] = [];
  for (const family of [AF_INET, AF_INET6]) {
    const header = new Uint8Array(IFADDRMSG.size);
    header[IFADDRMSG.family] = family;
    const { result, messages } = request(RTM_GETADDR, NLM_F.DUMP, new MessageBuilder().raw(header).finish());
    if (result < 0) throw systemError(result, `addresses of ${name}`);
    for (const { type, body } of messages) {
      if (type !== RTM_NEWADDR || body.length < IFADDRMSG.size) continue;
      if (new DataView(body.buffer, body.byteOffset).getUint32(IFADDRMSG.index, true) !== index) continue;
      const attributes = parseAttributes(body, IFADDRMSG.size);
      const octets = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
      if (octets !== undefined) texts.push(`${addressText(octets)}/${body[IFADDRMSG.prefixLength]!}`);
    }
  }
  return texts;
};
