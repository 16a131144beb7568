/**
 * Lists of policies as gateways have them, and packets that match policies all over a list: for `espalier bench spd`.
 *
 *   subnets   one local network, a remote subnet for each policy: a hub
 *   hosts     a local and a remote host for each policy
 *   ports     one pair of networks, a range of ports for each policy
 *   mixed     prefixes of many lengths, some with a protocol or ports, nested and overlapping
 */
import { addressBytes } from "../ip-address.ts";
import { type Policy, PolicyAction } from "../ipsec/policy.ts";
import { parseSelector, type TrafficSelector } from "../ipsec/selector.ts";

export const LISTS = ["subnets", "hosts", "ports", "mixed"] as const;
export type ListName = (typeof LISTS)[number];

interface Sample {
  readonly protocol: number;
  readonly local: string;
  readonly remote: string;
  readonly port: number;
}

interface List {
  /** Local and remote, without the prefix length that a family has more bits for. */
  readonly selectors: (i: number) => readonly [string, string];
  /** A packet that policy `i` selects. */
  readonly sample: (i: number) => Sample;
}

const low = (i: number): string => `${(i >> 8) & 255}.${i & 255}`;
const scattered = (i: number): number => Math.imul(i, 2654435761) >>> 16;
const PORT = 5;

const LISTS_OF_IPV4: Readonly<Record<ListName, List>> = {
  subnets: {
    selectors: (i) => ["10.0.0.0/8", `172.${16 + (i >> 8)}.${i & 255}.0/24`],
    sample: (i) => ({ protocol: 6, local: "10.1.2.3", remote: `172.${16 + (i >> 8)}.${i & 255}.7`, port: 443 }),
  },
  hosts: {
    selectors: (i) => [`10.1.${low(i)}/32`, `10.2.${low(scattered(i))}/32`],
    sample: (i) => ({ protocol: 17, local: `10.1.${low(i)}`, remote: `10.2.${low(scattered(i))}`, port: 53 }),
  },
  ports: {
    selectors: (i) => ["10.1.0.0/16", `10.2.0.0/16[udp/${PORT * i}-${PORT * i + 4}]`],
    sample: (i) => ({ protocol: 17, local: "10.1.2.3", remote: "10.2.3.4", port: PORT * i + 2 }),
  },
  mixed: {
    selectors: (i) => [
      `10.${low(i)}.0/${[16, 20, 24, 28][i % 4]}${["", "", "[tcp]", "[udp]"][(i >> 2) % 4]}`,
      `10.${low(scattered(i))}.0/${[8, 16, 22, 24, 32][i % 5]}${["", "", "[tcp/80-90]", "[udp/53]"][(i >> 2) % 4]}`,
    ],
    sample: (i) => ({
      protocol: (i >> 2) % 4 === 3 ? 17 : 6,
      local: `10.${low(i)}.0`,
      remote: `10.${low(scattered(i))}.0`,
      port: (i >> 2) % 4 === 3 ? 53 : 85,
    }),
  },
};

/** The same addresses under a prefix of IPv6: `10.1.2.3` is 2001:db8::a01:203, and lengths are 96 longer. */
const toIpv6 = (selector: string): string =>
  selector.replace(/^([\d.]+)(?:\/(\d+))?/, (_, address: string, length?: string) => {
    const [a, b, c, d] = address.split(".").map(Number);
    const words = [a! * 256 + b!, c! * 256 + d!].map((word) => word.toString(16)).join(":");
    return `2001:db8::${words}${length === undefined ? "" : `/${96 + Number(length)}`}`;
  });

export type Family = "IPv4" | "IPv6";

/** The last address of every list has 16384 policies at most before its addresses repeat. */
export const MOST_POLICIES = 10_000;

export const policiesOf = (name: ListName, family: Family, count: number): Policy[] => {
  const { selectors } = LISTS_OF_IPV4[name];
  const parse = (text: string): TrafficSelector => {
    const selector = parseSelector(family === "IPv4" ? text : toIpv6(text));
    if (selector === undefined) throw new RangeError(`no selector: ${text}`);
    return selector;
  };
  return Array.from({ length: count }, (_, i) => {
    const [local, remote] = selectors(i);
    return { action: PolicyAction.PROTECT, child: i, local: [parse(local)], remote: [parse(remote)] };
  });
};

/** Whole packets on their way out, that policies all over the list select; every tenth that none does. */
export const packetsFor = (name: ListName, family: Family, policies: number, count: number): Uint8Array[] => {
  const { sample } = LISTS_OF_IPV4[name];
  return Array.from({ length: count }, (_, n) => {
    const packet = sample(scattered(n + 1) % policies);
    return packetOf(n % 10 === 9 ? { ...packet, remote: "192.0.2.1", local: "192.0.2.2" } : packet, family);
  });
};

const SOURCE_PORT = 40_000;

const packetOf = ({ protocol, local, remote, port }: Sample, family: Family): Uint8Array => {
  const header = family === "IPv4" ? 20 : 40;
  const packet = new Uint8Array(header + 8);
  const view = new DataView(packet.buffer);
  if (family === "IPv4") {
    packet.set([0x45, 0, 0, packet.length, 0, 0, 0, 0, 64, protocol]);
    packet.set([...addressBytes(local), ...addressBytes(remote)], 12);
  } else {
    packet.set([0x60, 0, 0, 0, 0, 8, protocol, 64]);
    packet.set([...addressBytes(toIpv6(local)), ...addressBytes(toIpv6(remote))], 8);
  }
  view.setUint16(header, SOURCE_PORT);
  view.setUint16(header + 2, port);
  return packet;
};
