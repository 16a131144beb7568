/** What a gateway stands while it works: a flood of forged beginnings (RFC 7296 §2.6), and a peer that is suddenly gone. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { callControl } from "../../src/control/client.ts";
import { ike, twoPeers } from "../support/two-peers.ts";
import { configuration, IKE_PROPOSAL, PEER } from "./support/configurations.ts";
import { type Configuration, Espalier } from "./support/espalier.ts";
import { INNER, OUTER, Sites } from "./support/namespaces.ts";
import { until } from "./support/run.ts";
import { testBed } from "./support/test-bed.ts";
import { ping } from "./support/traffic.ts";
import { allOf } from "./support/tunnel-checks.ts";

const NEEDS = ["build", "namespaces", "tun"] as const;

const RATE = 5_000;
const SECONDS = 6;
/** Addresses that nobody has: the internet takes what is sent to them as its own. */
const FORGED = "203.0.113";
const LATECOMER = "latecomer";

/** An IKE_SA_INIT request with the proposal that the gateways have. */
const beginning = (): Buffer => {
  const { a, link } = twoPeers({ a: { proposals: ike(IKE_PROPOSAL) } });
  a.initiate();
  return Buffer.from(link.sent[0]!.bytes);
};

/** Both sites with one connection more, by the same addresses and for other networks; `a` takes it from anywhere. */
const withLatecomer = (side: "a" | "b"): Configuration => {
  const base = configuration({ side, ...(side === "b" ? { start: "initiate" } : {}) });
  const [here, there] = side === "a" ? (["a", "b"] as const) : (["b", "a"] as const);
  const late = configuration({
    side,
    localId: `late-${here}.example`,
    remoteId: `late-${there}.example`,
    child: { interface: { name: "late0", routes: [] }, local: ["10.77.0.0/16"], remote: ["10.77.0.0/16"] },
    connection:
      side === "a"
        ? { remote: { address: "any", id: "late-b.example" } }
        : { local: { address: OUTER[4].b, id: "late-b.example" } },
  });
  const connections = (configured: Configuration) => configured["connections"] as Record<string, unknown>;
  return { ...base, connections: { ...connections(base), [LATECOMER]: connections(late)[PEER] } };
};

const residentMegabytes = (pid: number): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;

describe(`while ${RATE} forged beginnings a second arrive`, () => {
  const lab = testBed(NEEDS, async (bed) => {
    const sites = new Sites();
    bed.defer(() => sites.remove());
    sites.internet.run(["ip", "route", "add", "local", `${FORGED}.0/24`, "dev", "lo"]);
    const a = await Espalier.start(bed, sites.gatewayA, withLatecomer("a"));
    const b = await Espalier.start(bed, sites.gatewayB, withLatecomer("b"));
    await b.up(PEER);
    return { sites, a, b };
  });

  test("a peer connects within 2 s, the tunnel that was up carries its packets, and memory stays flat", async () => {
    const { sites, a, b } = lab();
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
    await until("cookies are asked for", async () =>
      ((await a.status()).ikeDrops["cookies-sent"] ?? 0) > RATE / 10 ? true : undefined,
    );
    const pings = ping(sites.hostA, INNER[4].hostB, { count: 300 });
    const asked = Date.now();
    await callControl(b.controlSocket, "initiate", { name: LATECOMER }); // no process to start in that time
    const { ikeSa } = await b.up(LATECOMER);
    expect(Date.parse(ikeSa?.establishedAt ?? "") - asked).toBeLessThan(2_000);
    expect(await pings).toEqual(allOf(300));
    const { sent } = JSON.parse((await flood).stdout) as { sent: number };
    expect(sent).toBe(RATE * SECONDS);
    expect(residentMegabytes(a.pid) - before).toBeLessThan(64);
    expect((await a.connection(PEER))?.state).toBe("up");
  });
});

describe("a peer that is cut off", () => {
  const patience = { liveness: "10s", retransmit: { first: "200ms", factor: 1.5, tries: 5 } };
  const lab = testBed(NEEDS, async (bed) => {
    const sites = new Sites();
    bed.defer(() => sites.remove());
    const b = await Espalier.start(bed, sites.gatewayB, configuration({ side: "b", connection: patience }));
    const a = await Espalier.start(
      bed,
      sites.gatewayA,
      configuration({ side: "a", start: "initiate", connection: patience }),
    );
    return { sites, a, b };
  });

  test("is found dead, its packets do not leave in the clear, and it is connected again when it is back", async () => {
    const { sites, a, b } = lab();
    await a.up(PEER);
    sites.gatewayB.run(["ip", "link", "set", "wan", "down"]);
    await until("the silence is noticed", async () => ((await a.connection(PEER))?.state !== "up" ? true : undefined));
    await b.down(PEER);
    const { sent, received } = await ping(sites.hostA, INNER[4].hostB);
    expect([sent, received]).toEqual([10, 0]);
    sites.gatewayB.run(["ip", "link", "set", "wan", "up"]);
    sites.gatewayB.run(["ip", "route", "add", "default", "via", OUTER[4].routerB]);
    await a.up(PEER);
    await until("packets pass again", async () =>
      (await ping(sites.hostA, INNER[4].hostB)).received === 10 ? true : undefined,
    );
  });
});
