/** What no honest peer of ours ever says: it does not know the pair that we rekey (RFC 7296 §2.25.1). */
import { expect, test } from "vitest";
import { prfById } from "../../src/crypto/prf.ts";
import { installChild } from "../../src/ike/children.ts";
import { Core } from "../../src/ike/core.ts";
import { CreateChild } from "../../src/ike/create-child-sa.ts";
import { DEFAULT_OPTIONS } from "../../src/ike/ike-options.ts";
import { IkeSa } from "../../src/ike/ike-sa.ts";
import { deriveIkeKeys } from "../../src/ike/keymat.ts";
import { Notify } from "../../src/ike/notify.ts";
import { notifyPayload } from "../../src/ike/payloads.ts";
import { exactId } from "../../src/ike/peer-id.ts";
import { Peering, type Wish } from "../../src/ike/peering.ts";
import { chooseEsp, chooseIke, offerEsp, offerIke } from "../../src/ike/proposal.ts";
import { Turn } from "../../src/ike/turn.ts";
import { A, B, connection } from "../support/two-peers.ts";

const octets = (length: number): Uint8Array => new Uint8Array(length).fill(7);

/** An IKE SA that is up with one pair for each SPI, and the first of them. */
const up = (wish: Wish, ...spis: number[]) => {
  const config = connection("a");
  const [child] = config.children;
  const ike = chooseIke(offerIke(config.proposals), config.proposals)?.suite;
  const prf = prfById(ike?.prf ?? 0);
  const esp = child && chooseEsp(offerEsp(child.proposals, 999, { withKe: false }), child.proposals, { withKe: false });
  if (child === undefined || ike === undefined || prf === undefined || esp === undefined) throw new Error("no suite");
  const peering = new Peering(config);
  peering.wish = wish;
  const env = {
    random: octets,
    reserveSpi: () => 4711,
    releaseSpi: () => {},
    pathMtu: () => undefined,
    usage: () => undefined,
  };
  const core = new Core(env, DEFAULT_OPTIONS, [peering]);
  const turn = new Turn(core, 0);
  const [spiI, spiR, ni, nr] = [octets(8), octets(8), octets(32), octets(32)];
  const keys = deriveIkeKeys({ prf, suite: ike, shared: octets(32), ni, nr, spiI, spiR });
  const path = { local: { address: A, port: 500 }, remote: { address: B, port: 500 } };
  const state = {
    name: "established",
    keys,
    suite: ike,
    since: 0,
    rekeyAt: 1e9,
    expiresAt: 2e9,
    lowestNonce: ni,
  } as const;
  const sa = new IkeSa({ role: "initiator", spiI, spiR, path, peering, state, now: 0 });
  sa.peerId = exactId(config.remote.id);
  core.add(sa);
  const [first] = spis.map((spiIn, resource) => {
    const agreed = {
      config: child,
      resource,
      spiIn,
      spiOut: spiIn,
      suite: esp.suite,
      mode: "tunnel" as const,
      local: child.local,
      remote: child.remote,
      tfcRefused: false,
    };
    return installChild(turn, sa, { agreed, keys, ni, nr, weInitiated: true, use: "now" });
  });
  if (first === undefined) throw new Error("no pair");
  const rekey = new CreateChild(child, { resource: 0, old: first });
  first.become({ name: "rekeying", task: rekey });
  rekey.request(turn, sa);
  turn.effects.length = 0;
  rekey.answer(turn, sa, [notifyPayload(Notify.CHILD_SA_NOT_FOUND)]);
  return { sa, peering, effects: turn.effects };
};

test("the pair goes without a Delete, and is made anew where it is wanted", () => {
  const { sa, peering, effects } = up("always", 0x1000);
  expect(effects.map(({ kind }) => kind)).toContain("remove");
  expect(effects.map(({ kind }) => kind)).not.toContain("send");
  expect([sa.state.name, sa.children.size]).toEqual(["established", 0]);
  expect(peering.isChildDue("net", 0)).toBe(true);
});

test("where nobody wants it and it was the only one, the IKE SA ends with a Delete", () => {
  const { sa, effects } = up("no", 0x1000);
  expect(sa.state.name).toBe("closing");
  expect(effects.map(({ kind }) => kind)).toContain("send");
});

test("where there is another, that one goes on", () => {
  const { sa } = up("no", 0x1000, 0x1001);
  expect([sa.state.name, [...sa.children.keys()]]).toEqual(["established", [0x1001]]);
});
