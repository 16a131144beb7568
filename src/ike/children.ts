/**
 * The Child SAs of an IKE SA: installing, switching traffic from one pair to the next without a gap (RFC 7296 §2.8), and
 * removing.
 */
import { wipe } from "../bytes.ts";
import type { AgreedChild } from "./agreed-child.ts";
import { selectorsText } from "./child-offer.ts";
import { ChildSa, DELETE_GUARD, spiText } from "./child-sa.ts";
import type { IkeSa } from "./ike-sa.ts";
import { deriveChildKeys, type IkeKeys } from "./keymat.ts";
import { lowest } from "./lowest-nonce.ts";
import type { Turn } from "./turn.ts";
import { hasVolumeLimit, seldom, volumeLimits } from "./volume.ts";

interface Installing {
  readonly agreed: AgreedChild;
  readonly keys: IkeKeys;
  /** Nonces of the exchange; the initiator is whoever sent its request. */
  readonly ni: Uint8Array;
  readonly nr: Uint8Array;
  readonly shared?: Uint8Array | undefined;
  readonly weInitiated: boolean;
  readonly use: "now" | "when-told";
  readonly replaces?: ChildSa | undefined;
}

export const installChild = (turn: Turn, sa: IkeSa, installing: Installing): ChildSa => {
  const { agreed, keys, ni, nr, shared, weInitiated, use, replaces } = installing;
  const { config, mode, resource, spiIn, spiOut, local, remote, suite, tfcRefused } = agreed;
  const { initiatorToResponder, responderToInitiator } = deriveChildKeys({
    prf: keys.prf,
    skD: keys.skD,
    shared,
    ni,
    nr,
    suite: suite.suite,
  });
  const facts = {
    resource,
    spiIn,
    spiOut,
    suite: suite.suite,
    esn: suite.esn,
    mode,
    local,
    remote,
    tfcRefused,
    encap: sa.encap,
    pairs: sa.resources.takesMore(config.name, 1) ? config.sas : 1,
    proposal: suite.name,
    replaces: replaces?.spiIn,
  };
  const child = new ChildSa(config, facts, {
    lowestNonce: lowest(ni, nr),
    inUse: use === "now",
    now: turn.now,
    rekeyAt: turn.now + turn.jittered(config.lifetime, 0.1),
    expiresAt: turn.now + config.lifetime * 1.1,
    limits: volumeLimits((amount, share) => turn.jittered(amount, share), config, suite.esn),
  });
  turn.core.hold(sa, child);
  if (hasVolumeLimit(child.limits)) sa.usageAt = Math.min(sa.usageAt, turn.now + seldom(config));
  turn.effects.push({
    kind: "install",
    use,
    child: {
      ...facts,
      connection: sa.connection ?? "",
      child: config.name,
      keyIn: weInitiated ? responderToInitiator : initiatorToResponder,
      keyOut: weInitiated ? initiatorToResponder : responderToInitiator,
      path: sa.path,
    },
  });
  wipe(shared);
  if (use === "now") for (const sibling of siblings(sa, child)) sibling.inUse = false;
  if (sa.peering !== undefined) {
    sa.peering.childIsUp(turn, config.name, resource);
    sa.peering.lastError = undefined;
  }
  turn.log("info", replaces ? "child-sa-rekeyed" : "child-sa-installed", sa, `child ${config.name} is up`, {
    child: config.name,
    spiIn: spiText(spiIn),
    spiOut: spiText(spiOut),
    suite: suite.name,
    esn: suite.esn,
    encap: sa.encap,
    mode,
    local: selectorsText(local),
    remote: selectorsText(remote),
    ...(replaces ? { replaces: spiText(replaces.spiIn) } : {}),
  });
  return child;
};

/** From now on the child's traffic is sent on this pair. */
export const startUsing = (turn: Turn, sa: IkeSa, child: ChildSa): void => {
  child.useAt = Number.POSITIVE_INFINITY;
  if (child.inUse || child.state.name === "removed") return;
  for (const sibling of siblings(sa, child)) sibling.inUse = false;
  child.inUse = true;
  turn.effects.push({ kind: "use", spiIn: child.spiIn });
};

/** A fresh request of the peer shows that it has our last answer, and the pair that was in it (RFC 7296 §2.3). */
export const useAnswered = (turn: Turn, sa: IkeSa): void => {
  for (const child of sa.children.values())
    if (child.isLive && child.useAt !== Number.POSITIVE_INFINITY) startUsing(turn, sa, child);
};

/** Take a pair away. Traffic that was sent on it moves to another pair of the same child first, where there is one. */
export const removeChild = (turn: Turn, sa: IkeSa, child: ChildSa, why: string): void => {
  if (child.state.name === "removed") return;
  if (child.inUse) {
    const heir = heirOf(sa, child);
    if (heir !== undefined) startUsing(turn, sa, heir);
  }
  child.become({ name: "removed" });
  child.inUse = false;
  turn.core.dismiss(child);
  turn.effects.push({ kind: "remove", spiIn: child.spiIn });
  const fields = { child: child.config.name, spiIn: spiText(child.spiIn), spiOut: spiText(child.spiOut) };
  turn.log("info", "child-sa-removed", sa, `child ${child.config.name}: ${why}`, fields);
};

/** Another pair took its place: the peer is to delete it, and we where it does not. */
export const replacedBy = (turn: Turn, child: ChildSa, by: ChildSa): void => {
  child.successor = by;
  child.become({ name: "replaced", by, guardAt: turn.now + DELETE_GUARD });
};

/** Whether a pair carries the traffic of this child's resource to the peer of `sa`, or is being negotiated by us. */
export const hasChild = (sa: IkeSa, name: string, resource: number): boolean =>
  isChildUp(sa, name, resource) ||
  samePeer(sa).some(({ requests }) =>
    requests.has((task) => task.kind === "create-child-sa" && task.childName === name && task.resource === resource),
  );

/** Whether a pair carries the traffic of this child's resource to the peer of `sa`, on whichever IKE SA. */
export const isChildUp = (sa: IkeSa, name: string, resource: number): boolean =>
  samePeer(sa).some(({ children }) => {
    for (const child of children.values())
      if (child.config.name === name && child.resource === resource && child.isLive) return true;
    return false;
  });

const heirOf = (sa: IkeSa, child: ChildSa): ChildSa | undefined => {
  if (child.state.name === "replaced" && child.state.by.isLive) return child.state.by;
  return siblings(sa, child)
    .filter((sibling) => sibling.isLive)
    .at(-1);
};

const isSameResource = (a: ChildSa, b: ChildSa): boolean => a.config === b.config && a.resource === b.resource;

/** Other pairs of the same child and resource with the same peer, whichever IKE SA they belong to. */
const siblings = (sa: IkeSa, child: ChildSa): ChildSa[] =>
  samePeer(sa).flatMap((other) =>
    [...other.children.values()].filter((sibling) => sibling !== child && isSameResource(sibling, child)),
  );

/** The IKE SAs of this connection with the peer of `sa`, itself too, and last. */
export const samePeer = (sa: IkeSa): IkeSa[] => {
  const { kin, peering } = sa;
  if (kin === undefined || peering === undefined) return [sa];
  // A connection may be that of thousands of peers, and a peer may be that of thousands of connections.
  const others =
    kin.size <= peering.sas.size
      ? [...kin].filter((other) => other.peering === peering)
      : [...peering.sas].filter((other) => other.kin === kin);
  return [...others.filter((other) => other !== sa), sa];
};
