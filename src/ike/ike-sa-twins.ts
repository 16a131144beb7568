/**
 * More than one IKE SA with the same peer: what INITIAL_CONTACT (RFC 7296 §2.4) or the connection's policy ends, and what is
 * left when both peers initiated at the same time.
 */
import { samePeer } from "./children.ts";
import { expectedPeer } from "./connection.ts";
import { equalIdentity, type Identity } from "./identity.ts";
import { IkeError } from "./ike-error.ts";
import type { IkeSa } from "./ike-sa.ts";
import { closeIkeSa, deleteIkeSa, sayGoodbye } from "./ike-sa-end.ts";
import { Liveness } from "./liveness.ts";
import { losesTo } from "./lowest-nonce.ts";
import { Notify } from "./notify.ts";
import { exactId, formatPeerId, isExpected, type PeerId } from "./peer-id.ts";
import type { Peering } from "./peering.ts";
import type { Turn } from "./turn.ts";

/**
 * Whether an IKE SA of this connection is the only one between the two identities, of whatever connection the others are: that is
 * what INITIAL_CONTACT says, and it ends them (RFC 7296 §2.4). One whose IKE_AUTH is on its way may be up at the peer already.
 */
export const isInitialContact = (turn: Turn, peering: Peering): boolean => {
  for (const { state } of turn.core.kinWithUs(peering)) if (state.name === "established") return false;
  const expected = expectedPeer(peering.config);
  for (const other of turn.core.halfOpen.authenticating())
    if (other.peering !== peering && other.peering?.localKey === peering.localKey && mayBeOne(expected, peerOf(other)))
      return false;
  return true;
};

const peerOf = ({ peering }: IkeSa): PeerId | undefined => peering && expectedPeer(peering.config);

/** Whether one peer may prove itself to be both. */
const mayBeOne = (a: PeerId | undefined, b: PeerId | undefined): boolean => {
  const [one, other] = [exactId(a), exactId(b)];
  if (other !== undefined) return isExpected(a, other);
  return one === undefined ? formatPeerId(a) === formatPeerId(b) : isExpected(b, one);
};

/** A peer that has proven itself, by which connection, and whether it says that it has no other IKE SA. */
export interface Newcomer {
  readonly peering: Peering;
  readonly peerId: Identity;
  readonly hasInitialContact: boolean;
}

/** Throws IkeError where an IKE SA that the peer has is to be kept; it is asked whether it lives, so that it does not stay for ever. */
export const refuseDuplicate = (turn: Turn, sa: IkeSa, newcomer: Newcomer): void => {
  const { peering, hasInitialContact } = newcomer;
  if (peering.config.duplicates !== "keep" || hasInitialContact) return;
  const others = before(turn, sa, newcomer);
  if (others.length === 0) return;
  for (const other of others)
    if (!other.requests.has(() => true))
      other.requests.add(turn, other, new Liveness(other.peering?.config.liveness ?? {}));
  throw new IkeError(Notify.AUTHENTICATION_FAILED, "the peer has an IKE SA already, and it is kept");
};

/** The peer is authenticated on `sa`: end what it had before, where it says so or the connection does. */
export const replaceDuplicates = (turn: Turn, sa: IkeSa, newcomer: Newcomer): void => {
  const { duplicates } = newcomer.peering.config;
  if (duplicates === "never" || (duplicates !== "replace" && !newcomer.hasInitialContact)) return;
  const why = newcomer.hasInitialContact ? "the peer made initial contact" : "the peer has another IKE SA";
  for (const other of before(turn, sa, newcomer)) deleteIkeSa(turn, other, why);
};

/** IKE SAs with the peer that were up before it began `sa`. One that came up since is a twin, of which it could not know. */
const before = (turn: Turn, sa: IkeSa, { peering, peerId }: Newcomer): IkeSa[] =>
  [...turn.core.kinOf(peerId)].filter(
    (other) =>
      other !== sa &&
      other.state.name === "established" &&
      other.state.since <= sa.createdAt &&
      other.peering !== undefined &&
      equalIdentity(other.peering.config.local.id, peering.config.local.id),
  );

/**
 * A peer that makes one IKE SA after another, and does not say that the others are gone, has no more of them than the limit:
 * the oldest end, those first that are ending. Nobody waits for its answer to their Delete.
 */
export const limitPeer = (turn: Turn, sa: IkeSa): void => {
  const { sasPerPeer } = turn.core.options;
  const others = samePeer(sa).slice(0, -1);
  const tooMany = sasPerPeer === 0 ? 0 : others.length + 1 - sasPerPeer;
  if (tooMany <= 0) return;
  const isUp = ({ state }: IkeSa): boolean => state.name === "established";
  const ending = others.filter((other) => !isUp(other));
  const why = `the peer has more than ${sasPerPeer} IKE SAs`;
  for (const other of [...ending, ...others.filter(isUp)].slice(0, tooMany)) {
    turn.count("peer-ike-sa-limit");
    if (isUp(other)) turn.logUnproven("peer-ike-sa-limit", other, `${other.remoteText}: ${why}: the oldest ends`);
    sayGoodbye(turn, other);
    closeIkeSa(turn, other, why);
  }
};

/**
 * Both peers initiated. The rule of simultaneous rekeying serves here too: of the two, the one with the lowest nonce is
 * deleted by the peer that initiated it, so that one is left. Either may have been rekeyed since.
 */
export const settleTwins = (turn: Turn, sa: IkeSa): void => {
  for (const other of samePeer(sa)) {
    const [ours, theirs] = [sa.origin, other.origin];
    if (sa.state.name !== "established" || other.state.name !== "established") continue;
    if (ours === undefined || theirs === undefined || ours.role === theirs.role) continue;
    const loser = losesTo(ours.lowestNonce, theirs.lowestNonce) ? sa : other;
    if (loser.origin?.role === "initiator") deleteIkeSa(turn, loser, "the peer initiated too, its IKE SA stays");
  }
};
