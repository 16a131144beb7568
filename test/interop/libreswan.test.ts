/** A Linux kernel's own ESP at the other site, in User-Mode Linux, with Libreswan to speak IKEv2 for it. */
import { describe, expect, test } from "vitest";
import { configuration, identityOf, PEER, SECRET } from "./support/configurations.ts";
import { Espalier } from "./support/espalier.ts";
import { Libreswan } from "./support/libreswan.ts";
import { INNER, OUTER, Sites } from "./support/namespaces.ts";
import { expectFollowed, hide } from "./support/obstacles.ts";
import { missing } from "./support/requirements.ts";
import { until } from "./support/run.ts";
import { testBed } from "./support/test-bed.ts";
import { type Ends, lostInRekeys, pingBothWays } from "./support/tunnel-checks.ts";

const SELECTORS = { local: [INNER[4].netA], remote: [INNER[4].netB] } as const;

/** Packets that came for no SA of ours. */
const unknownSpis = async (gateway: Espalier): Promise<number> => (await gateway.status()).drops["no-sa"] ?? 0;

describe("Libreswan", () => {
  const lab = testBed(["build", "namespaces", "tun", "uml", "libreswan"], async (bed) => {
    const sites = new Sites({ far: "tap" });
    bed.defer(() => sites.remove());
    const peer = await Libreswan.start(bed, sites.internet, {
      localId: identityOf("b"),
      remoteId: identityOf("a"),
      secret: SECRET,
      ike: "aes_gcm256-sha2_384-dh20",
      esp: "aes_gcm256",
      esn: "either",
    });
    const gateway = await Espalier.start(bed, sites.gatewayA, configuration(SELECTORS));
    const ends: Ends = { here: sites.hostA, there: peer, hereAt: INNER[4].hostA, thereAt: INNER[4].hostB };
    return { sites, peer, gateway, ends };
  });

  describe.each(["we initiate", "the peer initiates"] as const)("%s", (who) => {
    test("the kernel holds what we hold", async () => {
      const { gateway, peer } = lab();
      if (who === "we initiate") await gateway.initiate(PEER);
      else expect(await peer.initiate()).toMatchObject({ status: 0 });
      const { childSas } = await gateway.up(PEER);
      expect(childSas).toHaveLength(1);
      expect(childSas[0]).toMatchObject({ state: "installed", suite: "aes256gcm16", encap: false });
      const states = await until("the kernel has its SAs", async () => {
        const text = await peer.states();
        return text.includes(childSas[0]!.spiIn) && text.includes(childSas[0]!.spiOut) ? text : undefined;
      });
      expect(/flag .*esn/.test(states)).toBe(childSas[0]!.esn);
    });

    test("pings are answered both ways", async () => {
      await pingBothWays(lab().ends);
    });

    /**
     * As responder it sends on the new SA as soon as it has answered, which RFC 7296 §2.8 allows: what overtakes the answer
     * finds nobody who has read it. Everything else arrives.
     */
    test("both sides rekey Child SA and IKE SA, and at most what overtakes an answer is lost", async () => {
      const { gateway, peer, ends } = lab();
      const before = await unknownSpis(gateway);
      const lost = await lostInRekeys(gateway, peer, ends);
      expect(lost).toBeLessThanOrEqual((await unknownSpis(gateway)) - before);
    });

    test("what one side deletes is gone at both, and in the kernel", async () => {
      const { gateway, peer } = lab();
      if (who === "we initiate") await gateway.terminate(PEER);
      else await peer.terminate();
      await gateway.down(PEER);
      await until("the kernel has no SA", async () => ((await peer.states()).includes("proto esp") ? undefined : true));
    });
  });

  test("behind a NAT it is found at the NAT's address, and followed to another port", async (context) => {
    const lacking = missing("nat");
    if (lacking !== undefined) context.skip(lacking);
    const { sites, peer, gateway, ends, bed } = lab();
    await gateway.end();
    hide(sites, "b");
    const ours = await Espalier.startForTest(
      bed,
      sites.gatewayA,
      configuration({ ...SELECTORS, connection: { remote: { address: "any", id: identityOf("b") } } }),
    );
    expect(await peer.initiate()).toMatchObject({ status: 0 });
    const { ikeSa, childSas, remote } = await ours.up(PEER);
    expect([ikeSa?.natDetected, childSas[0]?.encap]).toEqual([true, true]);
    expect(remote).toContain(OUTER[4].routerA);
    expect(await peer.states()).toContain("encap type espinudp");
    await expectFollowed(sites, ours, ends);
  });
});
