/** What begins when an IKE SA is up, whether by IKE_AUTH or by rekeying: its lifetime and its timers. */
import { formatIdentity } from "./identity.ts";
import type { Established, IkeSa } from "./ike-sa.ts";
import type { IkeKeys } from "./keymat.ts";
import type { Peering } from "./peering.ts";
import type { IkeSuite } from "./proposal.ts";
import type { Turn } from "./turn.ts";

/** How often a NAT is reminded of its mapping (RFC 3948 §4), ms. */
export const KEEPALIVE = 20_000;

interface Begun {
  readonly keys: IkeKeys;
  readonly suite: IkeSuite;
  readonly lowestNonce: Uint8Array;
}

export const establishedState = (turn: Turn, { config }: Peering, begun: Begun): Established => ({
  name: "established",
  ...begun,
  since: turn.now,
  rekeyAt: turn.now + turn.jittered(config.lifetime, 0.1),
  expiresAt: turn.now + config.lifetime * 1.1,
});

/** The peer has proven itself. */
export const establish = (turn: Turn, sa: IkeSa, begun: Begun): void => {
  if (sa.peering === undefined) throw new RangeError("an IKE SA cannot be up without a connection");
  sa.become(establishedState(turn, sa.peering, begun));
  turn.core.halfOpen.delete(sa);
  sa.origin = { role: sa.role, lowestNonce: begun.lowestNonce };
  sa.peering.succeeded();
  startTimers(turn, sa);
  turn.log("info", "ike-sa-established", sa, `IKE SA with ${sa.remoteText} is up`, {
    remote: sa.remoteText,
    peer: sa.peerId === undefined ? "" : formatIdentity(sa.peerId),
    suite: begun.suite.name,
    role: sa.role,
    natLocal: sa.nat.local,
    natRemote: sa.nat.remote,
  });
};

export const startTimers = (turn: Turn, sa: IkeSa): void => {
  startListening(turn, sa);
  if (sa.nat.local) sa.keepaliveAt = turn.now + KEEPALIVE;
};

/** The responder listens so much longer: where both ends would ask after the same silence, one question does for both. */
const RESPONDER_LISTENS = 1.1;

/** When to ask next whether the peer lives: an interval from now. */
export const startListening = (turn: Turn, sa: IkeSa): void => {
  const liveness = sa.peering?.config.liveness;
  if (liveness === undefined) return;
  const isPatient = sa.role === "responder" && liveness.mode !== "periodic";
  sa.livenessAt = turn.now + liveness.interval * (isPatient ? RESPONDER_LISTENS : 1);
};

/** The peer lives: an authentic message of it came. */
export const heard = (turn: Turn, sa: IkeSa): void => {
  if (sa.peering?.config.liveness?.mode !== "periodic") startListening(turn, sa);
};
