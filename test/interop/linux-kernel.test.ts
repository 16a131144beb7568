/** A Linux kernel's own ESP and VTI at the other site, in User-Mode Linux, with strongSwan to speak IKEv2 for it. */
import { describe, expect, test } from "vitest";
import { configuration, netsOf, PEER, swanConnection } from "./support/configurations.ts";
import { Espalier } from "./support/espalier.ts";
import { INNER, Sites } from "./support/namespaces.ts";
import { until } from "./support/run.ts";
import { testBed } from "./support/test-bed.ts";
import { makeFile } from "./support/traffic.ts";
import { type Ends, FILE_SIZE, pingBothWays, rekeyWithoutLoss, transferBothWays } from "./support/tunnel-checks.ts";
import { Uml, VTI_CHILD } from "./support/uml.ts";

const ANY = ["0.0.0.0/0", "::/0"] as const;

/** `udp`: who claims the NAT that brings UDP encapsulation about. `flag` and `algorithm` are from `ip xfrm state`. */
const KINDS = [
  { esp: "aes256gcm16", esn: true, udp: undefined, algorithm: "rfc4106(gcm(aes))" },
  { esp: "aes256gcm16", esn: false, udp: undefined, algorithm: "rfc4106(gcm(aes))" },
  { esp: "aes128-sha256", esn: true, udp: undefined, algorithm: "cbc(aes)" },
  { esp: "aes256gcm16", esn: true, udp: "peer", algorithm: "rfc4106(gcm(aes))" },
  { esp: "chacha20poly1305", esn: false, udp: "us", algorithm: "rfc7539esp(chacha20,poly1305)" },
] as const;

describe("a Linux kernel", () => {
  const lab = testBed(["build", "namespaces", "tun", "uml", "transfer"], async (bed) => {
    const sites = new Sites({ far: "tap" });
    bed.defer(() => sites.remove());
    const peer = await Uml.start(bed, sites.internet);
    const ends: Ends = { here: sites.hostA, there: peer, hereAt: INNER[4].hostA, thereAt: INNER[4].hostB };
    return { sites, peer, ends, file: makeFile(bed.directory, FILE_SIZE) };
  });

  describe.each(KINDS)("$esp, ESN $esn, UDP encapsulation claimed by $udp", ({ esp, esn, udp, algorithm }) => {
    const tunnel = testBed(["build", "namespaces", "tun", "uml", "transfer"], async (bed) => {
      const { sites, peer } = lab();
      await peer.load(
        swanConnection({
          esp: `${esp}-${esn ? "esn" : "noesn"}`,
          encap: udp === "peer",
          childLines: VTI_CHILD,
          localSelectors: ANY,
          remoteSelectors: ANY,
        }),
      );
      const wishes = { esp, encap: udp === "us" ? "force" : "auto" } as const;
      return { gateway: await Espalier.start(bed, sites.gatewayA, configuration(wishes)) };
    });

    describe.each(["we initiate", "the peer initiates"] as const)("%s", (who) => {
      test("the kernel holds what we hold", async () => {
        const { peer } = lab();
        const { gateway } = tunnel();
        if (who === "we initiate") await gateway.initiate(PEER);
        else expect(await peer.initiate()).toMatchObject({ status: 0 });
        const { ikeSa, childSas } = await gateway.up(PEER);
        expect(ikeSa?.natDetected).toBe(udp !== undefined);
        expect(childSas).toHaveLength(1);
        expect(childSas[0]).toMatchObject({ state: "installed", suite: esp, esn, encap: udp !== undefined });
        const states = await until("the kernel has its SAs", async () => {
          const text = await peer.states();
          return text.includes(childSas[0]!.spiIn) && text.includes(childSas[0]!.spiOut) ? text : undefined;
        });
        expect(states.includes("encap type espinudp")).toBe(udp !== undefined);
        expect(states.includes("flag") && /flag .*esn/.test(states)).toBe(esn);
        expect(states).toContain(algorithm);
      });

      test("pings are answered both ways over its VTI, IPv4 and IPv6", async () => {
        const { ends } = lab();
        await pingBothWays(ends);
        await pingBothWays({ ...ends, hereAt: INNER[6].hostA, thereAt: INNER[6].hostB });
      });

      test("100 MB over TCP arrive unharmed each way", async () => {
        const { ends, file } = lab();
        await transferBothWays(ends, file);
      });

      test("no ping of 100 a second is lost while both sides rekey Child SA and IKE SA", async () => {
        const { peer, ends } = lab();
        await rekeyWithoutLoss(tunnel().gateway, peer, ends);
      });

      test("what one side deletes is gone at both, and in the kernel", async () => {
        const { peer } = lab();
        const { gateway } = tunnel();
        if (who === "we initiate") await gateway.terminate(PEER);
        else await peer.terminate();
        await gateway.down(PEER);
        await until("the kernel has no SA", async () =>
          (await peer.states()).includes("proto esp") ? undefined : true,
        );
      });
    });
  });

  test("selectors narrower than ours are taken as they are offered", async () => {
    const { sites, peer, bed, ends } = lab();
    await peer.load(
      swanConnection({
        localSelectors: [INNER[4].netB],
        remoteSelectors: [INNER[4].netA],
        childLines: VTI_CHILD,
      }),
    );
    const gateway = await Espalier.start(
      bed,
      sites.gatewayA,
      configuration({ local: netsOf("a"), remote: netsOf("b") }),
    );
    await gateway.initiate(PEER);
    const { childSas } = await gateway.up(PEER);
    expect(childSas[0]?.local).toEqual([INNER[4].netA]);
    expect(childSas[0]?.remote).toEqual([INNER[4].netB]);
    await pingBothWays(ends);
    expect(await gateway.end()).toBe(0);
  });
});
