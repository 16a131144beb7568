/** Interfaces with ordered policies (RFC 4301 §4.4.1, §5): the whole way of a packet against a model that asks one after the other. */
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import type { PlanePolicy, TunnelCounters } from "../../src/dataplane/plane.ts";
import { addressBytes } from "../../src/ip-address.ts";
import { PolicyAction } from "../../src/ipsec/policy.ts";
import { anySelectors, containsPacket, parseSelector, type TrafficSelector } from "../../src/ipsec/selector.ts";
import { firstMatch } from "../support/first-match.ts";
import { ipPacket, type PacketOptions } from "../support/ip-packets.ts";
import { installPair, MemorySite, settle } from "../support/memory-sites.ts";

const start = (address: string, workers = 1): Promise<MemorySite> => MemorySite.start(address, { workers });

const sel = (text: string): TrafficSelector => parseSelector(text)!;

interface Child {
  readonly local: readonly TrafficSelector[];
  readonly remote: readonly TrafficSelector[];
  readonly hasSa: boolean;
}

/** An entry of a list: `child` is an index. */
interface Entry {
  readonly action: PlanePolicy["action"];
  readonly child: number;
  readonly local: readonly TrafficSelector[];
  readonly remote: readonly TrafficSelector[];
}

type Sent = Required<
  Pick<
    PacketOptions,
    "version" | "source" | "destination" | "protocol" | "sourcePort" | "destinationPort" | "fragmentOffset"
  >
>;

const ACTIONS = { protect: PolicyAction.PROTECT, bypass: PolicyAction.BYPASS, discard: PolicyAction.DISCARD };
const TYPED = [1, 58];
const PORTED = [6, 17];

const ends = ({ source, destination, protocol, sourcePort, destinationPort, fragmentOffset }: Sent) => {
  const shows = fragmentOffset === 0 && (PORTED.includes(protocol) || TYPED.includes(protocol));
  const from = shows ? sourcePort : undefined;
  const to = shows ? (TYPED.includes(protocol) ? sourcePort : destinationPort) : undefined;
  return {
    source: { address: addressBytes(source), port: from },
    destination: { address: addressBytes(destination), port: to },
  };
};

const first = (list: readonly Entry[], packet: Sent, isOutbound: boolean): Entry | undefined => {
  const { source, destination } = ends(packet);
  const policies = list.map((entry) => ({ ...entry, action: ACTIONS[entry.action] }));
  const [local, remote] = isOutbound ? [source, destination] : [destination, source];
  return list[firstMatch(policies, packet.protocol, local, remote)];
};

const unmatched = ({ fragmentOffset }: Sent): string => (fragmentOffset === 0 ? "no-policy" : "policy-fragment");

/** What becomes of a packet on its way out: the child that carries it, or why it is dropped and with whom it is counted. */
const judgeOut = (list: readonly Entry[], children: readonly Child[], packet: Sent) => {
  const entry = first(list, packet, true);
  if (entry === undefined) return { drop: unmatched(packet) };
  if (entry.action === "discard") return { drop: "policy-discard" };
  if (entry.action === "bypass") return { drop: "no-socket" };
  const child = children[entry.child]!;
  if (!child.hasSa) return { child: entry.child, drop: "no-sa" };
  const { source, destination } = ends(packet);
  const { protocol } = packet;
  const isWithin =
    child.local.some((one) => containsPacket(one, { protocol, ...source })) &&
    child.remote.some((one) => containsPacket(one, { protocol, ...destination }));
  return isWithin ? { child: entry.child } : { child: entry.child, drop: "policy" };
};

const judgeIn = (list: readonly Entry[], child: number, packet: Sent): string | undefined => {
  const entry = first(list, packet, false);
  if (entry === undefined) return unmatched(packet);
  if (entry.action === "discard") return "policy-discard";
  return entry.action === "protect" && entry.child === child ? undefined : "policy-mismatch";
};

const hosts4 = (net: number) => fc.integer({ min: 1, max: 6 }).map((host) => `10.${net}.0.${host}`);
const hosts6 = (net: number) => fc.integer({ min: 1, max: 6 }).map((host) => `2001:db8:${net}::${host}`);
const ports = fc.integer({ min: 0, max: 5 });

const selector = (net: number) =>
  fc
    .record({
      v6: fc.boolean(),
      range: fc.tuple(fc.integer({ min: 0, max: 7 }), fc.integer({ min: 0, max: 7 })),
      what: fc.oneof(
        { weight: 3, arbitrary: fc.constant("") },
        fc.constantFrom("[tcp]", "[udp]", "[gre]", "[icmp]", "[tcp/opaque]", "[udp/opaque]"),
        fc.tuple(fc.constantFrom("tcp", "udp"), ports, ports).map(([name, a, b]) => {
          return `[${name}/${Math.min(a, b)}-${Math.max(a, b)}]`;
        }),
        ports.map((type) => `[icmp/0/${type}]`),
      ),
    })
    .map(({ v6, range, what }) => {
      const [low, high] = [Math.min(...range), Math.max(...range)];
      return sel(
        v6
          ? `2001:db8:${net}::${low}-2001:db8:${net}::${high}${what}`
          : `10.${net}.0.${low}-10.${net}.0.${high}${what}`,
      );
    });

const CHILDREN = 4;
const selectors = (net: number, most = 2) => fc.array(selector(net), { minLength: 1, maxLength: most });

const entry: fc.Arbitrary<Entry> = fc.record({
  action: fc.constantFrom("protect", "protect", "protect", "bypass", "discard"),
  child: fc.integer({ min: 0, max: CHILDREN - 1 }),
  local: fc.oneof(selectors(1), fc.constant(anySelectors)),
  remote: fc.oneof(selectors(2), fc.constant(anySelectors)),
});

const child: fc.Arbitrary<Child> = fc.record({
  local: fc.oneof({ weight: 3, arbitrary: fc.constant(anySelectors) }, selectors(1, 4)),
  remote: fc.oneof({ weight: 3, arbitrary: fc.constant(anySelectors) }, selectors(2, 4)),
  hasSa: fc.boolean().map((no) => !no),
});

const packet: fc.Arbitrary<Sent> = fc.oneof(
  fc.record({
    version: fc.constant(4 as const),
    source: hosts4(1),
    destination: hosts4(2),
    protocol: fc.constantFrom(1, 6, 17, 47),
    sourcePort: ports,
    destinationPort: ports,
    fragmentOffset: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.constant(185)),
  }),
  fc.record({
    version: fc.constant(6 as const),
    source: hosts6(1),
    destination: hosts6(2),
    protocol: fc.constantFrom(6, 17, 58),
    sourcePort: ports,
    destinationPort: ports,
    fragmentOffset: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.constant(185)),
  }),
);

const FRAGMENT = 44;

/** Later fragments of IPv6 have a header of their own (RFC 8200 §4.5). */
const octetsOf = (sent: Sent): Uint8Array => {
  if (sent.version === 4 || sent.fragmentOffset === 0) return ipPacket(sent);
  const packet = ipPacket({ ...sent, protocol: FRAGMENT, length: 72 });
  packet.set([sent.protocol, 0, sent.fragmentOffset >> 5, (sent.fragmentOffset << 3) & 0xff, 0, 0, 0, 1], 40);
  return packet;
};

const swapped = ({ local, remote, ...rest }: Entry): Entry => ({ ...rest, local: remote, remote: local });

/** Numbers of children for indices, and what the plane takes. */
const listFor = (entries: readonly Entry[], ids: readonly number[]): PlanePolicy[] =>
  entries.map(({ action, child, local, remote }) => ({
    action,
    local,
    remote,
    ...(action === "protect" ? { child: ids[child]! } : {}),
  }));

const tallyOf = (verdicts: readonly (string | undefined)[]) => {
  const drops: Record<string, number> = {};
  for (const verdict of verdicts) if (verdict !== undefined) drops[verdict] = (drops[verdict] ?? 0) + 1;
  return { packets: verdicts.filter((verdict) => verdict === undefined).length, drops };
};

const counted = (of: TunnelCounters["in"]) => ({ packets: of.packets, drops: of.drops });

const bothSites = async (workers = 1) => ({
  a: await start("127.0.0.2", workers),
  b: await start("127.0.0.3", workers),
});

const setUp = async () => {
  const { a, b } = await bothSites();
  return {
    a,
    b,
    atA: a.addTunnel(undefined, { hasChildren: true }),
    atB: b.addTunnel(undefined, { hasChildren: true }),
  };
};

test.each([
  { workers: 1, numRuns: 60 },
  { workers: 3, numRuns: 20 },
])("any list sends every packet where the first policy says, with $workers workers", async ({ workers, numRuns }) => {
  const { a, b } = await bothSites(workers);
  let sum = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(entry, { minLength: 1, maxLength: 12 }),
      fc.option(fc.array(entry, { minLength: 1, maxLength: 12 })),
      fc.array(child, { minLength: CHILDREN, maxLength: CHILDREN }),
      fc.array(packet, { minLength: 1, maxLength: 60 }),
      async (listA, listB, children, packets) => {
        const atA = a.addTunnel(undefined, { hasChildren: true });
        const atB = b.addTunnel(undefined, { hasChildren: true });
        const peers = listB?.map(swapped) ?? listA.map(swapped);
        const idsA = children.map(() => a.plane.addChild(atA.id));
        const idsB = children.map(() => b.plane.addChild(atB.id));
        children.forEach(({ local, remote, hasSa }, i) => {
          if (!hasSa) return;
          const pair = installPair([a, idsA[i]!], [b, idsB[i]!], { local, remote });
          a.plane.use(pair.spiA);
          b.plane.use(pair.spiB);
        });
        a.plane.setPolicies(atA.id, listFor(listA, idsA));
        b.plane.setPolicies(atB.id, listFor(peers, idsB));
        const octets = packets.map(octetsOf);
        for (const one of octets) atA.tun.inject(one);
        settle(a, b);

        const out = packets.map((one) => judgeOut(listA, children, one));
        const into = out.map(({ child: by, drop }, n) =>
          by === undefined || drop !== undefined ? "not sent" : judgeIn(peers, by, packets[n]!),
        );
        const arrived = atB.tun.delivered().map((one) => Buffer.from(one).toString("hex"));
        const expected = octets.filter((_, n) => into[n] === undefined);
        expect(arrived.sort()).toEqual(expected.map((one) => Buffer.from(one).toString("hex")).sort());
        const alone = out.filter(({ child: by }) => by === undefined).map(({ drop }) => drop);
        expect(counted(a.plane.tunnelCounters(atA.id).out)).toEqual(tallyOf(alone));
        for (let i = 0; i < CHILDREN; i++) {
          const own = out.filter(({ child: by }) => by === i).map(({ drop }) => drop);
          expect(counted(a.plane.tunnelCounters(idsA[i]!).out)).toEqual(tallyOf(own));
          const theirs = into.filter((verdict, n) => out[n]!.child === i && verdict !== "not sent");
          expect(counted(b.plane.tunnelCounters(idsB[i]!).in)).toEqual(tallyOf(theirs));
        }
        const { packets: passed, drops } = a.plane.totals().out;
        sum += packets.length;
        expect(Object.values(drops).reduce((all, count) => all + count, passed)).toBe(sum);
        await a.plane.removeTunnel(atA.id);
        await b.plane.removeTunnel(atB.id);
      },
    ),
    { numRuns },
  );
});

const NET_A = { local: [sel("10.1.0.0/24")], remote: [sel("10.2.0.0/24")] };
const NET_B = { local: [sel("10.1.0.0/24")], remote: [sel("10.3.0.0/24")] };
const toA = ipPacket({ version: 4, destination: "10.2.0.1" });
const toB = ipPacket({ version: 4, destination: "10.3.0.1" });

test("what came on the SA of one child is dropped where policy wants another, or none", async () => {
  const { a, b, atA, atB } = await setUp();
  const [one, two] = [a.plane.addChild(atA.id), a.plane.addChild(atA.id)];
  const [peerOne, peerTwo] = [b.plane.addChild(atB.id), b.plane.addChild(atB.id)];
  const pair = installPair([a, one], [b, peerOne]); // of any selectors: they let all in
  a.plane.use(pair.spiA);
  a.plane.setPolicies(atA.id, [{ action: "protect", child: one, local: anySelectors, remote: anySelectors }]);
  b.plane.setPolicies(atB.id, [
    { action: "protect", child: peerTwo, local: NET_A.remote, remote: NET_A.local },
    { action: "discard", local: [sel("10.4.0.0/16")], remote: anySelectors },
    { action: "bypass", local: [sel("10.5.0.0/16")], remote: anySelectors },
    { action: "protect", child: peerOne, local: NET_B.remote, remote: NET_B.local },
  ]);
  expect(two).not.toBe(one);
  for (const destination of ["10.2.0.1", "10.3.0.1", "10.4.0.1", "10.5.0.1", "10.6.0.1"])
    atA.tun.inject(ipPacket({ version: 4, destination }));
  settle(a, b);
  expect(atB.tun.delivered()).toEqual([toB]);
  expect(b.plane.counters(pair.spiB)?.drops).toEqual({
    "policy-mismatch": 2,
    "policy-discard": 1,
    "no-policy": 1,
  });
});

test("a list takes the place of another without a packet lost, and is used again and again", async () => {
  const { a, b, atA, atB } = await setUp();
  const children = [NET_A, NET_B].map((selectors) => {
    const atOne = a.plane.addChild(atA.id);
    const atOther = b.plane.addChild(atB.id);
    const pair = installPair([a, atOne], [b, atOther], selectors);
    a.plane.use(pair.spiA);
    return { atOne, atOther };
  });
  const both = (of: "atOne" | "atOther"): PlanePolicy[] =>
    [NET_A, NET_B].map(({ local, remote }, i) => ({
      action: "protect",
      child: children[i]![of],
      ...(of === "atOne" ? { local, remote } : { local: remote, remote: local }),
    }));
  b.plane.setPolicies(atB.id, both("atOther"));
  const many = Array.from({ length: 4000 }, (_, i) => {
    const network = [sel(`172.16.${i >> 8}.${i & 255}/32`)];
    return { action: "discard" as const, local: network, remote: anySelectors };
  });
  for (let round = 0; round < 12; round++) {
    a.plane.setPolicies(atA.id, round % 2 === 0 ? both("atOne") : [...many, ...both("atOne")]);
    atA.tun.inject(toA);
    atA.tun.inject(toB);
    settle(a, b);
    expect(atB.tun.delivered()).toEqual([toA, toB]);
  }
  a.plane.setPolicies(atA.id, [{ action: "discard", local: anySelectors, remote: anySelectors }]);
  atA.tun.inject(toA);
  settle(a, b);
  expect(atB.tun.delivered()).toEqual([]);
});

test("a packet for a child that traps is told once, and waits for the SA; others without one are dropped", async () => {
  const { a, b, atA, atB } = await setUp();
  const trapped = a.plane.addChild(atA.id, { traps: true });
  const quiet = a.plane.addChild(atA.id);
  a.plane.setPolicies(atA.id, [
    { action: "protect", child: trapped, ...NET_A },
    { action: "protect", child: quiet, ...NET_B },
  ]);
  const many = Array.from({ length: 100 }, (_, i) => ipPacket({ version: 4, destination: "10.2.0.1", length: 60 + i }));
  for (const packet of [...many, toB]) atA.tun.inject(packet);
  settle(a);
  expect(a.plane.poll()).toEqual([{ kind: "wanted", tunnel: trapped }]);
  expect(a.plane.poll()).toEqual([]);
  const waiting = 64;
  expect(a.plane.tunnelCounters(trapped).out.drops).toEqual({ "no-sa": many.length - waiting });
  expect(a.plane.tunnelCounters(quiet).out.drops).toEqual({ "no-sa": 1 });

  const there = b.plane.addChild(atB.id);
  const pair = installPair([a, trapped], [b, there]);
  b.plane.setPolicies(atB.id, [{ action: "protect", child: there, local: NET_A.remote, remote: NET_A.local }]);
  a.plane.use(pair.spiA);
  atA.tun.inject(toA);
  settle(a, b);
  expect(atB.tun.delivered()).toEqual([...many.slice(0, waiting), toA]);
  const { packets, drops } = a.plane.totals().out;
  expect([packets, drops]).toEqual([waiting + 1, { "no-sa": many.length - waiting + 1 }]);
});

test("what waits for a child that is removed is dropped, and not sent by who gets its number", async () => {
  const { a, b, atA, atB } = await setUp();
  const trapped = a.plane.addChild(atA.id, { traps: true });
  a.plane.setPolicies(atA.id, [{ action: "protect", child: trapped, ...NET_A }]);
  atA.tun.inject(toA);
  settle(a);
  a.plane.setPolicies(atA.id, []);
  await a.plane.removeTunnel(trapped);
  expect(a.plane.addChild(atA.id)).toBe(trapped);
  const pair = installPair([a, trapped], [b, b.plane.addChild(atB.id)]);
  a.plane.use(pair.spiA);
  settle(a, b);
  expect(a.plane.counters(pair.spiA)).toMatchObject({ packetsOut: 0 });
  expect(a.plane.totals().out).toMatchObject({ packets: 0, drops: { "no-sa": 1 } });
});

test("packets that wait for an SA in vain are counted after a while, and long ones do not wait", async () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  try {
    const { a, atA } = await setUp();
    const trapped = a.plane.addChild(atA.id, { traps: true });
    a.plane.setPolicies(atA.id, [{ action: "protect", child: trapped, ...NET_A }]);
    atA.tun.inject(toA);
    atA.tun.inject(ipPacket({ version: 4, destination: "10.2.0.1", length: 2049 }));
    settle(a);
    expect(a.plane.totals().out.drops).toEqual({ "no-sa": 1 });
    vi.advanceTimersByTime(8_000);
    settle(a);
    expect(a.plane.totals().out.drops).toEqual({ "no-sa": 2 });
  } finally {
    vi.useRealTimers();
  }
});

test("policies that name no child of the interface, and more than there is room for, are refused", async () => {
  const { a, atA } = await setUp();
  const other = a.addTunnel(undefined, { hasChildren: true });
  const stranger = a.plane.addChild(other.id);
  const protect = (child: number): PlanePolicy => ({ action: "protect", child, ...NET_A });
  expect(() => a.plane.setPolicies(atA.id, [protect(stranger)])).toThrow(/no child of it/);
  expect(() => a.plane.setPolicies(atA.id, [{ action: "protect", ...NET_A }])).toThrow(/no child of it/);
  const plain = a.addTunnel();
  expect(() => a.plane.addChild(plain.id)).toThrow(/has no children/);
  expect(() => a.plane.setPolicies(plain.id, [])).toThrow(/has no children/);
  const named = a.plane.addChild(atA.id);
  a.plane.setPolicies(atA.id, [protect(named)]);
  await expect(a.plane.removeTunnel(named)).rejects.toThrow(/a policy names child/);
  a.plane.setPolicies(atA.id, []);
  await a.plane.removeTunnel(named);
  const small = await MemorySite.start("127.0.0.4", { policyOctets: 512 });
  const tunnel = small.addTunnel(undefined, { hasChildren: true });
  const list = Array.from({ length: 100 }, (_, i): PlanePolicy => {
    return { action: "discard", local: [sel(`10.0.${i}.0/24`)], remote: anySelectors };
  });
  expect(() => small.plane.setPolicies(tunnel.id, list)).toThrow(/no room/);
});
