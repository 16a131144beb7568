/** Two gateways of ours with one interface each, on which ordered policies and several children live. */
import { expect, test } from "vitest";
import { capture } from "./support/capture.ts";
import { INTERFACE, PEER, type Side } from "./support/configurations.ts";
import { type Configuration, Espalier } from "./support/espalier.ts";
import { INNER, OUTER, Sites } from "./support/namespaces.ts";
import { carried, dropped, MARK, namesOf, nets, policed, WEB_PORT } from "./support/policed.ts";
import { until } from "./support/run.ts";
import { testBed } from "./support/test-bed.ts";
import { transfer } from "./support/traffic.ts";

const NEEDS = ["build", "namespaces", "tun"] as const;

const lab = testBed(NEEDS, async (bed) => {
  const sites = new Sites();
  bed.defer(() => sites.remove());
  const there = await Espalier.start(bed, sites.gatewayB, policed("b"));
  const here = await Espalier.start(bed, sites.gatewayA, policed("a"));
  return { sites, here, there };
});

const ping = (to: string, { count = 3, patience = 6 } = {}): string =>
  lab().sites.hostA.run(["ping", "-c", `${count}`, "-i", "0.2", "-W", `${patience}`, to], { mayFail: true }).stdout;

test("children that do not trap come with their connection, the other with its first packet", async () => {
  const { here } = lab();
  await here.initiate(PEER);
  await until("two children are there", async () => ((await namesOf(here)).length === 2 ? true : undefined));
  expect((await namesOf(here)).sort()).toEqual(["six", "web"]);
  expect(ping(INNER[6].hostB)).toContain(" 3 received");
  expect(ping(INNER[4].hostB, { count: 1 })).toContain(" 1 received"); // it waited for the SA
  await until("the third child is there", async () => ((await namesOf(here)).length === 3 ? true : undefined));
  expect(ping(INNER[4].hostB)).toContain(" 3 received");
});

test("each packet takes the SAs of the first policy that selects it", async () => {
  const { sites, here } = lab();
  const [web, rest] = [await carried(here, "web"), await carried(here, "rest")];
  await transfer("/etc/services", sites.hostA, sites.hostB, INNER[4].hostB, WEB_PORT);
  await until("both ways were by its SAs", async () => {
    const [sent, received] = await carried(here, "web");
    return sent > web[0] + 3 && received > web[1] + 1 ? true : undefined;
  });
  expect(await carried(here, "rest")).toEqual(rest);
});

test("a router's error about a packet comes back by its SAs, though no selector holds the router (RFC 4301 §6.2)", async () => {
  const { sites, here } = lab();
  const router = "10.255.0.2";
  sites.gatewayB.run(["ip", "addr", "replace", `${router}/32`, "dev", INTERFACE]);
  const before = await carried(here, "rest");
  const command = ["ping", "-n", "-c", "1", "-W", "3", "-t", "2", INNER[4].hostB];
  expect(sites.hostA.run(command, { mayFail: true }).stdout).toContain(
    `From ${router} icmp_seq=1 Time to live exceeded`,
  );
  expect(await carried(here, "rest")).toEqual(before.map((count) => count + 1));
});

test("what a policy discards is counted and seen nowhere", async () => {
  const { sites, here, bed } = lab();
  const seen = await capture(bed, sites.internet, "to-a", `net ${INNER[4].netA}`, async () => {
    sites.hostA.run(["timeout", "2", "socat", "-u", "OPEN:/dev/null", `TCP:${INNER[4].hostB}:9`], { mayFail: true });
  });
  expect(seen).toEqual([]);
  expect(await dropped(here, "policy-discard")).toBeGreaterThan(0);
});

test("what bypasses leaves in the clear, once, past the interface, and its answer comes back", async () => {
  const { sites, here, bed } = lab();
  sites.internet.run(["ip", "route", "add", INNER[4].netA, "via", OUTER[4].a]);
  const seen = await capture(bed, sites.internet, "to-a", `icmp and src ${INNER[4].hostA}`, async () => {
    expect(ping(OUTER[4].routerB)).toContain(" 3 received");
  });
  expect(seen).toHaveLength(3);
  expect(await dropped(here, "bypass")).toBeGreaterThanOrEqual(3);
});

test("nothing leaves in the clear when the connection is gone, and rule and routes go with the gateway", async () => {
  const { sites, here, there, bed } = lab();
  await here.terminate(PEER);
  await here.down(PEER);
  const inner = `net ${INNER[4].netB} or net ${INNER[6].netB}`;
  const seen = await capture(bed, sites.internet, "to-a", inner, async () => {
    expect(ping(INNER[4].hostB, { patience: 1 })).toContain(" 0 received");
    expect(ping(INNER[6].hostB, { patience: 1 })).toContain(" 0 received"); // of a child that does not trap: none waits
  });
  expect(seen).toEqual([]);
  expect(await dropped(here, "no-sa")).toBeGreaterThan(0);
  expect(sites.gatewayA.run(["ip", "rule"]).stdout).toContain(`lookup ${MARK}`);
  expect(await here.end()).toBe(0);
  expect(await there.end()).toBe(0);
  expect(sites.gatewayA.run(["ip", "rule"]).stdout).not.toContain(`${MARK}`);
  expect(sites.gatewayA.run(["ip", "route", "show", "table", "all"]).stdout).not.toContain(`table ${MARK}`);
});

test("without a mark, a peer whose network is routed into the interface is reached past it", async () => {
  const { sites, bed, here: before, there } = lab();
  await Promise.all([before.end(), there.end()]);
  const plain = (side: Side): Configuration => {
    const { mark: _, ...whole } = policed(side);
    const around = side === "a" ? "198.51.0.0/16" : "192.0.0.0/16";
    return { ...whole, interfaces: { [INTERFACE]: { routes: [nets[side === "a" ? "b" : "a"], around] } } };
  };
  await Espalier.startForTest(bed, sites.gatewayB, plain("b"));
  const here = await Espalier.startForTest(bed, sites.gatewayA, plain("a"));
  await here.initiate(PEER);
  await here.up(PEER);
  ping(INNER[4].hostB, { count: 1, patience: 1 });
  await until("the child that traps is there", async () => ((await namesOf(here)).includes("rest") ? true : undefined));
  expect(ping(INNER[4].hostB)).toContain(" 3 received");
});
