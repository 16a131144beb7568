/** strongSwan and we are known to each other by distinguished names, which it writes from the root down. */
import { describe, expect, test } from "vitest";
import { configuration, PEER, swanConnection } from "./support/configurations.ts";
import { Espalier } from "./support/espalier.ts";
import { Sites } from "./support/namespaces.ts";
import { StrongSwan } from "./support/strongswan.ts";
import { testBed } from "./support/test-bed.ts";

const NEEDS = ["build", "namespaces", "tun", "strongswan"] as const;
const OURS = "CN=gw-a,OU=R_D 2,O=Example Ltd,DC=example,C=CH";
const OURS_THERE = '"C=CH, DC=example, O=Example Ltd, OU=R_D 2, CN=gw-a"';
const THEIRS_THERE = '"C=CH, O=Example Ltd, CN=gw-b"';

describe("a pattern of names", () => {
  const lab = testBed(NEEDS, async (bed) => {
    const sites = new Sites();
    bed.defer(() => sites.remove());
    const peer = await StrongSwan.start(
      bed,
      sites.gatewayB,
      swanConnection({ localId: THEIRS_THERE, remoteId: OURS_THERE }),
    );
    const gateway = await Espalier.start(
      bed,
      sites.gatewayA,
      configuration({
        localId: OURS,
        remoteId: "CN=*,O=example ltd,C=CH",
        encap: "force",
      }),
    );
    return { peer, gateway };
  });

  test.each(["we initiate", "strongSwan initiates"] as const)("takes its peer, and is taken: %s", async (who) => {
    const { peer, gateway } = lab();
    if (who === "we initiate") await gateway.initiate(PEER);
    else expect(await peer.initiate()).toMatchObject({ status: 0 });
    await gateway.up(PEER);
    expect(gateway.log).toContain("CN=gw-b,O=Example Ltd,C=CH");
    expect(peer.swanctl("--list-sas").stdout).toContain("C=CH, DC=example, O=Example Ltd, OU=R_D 2, CN=gw-a");
    await gateway.terminate(PEER);
    await gateway.down(PEER);
  });
});
