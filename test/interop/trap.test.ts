/** start: trap between two gateways of ours: the first packet brings the connection up, and arrives. */
import { expect, test } from "vitest";
import { configuration, INTERFACE, PEER } from "./support/configurations.ts";
import { Espalier } from "./support/espalier.ts";
import { INNER, Sites } from "./support/namespaces.ts";
import { until } from "./support/run.ts";
import { testBed } from "./support/test-bed.ts";
import { pingBothWays } from "./support/tunnel-checks.ts";

const NEEDS = ["build", "namespaces", "tun"] as const;

const lab = testBed(NEEDS, async (bed) => {
  const sites = new Sites();
  bed.defer(() => sites.remove());
  const there = await Espalier.start(bed, sites.gatewayB, configuration({ side: "b" }));
  const here = await Espalier.start(bed, sites.gatewayA, configuration({ connection: { start: "trap" }, workers: 2 }));
  return { sites, here, there };
});

const ends = () => {
  const { sites } = lab();
  return { here: sites.hostA, there: sites.hostB, hereAt: INNER[4].hostA, thereAt: INNER[4].hostB };
};

/** One echo request and no other; whether it is answered. */
const onePing = (): boolean => {
  const { sites } = lab();
  const { stdout } = sites.hostA.run(["ping", "-c", "1", "-W", "8", INNER[4].hostB], { mayFail: true });
  return stdout.includes(" 1 received");
};

test("nothing happens before a packet comes, though the interface is up", async () => {
  const { sites, here } = lab();
  await until("the interface waits", () =>
    /[<,]UP[,>]/.test(sites.gatewayA.run(["ip", "link", "show", INTERFACE], { mayFail: true }).stdout)
      ? true
      : undefined,
  );
  await new Promise((wake) => setTimeout(wake, 6_000)); // also what the kernel says by itself at first
  expect((await here.connection(PEER))?.state).toBe("down");
});

test("the first packet brings it up and is answered, and all that follow", async () => {
  const { here } = lab();
  expect(onePing()).toBe(true);
  expect((await here.up(PEER)).childSas).toHaveLength(1);
  await pingBothWays(ends());
});

test("when the peer has deleted it, the next packet brings it up again", async () => {
  const { here, there } = lab();
  await there.terminate(PEER);
  await here.down(PEER);
  await new Promise((wake) => setTimeout(wake, 2_000)); // the back-off after a loss
  expect(onePing()).toBe(true);
  expect((await here.connection(PEER))?.state).toBe("up");
});

test("what its user takes down stays down", async () => {
  const { sites, here } = lab();
  await here.terminate(PEER);
  await here.down(PEER);
  sites.hostA.run(["ping", "-c", "2", "-W", "1", INNER[4].hostB], { mayFail: true });
  expect((await here.connection(PEER))?.state).toBe("down");
});
