/**
 * SAs with manual keys against the Linux kernel's own, set by `ip xfrm` in User-Mode Linux: every suite that both have, each
 * family in each, sequence numbers on both sides of 2^32, and packets that do not fit.
 */
import { expect, test } from "vitest";
import type { ChildSaReport } from "../../src/control/status.ts";
import { SUITES } from "../../src/crypto/suites.ts";
import { capture } from "./support/capture.ts";
import { Espalier } from "./support/espalier.ts";
import { INNER, type Namespace, OUTER, Sites } from "./support/namespaces.ts";
import { testBed } from "./support/test-bed.ts";
import { Uml } from "./support/uml.ts";
import { policyLines, stateLine } from "./support/xfrm.ts";

const PINGS = 6;
/** So that half of the pings are before it. */
const BEFORE_2_32 = 2 ** 32 - 1 - PINGS / 2;

interface Kind {
  readonly name: string;
  readonly suite: string;
  readonly esn: boolean;
  readonly outer: 4 | 6;
  readonly inner: 4 | 6;
  /** Settings of the child, and of its interface. */
  readonly child?: Readonly<Record<string, unknown>>;
  readonly interface?: Readonly<Record<string, unknown>>;
}

const SUITE_KINDS: readonly Kind[] = SUITES.map(({ name }, i) => ({
  name: `s${i}`,
  suite: name,
  esn: i % 3 !== 0,
  outer: i % 2 === 0 ? 4 : 6,
  inner: i % 4 < 2 ? 4 : 6,
}));

const GCM = { suite: "aes256gcm16", esn: true, outer: 4, inner: 4 } as const;
const BEFORE: Kind = { ...GCM, name: "before", interface: { mtu: 1500 } };
const BEFORE_V6: Kind = { ...GCM, inner: 6, name: "before6", interface: { mtu: 1500 } };
const AFTER: Kind = { ...GCM, name: "after", child: { fragment: "after" } };
const CLEAR: Kind = { ...GCM, name: "clear", child: { df: "clear" } };
const SET: Kind = { ...GCM, name: "set", child: { df: "set" } };
const PADDED: Kind = { ...GCM, name: "padded", child: { tfc: "mtu", dummies: "100ms" } };
const KINDS = [...SUITE_KINDS, BEFORE, BEFORE_V6, AFTER, CLEAR, SET, PADDED];

const FRAGMENTS = "ip[6:2] & 0x3fff != 0 or ip6[6] == 44";

const numberOf = (kind: Kind): number => KINDS.indexOf(kind) + 1;
const thereOf = (kind: Kind): string =>
  kind.inner === 4 ? `10.2.1.${numberOf(kind)}` : `2001:db8:2:1::${numberOf(kind).toString(16)}`;
const hereOf = ({ inner }: Kind): string => INNER[inner].hostA;
const lengthOf = ({ inner }: Kind): number => (inner === 4 ? 32 : 128);
const keyOf = (kind: Kind, way: number): Uint8Array => {
  const { keyLength } = SUITES.find(({ name }) => name === kind.suite)!;
  return Uint8Array.from({ length: keyLength }, (_, i) => (i * 7 + numberOf(kind) * 31 + way * 101) & 255);
};
const hex = (bytes: Uint8Array): string => `0x${Buffer.from(bytes).toString("hex")}`;
const sequenceOf = ({ esn }: Kind): number => (esn ? BEFORE_2_32 : 0);
const spiIn = (kind: Kind): number => 0x10000 + numberOf(kind);
const spiOut = (kind: Kind): number => 0x20000 + numberOf(kind);

const childOf = (kind: Kind) => ({
  esn: kind.esn ? "yes" : "no",
  local: [`${hereOf(kind)}/${lengthOf(kind)}`],
  remote: [`${thereOf(kind)}/${lengthOf(kind)}`],
  manual: {
    suite: kind.suite,
    in: { spi: spiIn(kind), key: hex(keyOf(kind, 0)), sequence: sequenceOf(kind) },
    out: { spi: spiOut(kind), key: hex(keyOf(kind, 1)), sequence: sequenceOf(kind) },
  },
  interface: {
    name: `esp-${kind.name}`,
    routes: [`${thereOf(kind)}/${lengthOf(kind)}`],
    ...kind.interface,
  },
  ...kind.child,
});

const configuration = {
  workers: 1,
  log: { level: "debug", format: "text" },
  connections: Object.fromEntries(
    ([4, 6] as const).map((outer) => [
      `over-ipv${outer}`,
      {
        local: { address: OUTER[outer].a },
        remote: { address: OUTER[outer].b },
        children: Object.fromEntries(
          KINDS.filter((kind) => kind.outer === outer).map((kind) => [kind.name, childOf(kind)]),
        ),
      },
    ]),
  ),
};

/**
 * What makes the kernel the other end of all of them. Its VTIs would look at what comes before policies without a mark do. All
 * by one process: User-Mode Linux takes long to start hundreds.
 */
const script = (): string => {
  const lines = [
    "ip link del vti0",
    "ip link del vti6",
    ...KINDS.flatMap((kind) => {
      const { outer, suite, esn } = kind;
      const reqid = numberOf(kind);
      const common = { suite, esn, sequence: sequenceOf(kind), reqid };
      const here = { inner: thereOf(kind), outer: OUTER[outer].b };
      const there = { inner: hereOf(kind), outer: OUTER[outer].a };
      return [
        `ip addr add ${here.inner}/${lengthOf(kind)} dev lo${kind.inner === 6 ? " nodad" : ""}`,
        stateLine({ ...common, source: here.outer, destination: there.outer, spi: spiIn(kind), key: keyOf(kind, 0) }),
        stateLine({ ...common, source: there.outer, destination: here.outer, spi: spiOut(kind), key: keyOf(kind, 1) }),
        ...policyLines(here, there, reqid),
      ];
    }),
  ].map((line) => line.replace(/^ip /, ""));
  return `echo "${lines.join("\n")}" | ip -batch -`;
};

const lab = testBed(["build", "namespaces", "tun", "uml", "transfer", "capture", "nat"], async (bed) => {
  const sites = new Sites({ far: "tap", lanMtu: 1500 });
  bed.defer(() => sites.remove());
  const peer = await Uml.start(bed, sites.internet);
  const { stderr } = await peer.runAsync(["bash", "-ec", script()]);
  expect(stderr).toBe("");
  return { sites, peer, gateway: await Espalier.start(bed, sites.gatewayA, configuration) };
});

/** Answered of `PINGS` echo requests of so many octets in all, by kind. */
const pinged = async (from: Namespace, kinds: readonly Kind[], length: number): Promise<Record<string, number>> => {
  const answered: Record<string, number> = {};
  for (const inner of [4, 6] as const) {
    const of = kinds.filter((kind) => kind.inner === inner);
    if (of.length === 0) continue;
    const payload = length - (inner === 4 ? 28 : 48);
    const command = ["fping", "-q", `-c${PINGS}`, "-p150", "-i1", "-t3000", `-b${payload}`, ...of.map(thereOf)];
    const { stdout, stderr } = await from.runAsync(command, { mayFail: true });
    for (const kind of of) {
      const line = `${stdout}${stderr}`.split("\n").find((text) => text.startsWith(`${thereOf(kind)} `));
      answered[kind.name] = Number(/xmt\/rcv\/%loss = \d+\/(\d+)\//.exec(line ?? "")?.[1] ?? Number.NaN);
    }
  }
  return answered;
};

const all = (kinds: readonly Kind[], count: number): Record<string, number> =>
  Object.fromEntries(kinds.map(({ name }) => [name, count]));

const sasOf = async (gateway: Espalier): Promise<Map<string, ChildSaReport>> => {
  const { connections } = await gateway.status();
  return new Map(connections.flatMap(({ childSas }) => childSas.map((sa) => [sa.name, sa] as const)));
};

test("every suite carries packets both ways with what the kernel seals, across 2^32 with ESN", async () => {
  const { sites, gateway } = lab();
  expect(await pinged(sites.hostA, SUITE_KINDS, 84)).toEqual(all(SUITE_KINDS, PINGS));
  expect(await pinged(sites.hostA, SUITE_KINDS, 1300)).toEqual(all(SUITE_KINDS, PINGS));
  const sas = await sasOf(gateway);
  for (const { name, suite, esn } of SUITE_KINDS)
    expect(sas.get(name)).toMatchObject({ suite, esn, packetsIn: 2 * PINGS, packetsOut: 2 * PINGS, drops: {} });
});

test("the gateway warns of them, and shows no key", async () => {
  const { gateway } = lab();
  expect(gateway.log).toMatch(/warn .*manual: for tests and benchmarks alone/);
  expect(gateway.log).not.toContain(hex(keyOf(BEFORE, 0)).slice(2));
  expect(JSON.stringify(await gateway.status())).not.toContain(hex(keyOf(BEFORE, 0)).slice(2));
});

/** Answered of `count` echo requests of so many octets, which say DF or do not. */
const answered = async (
  from: Namespace,
  kind: Kind,
  length: number,
  df: "do" | "dont",
  count = PINGS,
): Promise<number> => {
  const payload = length - (kind.inner === 4 ? 28 : 48);
  const command = ["ping", "-q", "-n", "-M", df, "-c", `${count}`, "-i", "0.05", "-W", "2", "-s", `${payload}`];
  const { stdout } = await from.runAsync([...command, thereOf(kind)], { mayFail: true });
  return Number(/(\d+) received/.exec(stdout)?.[1]);
};

const believed = (host: Namespace, kind: Kind): string | undefined =>
  /\bmtu (\d+)/.exec(host.run(["ip", "route", "get", thereOf(kind)]).stdout)?.[1];

test("an interface that takes more than the path: packets are fragmented before, and no ESP packet is", async () => {
  const { sites, bed, gateway } = lab();
  const before = (await sasOf(gateway)).get("before")?.packetsOut ?? Number.NaN;
  const seen = await capture(bed, sites.internet, "to-a", `(${FRAGMENTS}) and src ${OUTER[4].a}`, async () => {
    expect(await answered(sites.hostA, BEFORE, 1500, "dont")).toBe(PINGS);
  });
  expect(seen).toEqual([]);
  const sa = (await sasOf(gateway)).get("before");
  expect([sa?.mtu, (sa?.packetsOut ?? 0) - before]).toEqual([1500, PINGS]);
});

test.each([BEFORE, BEFORE_V6])("a host that forbids fragments is told by us: $name", async (kind) => {
  const { sites, gateway } = lab();
  expect(await answered(sites.hostA, kind, 1500, "do", 1)).toBe(0);
  expect(believed(sites.hostA, kind)).toBe("1446");
  expect(await answered(sites.hostA, kind, 1440, "do")).toBe(PINGS);
  expect((await sasOf(gateway)).get(kind.name)?.dropsOut).toMatchObject({ "mtu-exceeded": 1 });
});

test.each([
  { kind: AFTER, df: "dont" },
  { kind: CLEAR, df: "do" },
] as const)(
  "$kind.name: what is too big is sealed whole, and each end puts the other's fragments together",
  async ({ kind, df }) => {
    const { sites, bed } = lab();
    const seen = await capture(bed, sites.internet, "to-a", `(${FRAGMENTS}) and src ${OUTER[4].a}`, async () => {
      expect(await answered(sites.hostA, kind, 1500, df)).toBe(PINGS);
    });
    expect(seen.length).toBeGreaterThan(PINGS);
  },
);

test.each([
  { kind: BEFORE, df: "do", seen: /flags \[DF\]/, said: "copied" },
  { kind: BEFORE, df: "dont", seen: /flags \[none\]/, said: "copied" },
  { kind: CLEAR, df: "do", seen: /flags \[none\]/, said: "cleared" },
  { kind: SET, df: "dont", seen: /flags \[DF\]/, said: "set" },
] as const)("DF is $said, of an inner packet that says $df, as tcpdump shows it", async ({ kind, df, seen }) => {
  const { sites, bed } = lab();
  const spi = `ip[20:4] = 0x${spiOut(kind).toString(16)}`;
  const lines = await capture(
    bed,
    sites.internet,
    "to-a",
    spi,
    async () => expect(await answered(sites.hostA, kind, 84, df)).toBe(PINGS),
    ["-v"],
  );
  expect(lines.length).toBeGreaterThanOrEqual(PINGS - 1);
  for (const line of lines) expect(line).toMatch(seen);
  for (const line of lines) expect(line).not.toContain("bad cksum");
  const ids = lines.map((line) => /id (\d+)/.exec(line)?.[1]);
  if (!seen.test("flags [DF]")) expect(new Set(ids).size).toBe(lines.length); // RFC 6864 §4.3
});

const TOS = { "not ECT": "0x0", "ECT(0)": "0x2" } as const;

test("a host that knows ECN hears of congestion on the ESP packets to it, and one that does not loses them (RFC 6040)", async () => {
  const { sites, bed, gateway } = lab();
  const echo = async (tos: keyof typeof TOS, count: number): Promise<number> => {
    const command = ["ping", "-q", "-n", "-c", `${count}`, "-i", "0.05", "-W", "1", "-Q", TOS[tos], thereOf(SET)];
    const { stdout } = await sites.hostA.runAsync(command, { mayFail: true });
    return Number(/(\d+) received/.exec(stdout)?.[1]);
  };
  const spi = `ip[20:4] = 0x${spiOut(SET).toString(16)}`;
  const outer = await capture(
    bed,
    sites.internet,
    "to-a",
    spi,
    async () => expect(await echo("ECT(0)", PINGS)).toBe(PINGS),
    ["-v"],
  );
  for (const line of outer) expect(line).toContain("tos 0x2,ECT(0)");
  expect(outer.length).toBeGreaterThanOrEqual(PINGS - 1);

  // From here on the router is congested.
  const rule = `ip daddr ${OUTER[4].a} ip protocol esp ip ecn set ce`;
  const table = `table ip congested {\n chain forward {\n type filter hook forward priority 0;\n ${rule}\n }\n}\n`;
  sites.internet.run(["nft", "-f", "-"], { input: table });
  const inner = await capture(
    bed,
    sites.hostA,
    "eth0",
    "icmp[icmptype] = icmp-echoreply",
    async () => expect(await echo("ECT(0)", PINGS)).toBe(PINGS),
    ["-v"],
  );
  for (const line of inner) expect(line).toContain("tos 0x3,CE");
  expect(inner.length).toBeGreaterThanOrEqual(PINGS - 1);
  expect(await echo("not ECT", 3)).toBe(0);
  sites.internet.run(["nft", "delete", "table", "ip", "congested"]);
  expect((await sasOf(gateway)).get(SET.name)?.dropsIn).toMatchObject({ "ecn-drop": 3 });
});

test("padded packets and dummies are all of one length, and the kernel drops what is none", async () => {
  const { sites, bed, peer } = lab();
  const spi = `ip[20:4] = 0x${spiOut(PADDED).toString(16)}`;
  const lines = await capture(bed, sites.internet, "to-a", spi, async () => {
    expect(await answered(sites.hostA, PADDED, 84, "do")).toBe(PINGS);
  });
  expect(new Set(lines.map((line) => /length (\d+)$/.exec(line)?.[1]))).toEqual(new Set(["1480"]));
  expect(lines.length).toBeGreaterThan(PINGS);
  const { stdout } = await peer.runAsync([
    "ip",
    "-s",
    "xfrm",
    "state",
    "list",
    "spi",
    `0x${spiOut(PADDED).toString(16)}`,
  ]);
  expect(stdout).toMatch(/failed 0/);
});
