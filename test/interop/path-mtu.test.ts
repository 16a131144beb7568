/**
 * Packets that do not fit: hosts behind the gateway are told the tunnel's MTU (RFC 4301 §8.2), the gateway learns that of the
 * path from what routers quote of its ESP, and nothing is fragmented on the way that could be fragmented before.
 */
import { describe, expect, test } from "vitest";
import { capture } from "./support/capture.ts";
import { configuration, PEER } from "./support/configurations.ts";
import { Espalier } from "./support/espalier.ts";
import { INNER, type Namespace, Sites } from "./support/namespaces.ts";
import { until } from "./support/run.ts";
import { testBed } from "./support/test-bed.ts";
import { makeFile, ping, transfer } from "./support/traffic.ts";
import { allOf } from "./support/tunnel-checks.ts";

const NEEDS = ["build", "namespaces", "tun", "transfer", "capture"] as const;
const FRAGMENTS = "ip[6:2] & 0x3fff != 0 or ip6[6] == 44";
const SYNS = "tcp[tcpflags] & tcp-syn != 0";

/** One echo request of `length` octets in all that must not be fragmented: whether it was answered within `patience` ms. */
const passes = async (from: Namespace, to: string, length: number, patience = 1500): Promise<boolean> => {
  const payload = length - (to.includes(":") ? 48 : 28);
  const { stdout, stderr } = await from.runAsync(["fping", "-q", "-M", "-c1", `-t${patience}`, `-b${payload}`, to], {
    mayFail: true,
  });
  return /xmt\/rcv\/%loss = 1\/1\//.test(`${stdout}${stderr}`);
};

/** What the host believes of the way to `to`; undefined: nothing yet. */
const believed = (host: Namespace, to: string): number | undefined => {
  const mtu = /\bmtu (\d+)/.exec(host.run(["ip", "route", "get", to]).stdout)?.[1];
  return mtu === undefined ? undefined : Number(mtu);
};

const mtuOf = async (gateway: Espalier): Promise<number | undefined> =>
  (await gateway.connection(PEER))?.childSas[0]?.mtu;

const setLinkMtu = (sites: Sites, mtu: number): void => {
  sites.internet.run(["ip", "link", "set", "to-b", "mtu", `${mtu}`]);
  sites.gatewayB.run(["ip", "link", "set", "wan", "mtu", `${mtu}`]);
};

/** Segment sizes that SYNs announce in a capture. */
const announced = (lines: readonly string[]): number[] => lines.map((line) => Number(/mss (\d+)/.exec(line)?.[1]));

describe.each([
  { way: "raw ESP", outer: 4, encap: "auto", inner: 1446, behind1400: 1346 },
  { way: "ESP in UDP", outer: 4, encap: "force", inner: 1438, behind1400: 1338 },
  { way: "raw ESP over IPv6", outer: 6, encap: "auto", inner: 1426, behind1400: 1326 },
] as const)("$way, with links of 1500 octets", ({ outer, encap, inner, behind1400 }) => {
  const lab = testBed(NEEDS, async (bed) => {
    const sites = new Sites({ lanMtu: 1500 });
    bed.defer(() => sites.remove());
    const b = await Espalier.start(bed, sites.gatewayB, configuration({ side: "b", outer, encap }));
    const a = await Espalier.start(bed, sites.gatewayA, configuration({ side: "a", outer, encap, start: "initiate" }));
    await a.up(PEER);
    return { sites, a, b, file: makeFile(bed.directory, 10_000) };
  });

  test("a host that forbids fragments is told the tunnel's MTU, over IPv4 and IPv6, and then gets through", async () => {
    const { sites, a } = lab();
    expect(await mtuOf(a)).toBe(inner);
    for (const family of [4, 6] as const) {
      const to = INNER[family].hostB;
      expect(await passes(sites.hostA, to, 1500)).toBe(false);
      await until("the host believes it", () => believed(sites.hostA, to) === inner);
      expect(await passes(sites.hostA, to, inner, 10_000)).toBe(true);
    }
  });

  test("both ends of a TCP connection hear of segments that fit", async () => {
    const { bed, sites, file } = lab();
    const send = () => transfer(file.file, sites.hostA, sites.hostB, INNER[4].hostB);
    const atB = await capture(bed, sites.hostB, "eth0", `${SYNS} and src ${INNER[4].hostA}`, send);
    const atA = await capture(bed, sites.hostA, "eth0", `${SYNS} and src ${INNER[4].hostB}`, send);
    expect(new Set([...announced(atB), ...announced(atA)])).toEqual(new Set([inner - 40]));
  });

  test("what may be fragmented is fragmented before it is sealed: no fragment is seen outside", async () => {
    const { bed, sites } = lab();
    sites.hostA.run(["sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_no_pmtu_disc; ip route flush cache"]);
    const seen = await capture(bed, sites.internet, "to-a", FRAGMENTS, async () => {
      expect(await ping(sites.hostA, INNER[4].hostB, { size: 1472 })).toEqual(allOf(10));
    });
    sites.hostA.run(["sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_no_pmtu_disc"]);
    expect(seen).toEqual([]);
  });

  test("when the path shrinks to 1400 the gateway learns it from the lost packet, and the host from the next", async () => {
    const { sites, a } = lab();
    const to = INNER[4].hostB;
    setLinkMtu(sites, 1400);
    expect(await passes(sites.hostA, to, inner)).toBe(false); // a router on the way answers the gateway
    await until("the tunnel has shrunk", async () => ((await mtuOf(a)) === behind1400 ? true : undefined));
    expect(await passes(sites.hostA, to, inner)).toBe(false); // the gateway answers the host
    await until("the host believes it", () => believed(sites.hostA, to) === behind1400);
    expect(await passes(sites.hostA, to, behind1400, 10_000)).toBe(true);
    expect(a.log).toContain("lowered");
  });

  test("a gateway whose outer packets are fragmented on the way back still gets them whole", async () => {
    const { bed, sites } = lab();
    const to = INNER[4].hostA;
    const seen = await capture(bed, sites.internet, "to-b", FRAGMENTS, async () => {
      expect((await ping(sites.hostB, to, { size: 1390 })).received).toBe(10);
    });
    expect(seen.length).toBeGreaterThan(0);
  });
});

describe("jumbo frames, links of 9000 octets", () => {
  const lab = testBed(NEEDS, async (bed) => {
    const sites = new Sites({ lanMtu: 9000, wanMtu: 9000 });
    bed.defer(() => sites.remove());
    await Espalier.start(bed, sites.gatewayB, configuration({ side: "b" }));
    const a = await Espalier.start(bed, sites.gatewayA, configuration({ side: "a", start: "initiate" }));
    await a.up(PEER);
    return { sites, a, file: makeFile(bed.directory, 50_000_000) };
  });

  test("the tunnel takes 8946 octets, over IPv4 and IPv6, and no more", async () => {
    const { sites, a } = lab();
    expect(await mtuOf(a)).toBe(8946);
    for (const family of [4, 6] as const) {
      expect(await passes(sites.hostA, INNER[family].hostB, 8946)).toBe(true);
      expect(await passes(sites.hostA, INNER[family].hostB, 8947)).toBe(false);
      await until("the host believes it", () => believed(sites.hostA, INNER[family].hostB) === 8946);
    }
  });

  test("a file goes through in frames of that size, none of them in fragments", async () => {
    const { bed, sites, file } = lab();
    const seen = await capture(bed, sites.internet, "to-a", FRAGMENTS, async () => {
      const { sha256 } = await transfer(file.file, sites.hostA, sites.hostB, INNER[4].hostB);
      expect(sha256).toBe(file.sha256);
    });
    expect(seen).toEqual([]);
  });
});
