/** strongSwan with ESP in userspace (kernel-libipsec) at the other site, as initiator and as responder. */
import { describe, expect, test } from "vitest";
import { configuration, identityOf, PEER, swanConnection } from "./support/configurations.ts";
import { Espalier } from "./support/espalier.ts";
import { INNER, OUTER, Sites } from "./support/namespaces.ts";
import { expectFollowed, hide, letIn, natRemembers, PUBLIC } from "./support/obstacles.ts";
import { until } from "./support/run.ts";
import { StrongSwan } from "./support/strongswan.ts";
import { testBed } from "./support/test-bed.ts";
import { makeFile } from "./support/traffic.ts";
import {
  type Ends,
  FILE_SIZE,
  pingBothWays,
  rekeyUnderLoad,
  rekeyWithoutLoss,
  SMALL_FILE,
  transferBothWays,
} from "./support/tunnel-checks.ts";

const NEEDS = ["build", "namespaces", "tun", "strongswan", "transfer"] as const;

/** Proposals, the IKE one also as it is shown when agreed, and what strongSwan calls the cipher of ESP in its listing. */
const SUITES = [
  {
    ike: "aes256gcm16-prfsha384-ecp384",
    agreed: /^aes256gcm16-prfsha384-ecp384$/,
    esp: "aes256gcm16",
    cipher: "AES_GCM_16-256",
  },
  {
    ike: "aes128-sha256-modp2048",
    agreed: /^aes128-sha256-(prfsha256-)?modp2048$/,
    esp: "aes128-sha256",
    cipher: "AES_CBC-128",
  },
  {
    ike: "chacha20poly1305-prfsha256-x25519",
    agreed: /^chacha20poly1305-prfsha256-x25519$/,
    esp: "chacha20poly1305",
    cipher: "CHACHA20_POLY1305",
  },
] as const;

/** strongSwan's word for the same group. */
const swanIke = (proposal: string): string => proposal.replace("x25519", "curve25519");

describe.each(SUITES.map((suite) => [suite.esp, suite] as const))("%s", (_, { ike, agreed, esp, cipher }) => {
  const lab = testBed(NEEDS, async (bed) => {
    const sites = new Sites();
    bed.defer(() => sites.remove());
    const peer = await StrongSwan.start(bed, sites.gatewayB, swanConnection({ ike: swanIke(ike), esp }));
    const gateway = await Espalier.start(bed, sites.gatewayA, configuration({ ike, esp, encap: "force" }));
    const ends: Ends = {
      here: sites.hostA,
      there: sites.hostB,
      hereAt: INNER[4].hostA,
      thereAt: INNER[4].hostB,
    };
    const files = [makeFile(bed.directory, FILE_SIZE), makeFile(bed.directory, SMALL_FILE)] as const;
    return { peer, gateway, ends, files };
  });

  describe.each(["we initiate", "strongSwan initiates"] as const)("%s", (who) => {
    test("both sides agree on suite, selectors and UDP encapsulation", async () => {
      const { peer, gateway } = lab();
      if (who === "we initiate") await gateway.initiate(PEER);
      else expect(await peer.initiate()).toMatchObject({ status: 0 });
      const { ikeSa, childSas } = await gateway.up(PEER);
      expect(ikeSa).toMatchObject({ proposal: expect.stringMatching(agreed), natDetected: true });
      expect(childSas).toHaveLength(1);
      expect(childSas[0]).toMatchObject({ state: "installed", suite: esp, esn: false, encap: true });
      const [sa] = await until("strongSwan has its Child SA", () => {
        const sas = peer.sas();
        return sas[0]?.children[0]?.state === "INSTALLED" ? sas : undefined;
      });
      expect(sa?.children).toHaveLength(1);
      expect(sa?.children[0]).toMatchObject({
        cipher,
        encap: true,
        spiIn: childSas[0]!.spiOut,
        spiOut: childSas[0]!.spiIn,
      });
    });

    test("pings are answered both ways, small and large", async () => {
      await pingBothWays(lab().ends);
    });

    test("a file over TCP arrives unharmed each way", async () => {
      const { ends, files } = lab();
      await transferBothWays(ends, files[who === "we initiate" ? 0 : 1]);
    });

    test("no ping of 100 a second is lost while both sides rekey Child SA and IKE SA", async () => {
      const { gateway, peer, ends } = lab();
      await rekeyWithoutLoss(gateway, peer, ends);
    });

    if (who === "we initiate" && esp === "aes256gcm16")
      test("both sides rekey while files fill the tunnel", async () => {
        const { bed, gateway, peer, ends } = lab();
        const load = await rekeyUnderLoad(gateway, peer, ends, bed.directory);
        console.info(`rekeyed under load: ${JSON.stringify(load)}`);
        expect(peer.espComplaints()).toEqual([]);
      });

    test("what one side deletes is gone at both", async () => {
      const { gateway, peer } = lab();
      if (who === "we initiate") await gateway.terminate(PEER);
      else await peer.terminate();
      await gateway.down(PEER);
      await until("strongSwan has no SA", () => (peer.sas().length === 0 ? true : undefined));
    });
  });
});

describe("without UDP encapsulation being asked for by us", () => {
  const lab = testBed(NEEDS, async (bed) => {
    const sites = new Sites();
    bed.defer(() => sites.remove());
    const peer = await StrongSwan.start(bed, sites.gatewayB, swanConnection({ encap: true }));
    const gateway = await Espalier.start(bed, sites.gatewayA, configuration({ encap: "auto", start: "initiate" }));
    return { sites, peer, gateway };
  });

  test("a NAT that the peer claims is believed, and its identity is shown", async () => {
    const { gateway, peer, sites } = lab();
    const { ikeSa, childSas } = await gateway.up(PEER);
    expect(ikeSa?.natDetected).toBe(true);
    expect(childSas[0]?.encap).toBe(true);
    expect(peer.swanctl("--list-sas").stdout).toContain(identityOf("a"));
    await pingBothWays({
      here: sites.hostA,
      there: sites.hostB,
      hereAt: INNER[4].hostA,
      thereAt: INNER[4].hostB,
    });
  });
});

describe("with a NAT between", () => {
  const lab = testBed([...NEEDS, "nat"], async (bed) => {
    const sites = new Sites();
    bed.defer(() => sites.remove());
    hide(sites, "b");
    const peer = await StrongSwan.start(bed, sites.gatewayB, swanConnection());
    const anyPeer = { remote: { address: "any", id: identityOf("b") } };
    const gateway = await Espalier.start(bed, sites.gatewayA, configuration({ connection: anyPeer }));
    const ends: Ends = { here: sites.hostA, there: sites.hostB, hereAt: INNER[4].hostA, thereAt: INNER[4].hostB };
    return { sites, peer, gateway, ends };
  });

  test("strongSwan behind it floats to port 4500, is found at the NAT's address, and followed to another port", async () => {
    const { sites, gateway, peer, ends } = lab();
    expect(await peer.initiate()).toMatchObject({ status: 0 });
    const { ikeSa, childSas, remote } = await gateway.up(PEER);
    expect([ikeSa?.natDetected, childSas[0]?.encap]).toEqual([true, true]);
    expect(remote).toContain(OUTER[4].routerA);
    expect(remote).not.toMatch(/:4?500$/);
    await expectFollowed(sites, gateway, ends);
    await gateway.rekey(PEER, { ike: true });
    await until("strongSwan has the new IKE SA alone", () => peer.sas().length === 1);
    await peer.terminate();
    await gateway.down(PEER);
  });

  test("we answer from behind it, at an address that we do not know", async () => {
    const { sites, gateway, peer, ends } = lab();
    letIn(sites);
    natRemembers(sites, 120);
    peer.load({ ...swanConnection(), remote: PUBLIC });
    expect(await peer.initiate()).toMatchObject({ status: 0 });
    const { ikeSa, childSas } = await gateway.up(PEER);
    expect([ikeSa?.natDetected, childSas[0]?.encap]).toEqual([true, true]);
    expect(gateway.log).toContain("natLocal=true"); // it claims one at its own end, too: else its ESP were not in UDP
    await pingBothWays(ends);
    await gateway.rekey(PEER);
    await until("the pair is another", async () => {
      const { childSas: now = [] } = (await gateway.connection(PEER)) ?? {};
      return now.length === 1 && now[0]?.spiIn !== childSas[0]?.spiIn;
    });
    await pingBothWays(ends);
  });
});

describe("with a key exchange for each Child SA, a childless start and little room in a pair", () => {
  const esp = "aes256gcm16-ecp256";
  const lab = testBed(NEEDS, async (bed) => {
    const sites = new Sites();
    bed.defer(() => sites.remove());
    const peer = await StrongSwan.start(
      bed,
      sites.gatewayB,
      swanConnection({ esp, connectionLines: ["childless = force"] }),
    );
    const gateway = await Espalier.start(
      bed,
      sites.gatewayA,
      configuration({ esp, encap: "force", connection: { childless: "prefer" }, child: { lifebytes: "30m", sas: 2 } }),
    );
    const ends: Ends = {
      here: sites.hostA,
      there: sites.hostB,
      hereAt: INNER[4].hostA,
      thereAt: INNER[4].hostB,
    };
    return { peer, gateway, ends, file: makeFile(bed.directory, FILE_SIZE) };
  });

  test.each(["we initiate", "strongSwan initiates"] as const)(
    "%s: the first Child SA has perfect forward secrecy",
    async (who) => {
      const { gateway, peer, ends } = lab();
      if (who === "we initiate") await gateway.initiate(PEER);
      else expect(await peer.initiate()).toMatchObject({ status: 0 });
      const { childSas } = await gateway.up(PEER);
      expect(childSas).toHaveLength(1); // strongSwan 5.9 does not say that it takes more
      expect(peer.swanctl("--list-sas").stdout).toContain("AES_GCM_16-256/ECP_256");
      await pingBothWays(ends);
      if (who === "strongSwan initiates") return;
      await gateway.terminate(PEER);
      await gateway.down(PEER);
      await until("strongSwan has no SA", () => (peer.sas().length === 0 ? true : undefined));
    },
  );

  test("100 MB each way arrive unharmed through pairs that are rekeyed every 30 MB", async () => {
    const { gateway, ends, file } = lab();
    await transferBothWays(ends, file);
    expect(gateway.log.split("since it has carried its share").length - 1).toBeGreaterThanOrEqual(3);
    expect(gateway.log).not.toContain("carried as much as it may");
    await until("one pair is left", async () => {
      const connection = await gateway.connection(PEER);
      return connection?.childSas.length === 1 ? true : undefined;
    });
  });
});
