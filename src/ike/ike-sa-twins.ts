/**
 * More than one IKE SA with the same peer: what INITIAL_CONTACT ends (RFC 7296 §2.4), and what is left when both peers
 * initiated at the same time.
 */

import { isSamePeer } from "./children.ts";
import { equalIdentity } from "./identity.ts";
import type { IkeSa } from "./ike-sa.ts";
import { deleteIkeSa } from "./ike-sa-end.ts";
import { losesTo } from "./lowest-nonce.ts";
import type { Turn } from "./turn.ts";

/**
 * The peer, authenticated on `sa`, knows of no other: end those that were up before it began this one. One that came up
 * since is its twin, of which the peer could not know.
 */
export const obeyInitialContact = (turn: Turn, sa: IkeSa): void => {
  for (const other of [...turn.core.sas.values()]) {
    if (other === sa || other.state.name !== "established" || other.state.since > sa.createdAt) continue;
    if (!isSamePeer(other, sa) || !isSameLocal(other, sa)) continue;
    deleteIkeSa(turn, other, "the peer made initial contact");
  }
};

/**
 * Both peers initiated. The rule of simultaneous rekeying serves here too: of the two, the one with the lowest nonce is
 * deleted by the peer that initiated it, so that one is left. Either may have been rekeyed since.
 */
export const settleTwins = (turn: Turn, sa: IkeSa): void => {
  for (const other of sa.peering?.established() ?? []) {
    const [ours, theirs] = [sa.origin, other.origin];
    if (sa.state.name !== "established" || other.state.name !== "established") continue;
    if (ours === undefined || theirs === undefined || ours.role === theirs.role || !isSamePeer(other, sa)) continue;
    const loser = losesTo(ours.lowestNonce, theirs.lowestNonce) ? sa : other;
    if (loser.origin?.role === "initiator") deleteIkeSa(turn, loser, "the peer initiated too, its IKE SA stays");
  }
};

const isSameLocal = (a: IkeSa, b: IkeSa): boolean =>
  a.peering !== undefined &&
  b.peering !== undefined &&
  equalIdentity(a.peering.config.local.id, b.peering.config.local.id);
