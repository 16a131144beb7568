/** Configurations that do not fit, with strongSwan: the notify of RFC 7296, a log line with both sides of it, nothing left. */
import { describe, expect, test } from "vitest";
import {
  configuration,
  INTERFACE,
  PEER,
  type SwanWishes,
  swanConnection,
  type Wishes,
} from "./support/configurations.ts";
import { Espalier } from "./support/espalier.ts";
import { Sites } from "./support/namespaces.ts";
import { until } from "./support/run.ts";
import { StrongSwan } from "./support/strongswan.ts";
import { CONNECTION } from "./support/swanctl.ts";
import { testBed } from "./support/test-bed.ts";

interface Misfit {
  readonly what: string;
  readonly ours: Wishes;
  readonly theirs: SwanWishes;
  /** What strongSwan says when we refuse, and when it does. */
  readonly notify: string;
  /** Words of one line of our log. The peer's own view stays with the peer: a wrong secret has no two sides to name. */
  readonly asResponder: readonly string[];
  readonly asInitiator: readonly string[];
}

const MISFITS: readonly Misfit[] = [
  {
    what: "another pre-shared key",
    ours: {},
    theirs: { secret: "not the same one" },
    notify: "AUTHENTICATION_FAILED",
    asResponder: ["gw-b.example"],
    asInitiator: ["AUTHENTICATION_FAILED"],
  },
  {
    what: "another IKE proposal",
    ours: { ike: "aes256gcm16-prfsha384-ecp384" },
    theirs: { ike: "aes128-sha256-modp2048" },
    notify: "NO_PROPOSAL_CHOSEN",
    asResponder: ["aes128-sha256", "aes256gcm16-prfsha384-ecp384"],
    asInitiator: ["NO_PROPOSAL_CHOSEN", "aes256gcm16-prfsha384-ecp384"],
  },
  {
    what: "another ESP proposal",
    ours: { esp: "aes256gcm16" },
    theirs: { esp: "aes128-sha256" },
    notify: "NO_PROPOSAL_CHOSEN",
    asResponder: ["aes128-sha256", "aes256gcm16"],
    asInitiator: ["NO_PROPOSAL_CHOSEN", "aes256gcm16"],
  },
  {
    what: "an identity of the peer that is not the expected one",
    ours: { remoteId: "somebody-else.example" },
    theirs: {},
    notify: "AUTHENTICATION_FAILED",
    asResponder: ["gw-b.example", "somebody-else.example"],
    asInitiator: ["gw-b.example", "somebody-else.example"],
  },
  {
    what: "an identity of ours that the peer does not expect",
    ours: { localId: "stranger.example" },
    theirs: {},
    notify: "AUTHENTICATION_FAILED",
    asResponder: ["gw-a.example", "stranger.example"],
    asInitiator: ["AUTHENTICATION_FAILED"],
  },
  {
    what: "selectors that have nothing in common",
    ours: { local: ["10.1.0.0/24"], remote: ["10.2.0.0/24"] },
    theirs: { localSelectors: ["172.16.0.0/24"], remoteSelectors: ["10.1.0.0/24"] },
    notify: "TS_UNACCEPTABLE",
    asResponder: ["172.16.0.0/24", "10.2.0.0/24"],
    asInitiator: ["TS_UNACCEPTABLE", "10.2.0.0/24"],
  },
];

describe("with strongSwan", () => {
  const lab = testBed(["build", "namespaces", "tun", "strongswan"], async (bed) => {
    const sites = new Sites();
    bed.defer(() => sites.remove());
    return { sites, peer: await StrongSwan.start(bed, sites.gatewayB) };
  });

  const hasLine = (log: string, words: readonly string[]): boolean =>
    log.split("\n").some((line) => words.every((word) => line.includes(word)));

  /** No Child SA, no IKE SA under way, nothing that leads into the interface but the refusal to send in the clear. */
  const expectNothingLeft = async (gateway: Espalier): Promise<void> => {
    const { sites } = lab();
    await until("nothing is under way", async () => {
      const connection = await gateway.connection(PEER);
      return connection?.state === "down" && connection.ikeSa === null && connection.childSas.length === 0
        ? true
        : undefined;
    });
    const routes = sites.gatewayA.run(["ip", "route", "show"]).stdout;
    expect(routes.split("\n").filter((line) => line.includes(`dev ${INTERFACE}`))).toEqual([]);
  };

  describe.each(MISFITS)("$what", ({ ours, theirs, notify, asResponder, asInitiator }) => {
    test("as responder we answer with the notify, say what did not fit, and keep nothing", async () => {
      const { sites, peer, bed } = lab();
      peer.load(swanConnection({ encap: true, ...theirs }));
      const gateway = await Espalier.start(bed, sites.gatewayA, configuration(ours));
      const { stdout, stderr } = await peer.initiate(6);
      expect(`${stdout}${stderr}`).toContain(notify);
      peer.swanctl("--terminate", "--ike", CONNECTION, "--timeout", "5");
      await until(`the log names ${asResponder.join(" and ")}`, () =>
        hasLine(gateway.log, asResponder) ? true : undefined,
      );
      await expectNothingLeft(gateway);
      expect(await gateway.end()).toBe(0);
    });

    test("as initiator we understand the refusal, say what we had offered, and keep nothing", async () => {
      const { sites, peer, bed } = lab();
      peer.load(swanConnection({ encap: true, ...theirs }));
      const gateway = await Espalier.start(bed, sites.gatewayA, configuration(ours));
      await gateway.initiate(PEER);
      await until(`the log names ${asInitiator.join(" and ")}`, () =>
        hasLine(gateway.log, asInitiator) ? true : undefined,
      );
      await expectNothingLeft(gateway);
      expect((await gateway.connection(PEER))?.lastError).not.toBeNull();
      await until("strongSwan has no SA", () => (peer.sas().length === 0 ? true : undefined));
      expect(await gateway.end()).toBe(0);
    });
  });
});
