/** A gateway of ours with ordered policies, and a Linux kernel with policies of its own: several Child SAs at both. */
import { expect, test } from "vitest";
import { PEER, swanConnection } from "./support/configurations.ts";
import { Espalier } from "./support/espalier.ts";
import { INNER, Sites } from "./support/namespaces.ts";
import { carried, dropped, namesOf, nets, policed, WEB_PORT } from "./support/policed.ts";
import { until } from "./support/run.ts";
import { testBed } from "./support/test-bed.ts";
import { transfer } from "./support/traffic.ts";
import { Uml } from "./support/uml.ts";

const lab = testBed(["build", "namespaces", "tun", "uml"], async (bed) => {
  const sites = new Sites({ far: "tap" });
  bed.defer(() => sites.remove());
  const peer = await Uml.start(bed, sites.internet);
  await peer.load(
    swanConnection({
      localSelectors: [nets.b],
      remoteSelectors: [nets.a],
      moreChildren: [{ name: "web", localSelectors: [`${nets.b}[tcp/${WEB_PORT}]`], remoteSelectors: [nets.a] }],
    }),
  );
  await peer.runAsync(["ip", "link", "del", "vti0"]);
  const here = await Espalier.start(bed, sites.gatewayA, policed("a"));
  return { sites, peer, here };
});

test("both have a pair of SAs for each child, and each packet takes those of its policy", async () => {
  const { sites, peer, here } = lab();
  await here.initiate(PEER);
  sites.hostA.run(["ping", "-c", "1", "-W", "2", INNER[4].hostB], { mayFail: true }); // brings the child that traps
  await until("both children are there", async () => {
    const names = await namesOf(here);
    return names.includes("web") && names.includes("rest") ? true : undefined;
  });
  const states = await peer.states();
  expect(states.match(/proto esp/g)?.length).toBeGreaterThanOrEqual(4);
  expect(sites.hostA.run(["ping", "-c", "5", "-i", "0.2", INNER[4].hostB]).stdout).toContain(" 5 received");
  const [web, rest] = [await carried(here, "web"), await carried(here, "rest")];
  expect(rest[1]).toBeGreaterThanOrEqual(5);
  await transfer("/etc/services", sites.hostA, peer, INNER[4].hostB, WEB_PORT);
  await until("both ways were by its SAs", async () => {
    const [sent, received] = await carried(here, "web");
    return sent > web[0] + 3 && received > web[1] + 1 ? true : undefined;
  });
  expect((await carried(here, "rest"))[0]).toBe(rest[0]);
  expect(await dropped(here, "policy-mismatch")).toBe(0);
});
