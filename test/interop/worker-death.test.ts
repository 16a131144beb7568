/** A worker thread that dies under traffic: another takes over its SAs, and what the others carry does not stop. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { identityOf, SECRET, type Side } from "./support/configurations.ts";
import { type Configuration, Espalier } from "./support/espalier.ts";
import { OUTER, Sites } from "./support/namespaces.ts";
import { until } from "./support/run.ts";
import { testBed } from "./support/test-bed.ts";
import { ping } from "./support/traffic.ts";
import { allOf } from "./support/tunnel-checks.ts";

const MORTAL = ["--import", join(import.meta.dirname, "support/mortal-threads.mjs")];

/** Tunnel n is carried by worker n alone. */
const TUNNELS = [0, 1] as const;
const nameOf = (tunnel: number): string => `tunnel${tunnel}`;
const addressOf = (tunnel: number, side: Side): string => `10.9.${tunnel}.${side === "a" ? 1 : 2}`;

const twoTunnels = (side: Side): Configuration => {
  const far = side === "a" ? "b" : "a";
  const connections = TUNNELS.map((tunnel) => [
    nameOf(tunnel),
    {
      local: { address: OUTER[4][side], id: `${tunnel}.${identityOf(side)}` },
      remote: { address: OUTER[4][far], id: `${tunnel}.${identityOf(far)}` },
      psk: SECRET,
      start: side === "a" ? "initiate" : "none",
      liveness: "off",
      children: {
        net: { sas: 1, interface: { name: `esp${tunnel}`, addresses: [`${addressOf(tunnel, side)}/30`] } },
      },
    },
  ]);
  return { workers: TUNNELS.length, connections: Object.fromEntries(connections) };
};

const lab = testBed(["build", "namespaces", "tun", "iperf"], async (bed) => {
  const sites = new Sites();
  bed.defer(() => sites.remove());
  const b = await Espalier.start(bed, sites.gatewayB, twoTunnels("b"));
  const a = await Espalier.start(bed, sites.gatewayA, twoTunnels("a"), MORTAL);
  for (const tunnel of TUNNELS) await a.up(nameOf(tunnel));
  return { sites, a, b };
});

const pairOf = async (gateway: Espalier, tunnel: number) => {
  const [pair] = (await gateway.connection(nameOf(tunnel)))?.childSas ?? [];
  if (pair === undefined) throw new Error(`${nameOf(tunnel)} has no pair of SAs`);
  return pair;
};

const SECONDS = 8;

/** Octets that one TCP stream of 20 Mbit/s has moved through a tunnel, by half seconds. */
const stream = async (tunnel: number): Promise<number[]> => {
  const { bed, sites } = lab();
  const port = `${5300 + tunnel}`;
  const server = sites.gatewayB.background(
    ["iperf3", "-s", "-1", "-p", port, "--forceflush"],
    join(bed.directory, `iperf-${tunnel}`),
  );
  try {
    await until("iperf3 listens", () => server.log.includes("listening"));
    const words = ["-p", port, "-t", `${SECONDS}`, "-b", "20M", "-i", "0.5", "--json"];
    const { stdout } = await sites.gatewayA.runAsync(["iperf3", "-c", addressOf(tunnel, "b"), ...words]);
    const { intervals } = JSON.parse(stdout) as { intervals: { sum: { bytes: number } }[] };
    return intervals.map(({ sum }) => sum.bytes);
  } finally {
    await server.end("SIGKILL");
  }
};

test("a thread that dies under TCP is replaced: its SAs go on, and the other worker's traffic never stops", async () => {
  const { sites, a } = lab();
  const before = await Promise.all(TUNNELS.map((tunnel) => pairOf(a, tunnel)));
  expect(before.map(({ worker }) => worker)).toEqual(TUNNELS);

  const streams = Promise.all(TUNNELS.map(stream));
  streams.catch(() => undefined); // until it is awaited
  await until("both tunnels carry their stream", async () => {
    const now = await Promise.all(TUNNELS.map((tunnel) => pairOf(a, tunnel)));
    return now.every(({ packetsOut }, tunnel) => packetsOut > before[tunnel]!.packetsOut + 1000);
  });
  process.kill(a.pid, "SIGUSR2");
  const atDeath = await Promise.all(TUNNELS.map((tunnel) => pairOf(a, tunnel)));
  const replaced = await until("a worker was replaced", async () => {
    const { workers } = await a.status();
    return workers.find((worker) => worker.replaced > 0);
  });
  const dead = replaced.worker;
  const alive = 1 - dead;
  expect(a.log).toContain("worker exited with code: 1");

  const moved = await streams;
  expect(moved[alive]!.filter((octets) => octets === 0)).toEqual([]);
  expect(moved[dead]!.at(-1), "the stream of the dead worker has gone on").toBeGreaterThan(0);

  const after = await Promise.all(TUNNELS.map((tunnel) => pairOf(a, tunnel)));
  for (const tunnel of TUNNELS) {
    expect(after[tunnel]).toMatchObject({
      spiIn: before[tunnel]!.spiIn,
      spiOut: before[tunnel]!.spiOut,
      worker: tunnel,
    });
    expect(after[tunnel]!.packetsOut).toBeGreaterThan(atDeath[tunnel]!.packetsOut);
    expect(await ping(sites.gatewayA, addressOf(tunnel, "b"))).toEqual(allOf(10));
  }
  const { workers } = await a.status();
  expect(workers.map((worker) => worker.replaced)).toEqual(TUNNELS.map((tunnel) => (tunnel === dead ? 1 : 0)));
});

test("it ends as any other", async () => {
  expect(await lab().a.end()).toBe(0);
});
