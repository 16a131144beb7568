/** Messages in pieces (RFC 7383) with strongSwan, on a path of 1280 octets: IKE_AUTH and rekeys too long for it. */
import { describe, expect, test } from "vitest";
import { configuration, netsOf, PEER, swanConnection } from "./support/configurations.ts";
import { Espalier } from "./support/espalier.ts";
import { INNER, Sites } from "./support/namespaces.ts";
import { until } from "./support/run.ts";
import { StrongSwan } from "./support/strongswan.ts";
import { testBed } from "./support/test-bed.ts";
import { ping } from "./support/traffic.ts";

const NEEDS = ["build", "namespaces", "tun", "strongswan"] as const;

/** Forty octets each in a payload of selectors. */
const many = Array.from({ length: 28 }, (_, n) => `2001:db8:5a:${n}::/64`);
const ours = [...netsOf("a"), ...many];

describe.each([
  ["yes", { fragmentation: "yes" }],
  ["force", { fragmentation: "force" }],
  ["a size of its own", { fragmentation: "yes", fragment_size: 700 }],
] as const)("fragmentation: %s", (_, connection) => {
  const lab = testBed(NEEDS, async (bed) => {
    const sites = new Sites();
    bed.defer(() => sites.remove());
    for (const [space, device] of [
      [sites.internet, "to-b"],
      [sites.gatewayB, "wan"],
    ] as const)
      space.run(["ip", "link", "set", device, "mtu", "1280"]);
    const peer = await StrongSwan.start(bed, sites.gatewayB, swanConnection({ encap: true, remoteSelectors: ours }));
    const gateway = await Espalier.start(
      bed,
      sites.gatewayA,
      configuration({ encap: "force", local: ours, connection }),
    );
    return { sites, peer, gateway };
  });

  test.each(["we initiate", "strongSwan initiates"] as const)(
    "%s, rekey, and both join what the other cut",
    async (who) => {
      const { sites, gateway, peer } = lab();
      const before = (await gateway.status()).ikeDrops;
      if (who === "we initiate") await gateway.initiate(PEER);
      else expect(await peer.initiate()).toMatchObject({ status: 0 });
      const { childSas } = await gateway.up(PEER);
      expect(childSas[0]?.local).toHaveLength(ours.length);
      const spi = childSas[0]?.spiIn;
      await gateway.rekey(PEER);
      await until("the Child SA is another one", async () => {
        const [child] = (await gateway.up(PEER)).childSas;
        return child?.spiIn === spi ? undefined : child;
      });
      expect(await ping(sites.hostA, INNER[4].hostB)).toMatchObject({ received: 10 });
      expect(await ping(sites.hostB, INNER[4].hostA)).toMatchObject({ received: 10 });
      const { ikeDrops } = await gateway.status();
      for (const count of ["messages-cut", "messages-joined"])
        expect([count, (ikeDrops[count] ?? 0) - (before[count] ?? 0)]).toEqual([count, expect.any(Number)]);
      expect((ikeDrops["messages-cut"] ?? 0) - (before["messages-cut"] ?? 0)).toBeGreaterThan(1);
      expect((ikeDrops["messages-joined"] ?? 0) - (before["messages-joined"] ?? 0)).toBeGreaterThan(1);
      expect(ikeDrops["bad-icv"] ?? 0).toBe(0);
      await gateway.terminate(PEER);
      await gateway.down(PEER);
    },
  );
});
