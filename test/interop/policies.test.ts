/** Two gateways of ours with one interface each, on which ordered policies and several children live. */
import { expect, test } from "vitest";
import { capture } from "./support/capture.ts";
import { configuration, INTERFACE, PEER, type Side } from "./support/configurations.ts";
import { type Configuration, Espalier } from "./support/espalier.ts";
import { INNER, OUTER, Sites } from "./support/namespaces.ts";
import { until } from "./support/run.ts";
import { testBed } from "./support/test-bed.ts";

const NEEDS = ["build", "namespaces", "tun"] as const;
const MARK = 4711;

const other = (side: Side): Side => (side === "a" ? "b" : "a");
const nets = { a: INNER[4].netA, b: INNER[4].netB };
const nets6 = { a: INNER[6].netA, b: INNER[6].netB };

/** Three children: TCP to port 5001 of B, all else of IPv4, IPv6; ping to the gateway B itself bypasses, port 9 is nobody's. */
const policed = (side: Side): Configuration => {
  const served = (port: number) => ({
    [side === "b" ? "local" : "remote"]: [`${nets.b}[tcp/${port}]`],
    [side === "b" ? "remote" : "local"]: [nets.a],
  });
  const base = configuration({ side, workers: 2 });
  const { connections } = base as { connections: Record<string, Record<string, unknown>> };
  const whole = { local: [nets[side]], remote: [nets[other(side)]] };
  const shares = { shares: INTERFACE };
  const elsewhere = side === "a" ? { remote: [`${OUTER[4].routerB}/32`] } : { local: [`${OUTER[4].routerB}/32`] };
  return {
    ...base,
    mark: MARK,
    interfaces: {
      [INTERFACE]: {
        routes: [nets[other(side)], nets6[other(side)], ...(side === "a" ? [`${OUTER[4].routerB}/32`] : [])],
        policies: [
          { action: "bypass", ...elsewhere },
          { action: "discard", ...served(9) },
          { action: "protect", child: `${PEER}/web` },
          { action: "protect", child: `${PEER}/rest` },
          { action: "protect", child: `${PEER}/six` },
        ],
      },
    },
    connections: {
      [PEER]: {
        ...connections[PEER],
        children: {
          web: { ...shares, ...served(5001) },
          rest: { ...shares, ...whole, start: "trap" },
          six: { ...shares, local: [nets6[side]], remote: [nets6[other(side)]] },
        },
      },
    },
  };
};

const lab = testBed(NEEDS, async (bed) => {
  const sites = new Sites();
  bed.defer(() => sites.remove());
  const there = await Espalier.start(bed, sites.gatewayB, policed("b"));
  const here = await Espalier.start(bed, sites.gatewayA, policed("a"));
  return { sites, here, there };
});

const ping = (to: string, count = 3): string =>
  lab().sites.hostA.run(["ping", "-c", String(count), "-i", "0.2", "-W", "2", to], { mayFail: true }).stdout;

/** Names of the children that have SAs. */
const namesOf = async (gateway: Espalier): Promise<string[]> => [
  ...new Set(((await gateway.connection(PEER))?.childSas ?? []).map(({ name }) => name)),
];

/** Packets out and in of a child, over all its pairs. */
const carried = async (gateway: Espalier, child: string): Promise<readonly [number, number]> => {
  const pairs = ((await gateway.connection(PEER))?.childSas ?? []).filter(({ name }) => name === child);
  const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);
  return [sum(pairs.map(({ packetsOut }) => packetsOut)), sum(pairs.map(({ packetsIn }) => packetsIn))];
};

const dropped = async (gateway: Espalier, reason: string): Promise<number> =>
  (await gateway.status()).drops[reason] ?? 0;

test("children that do not trap come with their connection, the other with its first packet", async () => {
  const { here } = lab();
  await here.initiate(PEER);
  await until("two children are there", async () => ((await namesOf(here)).length === 2 ? true : undefined));
  expect((await namesOf(here)).sort()).toEqual(["six", "web"]);
  expect(ping(INNER[6].hostB)).toContain(" 3 received");
  ping(INNER[4].hostB, 1); // lost: the SA is being made
  await until("the third child is there", async () => ((await namesOf(here)).length === 3 ? true : undefined));
  expect(ping(INNER[4].hostB)).toContain(" 3 received");
});

test("each packet takes the SAs of the first policy that selects it", async () => {
  const { sites, here } = lab();
  const [web, rest] = [await carried(here, "web"), await carried(here, "rest")];
  const server = sites.hostB.runAsync(["timeout", "10", "socat", "-u", "TCP-LISTEN:5001", "OPEN:/dev/null"]);
  await new Promise((wake) => setTimeout(wake, 300));
  sites.hostA.run(["socat", "-u", "OPEN:/etc/services", `TCP:${INNER[4].hostB}:5001`]);
  await server;
  const after = await carried(here, "web");
  expect(after[0]).toBeGreaterThan(web[0] + 3);
  expect(after[1]).toBeGreaterThan(web[1] + 3);
  expect(await carried(here, "rest")).toEqual(rest);
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
  const seen = await capture(bed, sites.internet, "to-a", `net ${INNER[4].netB}`, async () => {
    expect(ping(INNER[4].hostB)).toContain(" 0 received");
  });
  expect(seen).toEqual([]);
  expect(await dropped(here, "no-sa")).toBeGreaterThan(0);
  expect(sites.gatewayA.run(["ip", "rule"]).stdout).toContain(`lookup ${MARK}`);
  expect(await here.end()).toBe(0);
  expect(await there.end()).toBe(0);
  expect(sites.gatewayA.run(["ip", "rule"]).stdout).not.toContain(`${MARK}`);
  expect(sites.gatewayA.run(["ip", "route", "show", "table", "all"]).stdout).not.toContain(`table ${MARK}`);
});
