/** A Linux kernel's own ESP and VTI at the other site, in User-Mode Linux, with strongSwan to speak IKEv2 for it. */
import { describe, expect, test } from "vitest";
import { configuration, netsOf, PEER, swanConnection } from "./support/configurations.ts";
import { Espalier } from "./support/espalier.ts";
import { INNER, Sites } from "./support/namespaces.ts";
import { until } from "./support/run.ts";
import { testBed } from "./support/test-bed.ts";
import { makeFile } from "./support/traffic.ts";
import {
  type Ends,
  FILE_SIZE,
  isWhole,
  pingBothWays,
  rekeyUnderLoad,
  rekeyWithoutLoss,
  SMALL_FILE,
  transferBothWays,
} from "./support/tunnel-checks.ts";
import { Uml, VTI_CHILD } from "./support/uml.ts";

const ANY = ["0.0.0.0/0", "::/0"] as const;

/**
 * `udp`: who claims the NAT that brings UDP encapsulation about. `algorithm` is from `ip xfrm state`. Each kind carries a file
 * and is rekeyed by all where one of the two has initiated, in turns, the first where either has: what a packet goes through
 * is the same.
 */
const KINDS = [
  { esp: "aes256gcm16", esn: true, udp: undefined, outer: 6, algorithm: "rfc4106(gcm(aes))" },
  { esp: "aes256gcm16", esn: true, udp: undefined, outer: 4, algorithm: "rfc4106(gcm(aes))" },
  { esp: "aes256gcm16", esn: false, udp: undefined, outer: 4, algorithm: "rfc4106(gcm(aes))" },
  { esp: "aes128-sha256", esn: true, udp: undefined, outer: 4, algorithm: "cbc(aes)" },
  { esp: "aes256gcm16", esn: true, udp: "peer", outer: 4, algorithm: "rfc4106(gcm(aes))" },
  { esp: "chacha20poly1305", esn: false, udp: "us", outer: 4, algorithm: "rfc7539esp(chacha20,poly1305)" },
] as const;

const title = ({ esp, esn, udp, outer }: (typeof KINDS)[number]): string => {
  const way = udp === undefined ? "raw ESP" : `UDP, which ${udp === "us" ? "we force" : "the peer forces"}`;
  return `${esp}, ${esn ? "ESN" : "no ESN"}, ${way} over IPv${outer}`;
};

const INITIATORS = ["we initiate", "the peer initiates"] as const;

describe("a Linux kernel", () => {
  const lab = testBed(["build", "namespaces", "tun", "uml", "transfer"], async (bed) => {
    const sites = new Sites({ far: "tap" });
    bed.defer(() => sites.remove());
    const peer = await Uml.start(bed, sites.internet);
    const ends: Ends = { here: sites.hostA, there: peer, hereAt: INNER[4].hostA, thereAt: INNER[4].hostB };
    return {
      sites,
      peer,
      ends,
      files: [makeFile(bed.directory, FILE_SIZE), makeFile(bed.directory, SMALL_FILE)],
    } as const;
  });

  describe.each(KINDS.map((kind, n) => [title(kind), kind, n] as const))("%s", (_, kind, n) => {
    const { esp, esn, udp, outer, algorithm } = kind;
    const tunnel = testBed(["build", "namespaces", "tun", "uml", "transfer"], async (bed) => {
      const { sites, peer } = lab();
      await peer.load(
        swanConnection({
          esp: `${esp}-${esn ? "esn" : "noesn"}`,
          outer,
          encap: udp === "peer",
          childLines: VTI_CHILD,
          localSelectors: ANY,
          remoteSelectors: ANY,
        }),
      );
      const wishes = { esp, outer, encap: udp === "us" ? "force" : "auto" } as const;
      return { gateway: await Espalier.start(bed, sites.gatewayA, configuration(wishes)) };
    });

    describe.each(INITIATORS)("%s", (who) => {
      const isAllTested = isWhole || n === 0 || who === INITIATORS[n % 2];
      const isUnderLoad = who === "we initiate" && (isWhole || n === 1);

      test("the kernel holds what we hold", async () => {
        const { peer } = lab();
        const { gateway } = tunnel();
        if (who === "we initiate") await gateway.initiate(PEER);
        else expect(await peer.initiate()).toMatchObject({ status: 0 });
        const { ikeSa, childSas } = await gateway.up(PEER);
        expect(ikeSa?.natDetected).toBe(udp === "peer"); // whoever forces it knows that there is none
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
        const six = { ...ends, hereAt: INNER[6].hostA, thereAt: INNER[6].hostB };
        await Promise.all([pingBothWays(ends), pingBothWays(six)]);
      });

      if (isAllTested) {
        test("a file over TCP arrives unharmed each way", async () => {
          const { ends, files } = lab();
          await transferBothWays(ends, files[n === 0 && who === "we initiate" ? 0 : 1]);
        });

        test("no ping of 100 a second is lost while both sides rekey Child SA and IKE SA", async () => {
          const { peer, ends } = lab();
          await rekeyWithoutLoss(tunnel().gateway, peer, ends);
        });
      }

      if (isUnderLoad)
        test("both sides rekey while files fill the tunnel", async () => {
          const { bed, peer, ends } = lab();
          const before = await peer.xfrmErrors();
          const load = await rekeyUnderLoad(tunnel().gateway, peer, ends, bed.directory);
          console.info(`rekeyed under load: ${JSON.stringify(load)}`);
          // What its link had no room for never came to its ESP: all that did was for an SA that it has.
          expect(await peer.xfrmErrors()).toEqual(before);
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
    const gateway = await Espalier.startForTest(
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
