/** One IKE SA that is up, with its core and without a peer: for what no honest peer says, and for what nobody sees from outside. */
import { prfById } from "../../src/crypto/prf.ts";
import { installChild } from "../../src/ike/children.ts";
import type { ConnectionConfig } from "../../src/ike/connection.ts";
import { Core } from "../../src/ike/core.ts";
import { DEFAULT_OPTIONS } from "../../src/ike/ike-options.ts";
import { IkeSa } from "../../src/ike/ike-sa.ts";
import { deriveIkeKeys } from "../../src/ike/keymat.ts";
import { exactId } from "../../src/ike/peer-id.ts";
import { Peering, type Wish } from "../../src/ike/peering.ts";
import { chooseEsp, chooseIke, offerEsp, offerIke } from "../../src/ike/proposal.ts";
import { Turn } from "../../src/ike/turn.ts";
import { A, B, connection } from "./two-peers.ts";

const octets = (length: number): Uint8Array => new Uint8Array(length).fill(7);

/** As the other `up`, of this connection. */
export const upWith = (config: ConnectionConfig, wish: Wish, ...spis: number[]) => {
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
  turn.effects.length = 0;
  return { core, sa, peering, child, first, path, turn };
};

/** An IKE SA that is up with one pair for each SPI, and the first of them. */
export const up = (wish: Wish, ...spis: number[]) => upWith(connection("a"), wish, ...spis);
