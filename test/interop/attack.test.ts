/**
 * What a gateway stands while it works: sources that no answer reaches, a flood of forged beginnings (RFC 7296 §2.6), and peers
 * that are suddenly gone. The peers are another gateway of ours and strongSwan.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { callControl } from "../../src/control/client.ts";
import { ike, twoPeers } from "../support/two-peers.ts";
import { configuration, IKE_PROPOSAL, identityOf, PEER, swanConnection } from "./support/configurations.ts";
import { type Configuration, Espalier } from "./support/espalier.ts";
import { INNER, OUTER, Sites } from "./support/namespaces.ts";
import { cut, mend } from "./support/obstacles.ts";
import { until } from "./support/run.ts";
import { StrongSwan } from "./support/strongswan.ts";
import { type TestBed, testBed } from "./support/test-bed.ts";
import { ping } from "./support/traffic.ts";
import { allOf } from "./support/tunnel-checks.ts";

const NEEDS = ["build", "namespaces", "tun", "transfer"] as const;

const RATE = 5_000;
const SECONDS = 6;
/** Addresses that nobody has: the internet takes what is sent to them as its own. */
const FORGED = "203.0.113";
/** Its datagrams leave the internet from port 0. */
const ODD_PORT = 7777;
const LATECOMER = "latecomer";

/** An IKE_SA_INIT request with the proposal that the gateways have. */
const beginning = (): Buffer => {
  const { a, link } = twoPeers({ a: { proposals: ike(IKE_PROPOSAL) } });
  a.initiate();
  return Buffer.from(link.sent[0]!.bytes);
};

const connectionsOf = (configured: Configuration) => configured["connections"] as Record<string, unknown>;

/** The same with connections more; they are written as PEER in a configuration of their own. */
const withMore = (base: Configuration, more: Readonly<Record<string, Configuration>>): Configuration => {
  const added = Object.entries(more).map(([name, configured]) => [name, connectionsOf(configured)[PEER]]);
  return { ...base, connections: { ...connectionsOf(base), ...Object.fromEntries(added) } };
};

/** One by the addresses of both sites and for other networks; `a` takes it from anywhere. */
const latecomer = (side: "a" | "b"): Configuration => {
  const [here, there] = side === "a" ? (["a", "b"] as const) : (["b", "a"] as const);
  return configuration({
    side,
    localId: `late-${here}.example`,
    remoteId: `late-${there}.example`,
    child: { interface: { name: "late0", routes: [] }, local: ["10.77.0.0/16"], remote: ["10.77.0.0/16"] },
    connection:
      side === "a"
        ? { remote: { address: "any", id: "late-b.example" } }
        : { local: { address: OUTER[4].b, id: "late-b.example" } },
  });
};

/** One that takes anybody over IPv6, at site A. */
const overIpv6 = configuration({
  outer: 6,
  child: { interface: { name: "six0", routes: [] }, local: ["10.78.0.0/16"], remote: ["10.78.0.0/16"] },
  connection: { remote: { address: "any", id: "six.example" } },
});

/** What a strongSwan on the internet's own address protects. */
const BEHIND_SWAN = "10.79.0.1";
const SWAN = "swan";
const SWAN_ID = "swan.example";

/** Site A's connection with it, whose ESP is always in UDP. */
const toSwan = (connection: Readonly<Record<string, unknown>> = {}): Configuration =>
  configuration({
    encap: "force",
    child: {
      interface: { name: "swan0", routes: [`${BEHIND_SWAN}/32`] },
      local: [INNER[4].netA],
      remote: [`${BEHIND_SWAN}/32`],
    },
    connection: { remote: { address: OUTER[4].routerA, id: SWAN_ID }, ...connection },
  });

const startSwan = (bed: TestBed, { internet }: Sites): Promise<StrongSwan> => {
  internet.run(["ip", "addr", "add", `${BEHIND_SWAN}/32`, "dev", "lo"]);
  const selectors = { localSelectors: [`${BEHIND_SWAN}/32`], remoteSelectors: [INNER[4].netA] };
  const connection = swanConnection({ localId: SWAN_ID, remoteId: identityOf("a"), ...selectors });
  return StrongSwan.start(bed, internet, { ...connection, local: OUTER[4].routerA, remote: OUTER[4].a });
};

const residentMegabytes = (pid: number): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;

describe(`while ${RATE} forged beginnings a second arrive`, () => {
  const lab = testBed([...NEEDS, "nat", "strongswan"], async (bed) => {
    const sites = new Sites();
    bed.defer(() => sites.remove());
    sites.internet.run(["ip", "route", "add", "local", `${FORGED}.0/24`, "dev", "lo"]);
    const swan = await startSwan(bed, sites);
    const more = { [LATECOMER]: latecomer("a"), six: overIpv6, [SWAN]: toSwan() };
    const a = await Espalier.start(bed, sites.gatewayA, withMore(configuration(), more));
    const atB = withMore(configuration({ side: "b", start: "initiate" }), { [LATECOMER]: latecomer("b") });
    const b = await Espalier.start(bed, sites.gatewayB, atB);
    await b.up(PEER);
    return { sites, a, b, swan };
  });

  test("what comes from port 0 or from a link-local address is counted, and the tunnel carries on", async () => {
    const { sites, a } = lab();
    const unknown = beginning();
    unknown.fill(7, 0, 16); // an SPI that nobody has
    const newer = Buffer.from(unknown);
    newer[17] = 0x30;
    const before = (await a.status()).ikeDrops["bad-source"] ?? 0;
    sites.internet.run(["nft", "-f", "-"], {
      input: `add table inet odd; delete table inet odd; table inet odd { chain out { type filter hook output priority 0; udp sport ${ODD_PORT} udp sport set 0; }; }`,
    });
    const messages = [beginning(), unknown, newer].map((bytes) => bytes.toString("hex"));
    const script = join(import.meta.dirname, "support/odd-sources.mjs");
    const targets = [OUTER[4].a, OUTER[6].a];
    const command = [process.execPath, script, "to-a", `${ODD_PORT}`, ...targets, ...messages];
    const { stdout } = await sites.internet.runAsync(command);
    const sent = JSON.parse(stdout) as { fromPort: number; fromLink: number };
    expect(sent).toEqual({ fromPort: 12, fromLink: 6 });
    await until("all were counted", async () => (await a.status()).ikeDrops["bad-source"] === before + 18);
    expect(await ping(sites.hostA, INNER[4].hostB)).toEqual(allOf(10));
  });

  test("a peer whose ESP is no SA's here is told so", async () => {
    const { sites, a, b } = lab();
    const packet = "stray".padEnd(80, "-"); // the first four octets are its SPI
    const socket = `IP4-SENDTO:${OUTER[4].a}:50,bind=${OUTER[4].b}`;
    sites.gatewayB.run(["socat", "-u", "-", socket], { input: packet });
    await until("it hears of it", () => b.log.includes("reports INVALID_SPI"));
    const { drops, ikeDrops } = await a.status();
    expect([drops["no-sa"], ikeDrops["stray-reports"]]).toEqual([1, 1]);
    expect((await b.connection(PEER))?.childSas).toHaveLength(1);
  });

  test("peers connect, ours within 2 s, the tunnel that was up carries its packets, and memory stays flat", async () => {
    const { sites, a, b, swan } = lab();
    const before = residentMegabytes(a.pid);
    const script = join(import.meta.dirname, "support/flood.mjs");
    const flood = sites.internet.runAsync([
      process.execPath,
      script,
      beginning().toString("hex"),
      FORGED,
      OUTER[4].a,
      `${RATE}`,
      `${SECONDS}`,
    ]);
    let isOver = false;
    void flood.finally(() => {
      isOver = true;
    });
    await until("cookies are asked for", async () =>
      ((await a.status()).ikeDrops["cookies-sent"] ?? 0) > RATE / 10 ? true : undefined,
    );
    const pings = ping(sites.hostA, INNER[4].hostB, { count: 300 });
    const asked = Date.now();
    await callControl(b.controlSocket, "initiate", { name: LATECOMER }); // no process to start in that time
    const { ikeSa } = await b.up(LATECOMER);
    expect(Date.parse(ikeSa?.establishedAt ?? "") - asked).toBeLessThan(2_000);
    expect(await swan.initiate()).toMatchObject({ status: 0 });
    expect((await a.connection(SWAN))?.state).toBe("up");
    expect(isOver).toBe(false);
    expect(await pings).toEqual(allOf(300));
    const { sent } = JSON.parse((await flood).stdout) as { sent: number };
    expect(sent).toBe(RATE * SECONDS);
    expect(residentMegabytes(a.pid) - before).toBeLessThan(64);
    expect((await a.connection(PEER))?.state).toBe("up");
  });
});

describe("peers that are cut off", () => {
  const patience = { liveness: "10s", retransmit: { first: "200ms", factor: 1.5, tries: 5 } };
  const lab = testBed([...NEEDS, "nat", "strongswan"], async (bed) => {
    const sites = new Sites();
    bed.defer(() => sites.remove());
    const swan = await startSwan(bed, sites);
    const b = await Espalier.start(bed, sites.gatewayB, configuration({ side: "b", connection: patience }));
    const a = await Espalier.start(
      bed,
      sites.gatewayA,
      withMore(configuration({ start: "initiate", connection: patience }), {
        [SWAN]: toSwan({ start: "initiate", ...patience }),
      }),
    );
    return { sites, a, b, swan };
  });

  test("are found dead, packets for them do not leave in the clear, and they are connected again when they are back", async () => {
    const { sites, a, b, swan } = lab();
    await Promise.all([a.up(PEER), a.up(SWAN)]);
    cut(sites);
    for (const name of [PEER, SWAN])
      await until(`the silence of ${name} is noticed`, async () => (await a.connection(name))?.state !== "up");
    await b.down(PEER);
    const pings = await Promise.all([ping(sites.hostA, INNER[4].hostB), ping(sites.hostA, BEHIND_SWAN)]);
    expect(pings.map(({ sent, received }) => [sent, received])).toEqual([
      [10, 0],
      [10, 0],
    ]);
    mend(sites);
    await Promise.all([a.up(PEER), a.up(SWAN)]);
    for (const host of [INNER[4].hostB, BEHIND_SWAN])
      await until(`packets to ${host} pass again`, async () => (await ping(sites.hostA, host)).received === 10);
    await until("strongSwan has left the old one", () => swan.sas().length === 1);
  });
});
