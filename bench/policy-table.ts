/**
 * What does it cost to find the policy of a packet, with 10 to 10,000 of them? The table against asking one after the other,
 * which must find the same first.
 *
 *   npm run -s bench:build && node node_modules/.cache/bench/bench/policy-table.js
 *
 * One operation is 1,000 packets that match policies all over the list; every tenth matches none. Lists:
 *
 *   subnets   one local network, a remote subnet for each policy: a hub
 *   hosts     a local and a remote host for each policy
 *   ports     one pair of networks, a range of ports for each policy
 *   mixed     prefixes of many lengths, some with a protocol or ports, nested and overlapping
 *   ipv6      as subnets, over IPv6
 */
import { strictEqual } from "node:assert";
import benny from "benny";
import { addressBytes } from "../src/ip-address.ts";
import { Fields } from "../src/ipsec/ip.ts";
import { NO_POLICY, type Policy, PolicyAction } from "../src/ipsec/policy.ts";
import { compilePolicies } from "../src/ipsec/policy-compiler.ts";
import { PolicyTable } from "../src/ipsec/policy-table.ts";
import { containsPacket, parseSelector } from "../src/ipsec/selector.ts";

const PACKETS = 1000;
const SIZES = [10, 100, 1000, 10_000];

interface Sample {
  readonly protocol: number;
  readonly local: string;
  readonly remote: string;
  readonly port: number;
}

interface Kind {
  readonly selectors: (i: number) => readonly [string, string];
  /** A packet that policy `i` selects. */
  readonly sample: (i: number) => Sample;
  readonly miss: Sample;
}

const low = (i: number): string => `${(i >> 8) & 255}.${i & 255}`;
const scattered = (i: number): number => Math.imul(i, 2654435761) >>> 16;

const KINDS: Readonly<Record<string, Kind>> = {
  subnets: {
    selectors: (i) => ["10.0.0.0/8", `172.${16 + (i >> 8)}.${i & 255}.0/24`],
    sample: (i) => ({ protocol: 6, local: "10.1.2.3", remote: `172.${16 + (i >> 8)}.${i & 255}.7`, port: 443 }),
    miss: { protocol: 6, local: "10.1.2.3", remote: "192.0.2.1", port: 443 },
  },
  hosts: {
    selectors: (i) => [`10.1.${low(i)}/32`, `10.2.${low(scattered(i))}/32`],
    sample: (i) => ({ protocol: 17, local: `10.1.${low(i)}`, remote: `10.2.${low(scattered(i))}`, port: 53 }),
    miss: { protocol: 17, local: "10.1.0.1", remote: "10.9.9.9", port: 53 },
  },
  ports: {
    selectors: (i) => ["10.1.0.0/16", `10.2.0.0/16[udp/${5 * i}-${5 * i + 4}]`],
    sample: (i) => ({ protocol: 17, local: "10.1.2.3", remote: "10.2.3.4", port: 5 * i + 2 }),
    miss: { protocol: 6, local: "10.1.2.3", remote: "10.2.3.4", port: 53 },
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
    miss: { protocol: 6, local: "192.0.2.1", remote: "10.0.0.0", port: 85 },
  },
  ipv6: {
    selectors: (i) => ["2001:db8:1::/48", `2001:db8:2:${i.toString(16)}::/64`],
    sample: (i) => ({ protocol: 6, local: "2001:db8:1::5", remote: `2001:db8:2:${i.toString(16)}::9`, port: 443 }),
    miss: { protocol: 6, local: "2001:db8:1::5", remote: "2001:db8:3::1", port: 443 },
  },
};

const listOf = ({ selectors }: Kind, size: number): Policy[] =>
  Array.from({ length: size }, (_, i) => {
    const [local, remote] = selectors(i);
    return {
      action: PolicyAction.PROTECT,
      child: i,
      local: [parseSelector(local)!],
      remote: [parseSelector(remote)!],
    };
  });

const samplesOf = ({ sample, miss }: Kind, size: number): Sample[] =>
  Array.from({ length: PACKETS }, (_, n) => (n % 10 === 9 ? miss : sample(scattered(n + 1) % size)));

/** Addresses of all samples behind one another, as a slab holds packets. */
const slabOf = (samples: readonly Sample[]): { slab: Uint8Array; octets: number } => {
  const octets = addressBytes(samples[0]!.local).length;
  const slab = new Uint8Array(samples.length * 2 * octets);
  samples.forEach(({ local, remote }, n) => {
    slab.set(addressBytes(local), n * 2 * octets);
    slab.set(addressBytes(remote), n * 2 * octets + octets);
  });
  return { slab, octets };
};

const fill = (fields: Fields, { protocol, port }: Sample, at: number, octets: number): void => {
  fields.addressLength = octets;
  fields.sourceAt = at;
  fields.destinationAt = at + octets;
  fields.protocol = protocol;
  fields.sourcePort = 40_000;
  fields.destinationPort = port;
};

const oneAfterTheOther = (list: readonly Policy[], slab: Uint8Array, fields: Fields): number => {
  const { protocol, sourceAt, destinationAt, addressLength } = fields;
  const local = { protocol, address: slab.subarray(sourceAt, sourceAt + addressLength), port: fields.sourcePort };
  const address = slab.subarray(destinationAt, destinationAt + addressLength);
  const remote = { protocol, address, port: fields.destinationPort };
  return list.findIndex(
    (policy) =>
      policy.local.some((selector) => containsPacket(selector, local)) &&
      policy.remote.some((selector) => containsPacket(selector, remote)),
  );
};

const cases = Object.entries(KINDS).flatMap(([name, kind]) =>
  SIZES.map((size) => {
    const list = listOf(kind, size);
    const samples = samplesOf(kind, size);
    const { slab, octets } = slabOf(samples);
    const began = performance.now();
    const words = compilePolicies(list);
    const compiled = performance.now() - began;
    const table = new PolicyTable(words);
    const fields = new Fields();
    let found = 0;
    samples.forEach((sample, n) => {
      fill(fields, sample, n * 2 * octets, octets);
      const index = table.findOutbound(slab, fields);
      strictEqual(index, oneAfterTheOther(list, slab, fields), `${name}, ${size} policies, packet ${n}`);
      if (index !== NO_POLICY) found++;
    });
    strictEqual(found, PACKETS - PACKETS / 10, `${name}, ${size} policies: found`);
    console.log(
      `${name} ${size}: compiled in ${compiled.toFixed(1)} ms to ${(words.byteLength / 1024).toFixed(0)} KiB`,
    );
    return benny.add(`${name}, ${size} policies`, () => {
      let all = 0;
      for (let n = 0; n < PACKETS; n++) {
        fill(fields, samples[n]!, n * 2 * octets, octets);
        all ^= table.findOutbound(slab, fields);
      }
      return all;
    });
  }),
);

await benny.suite(
  `find the policy of ${PACKETS} packets`,
  ...cases,
  benny.cycle(({ name, ops }) => `${name.padEnd(24)} ${(1e9 / ops / PACKETS).toFixed(0).padStart(6)} ns a packet`),
  benny.configure({ cases: { minSamples: 5, maxTime: 0.5 } }),
);
