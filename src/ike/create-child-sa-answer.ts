/**
 * CREATE_CHILD_SA as its responder: another Child SA, or the rekey of one (RFC 7296 §1.3.1, §1.3.3, §2.8, §2.25).
 * The new pair receives at once; we go on sending on the old one until the peer uses the new one or deletes the old.
 */
import { wipe } from "../bytes.ts";
import { kexById } from "../crypto/kex.ts";
import { RateLimit } from "../rate-limit.ts";
import type { Answer } from "./answer.ts";
import { answeredPayloads, type ChosenChild, chooseChild } from "./child-answer.ts";
import { refuseChild } from "./child-failure.ts";
import { type ChildSa, spiText, USE_GUARD } from "./child-sa.ts";
import { installChild, replacedBy, useAnswered } from "./children.ts";
import type { ChildConfig } from "./connection.ts";
import { CreateChild } from "./create-child-sa.ts";
import { IkeError, invalidSyntax } from "./ike-error.ts";
import type { IkeSa } from "./ike-sa.ts";
import { exchangeKeys } from "./key-works.ts";
import { find, notifies, type Payload } from "./message.ts";
import { Notify } from "./notify.ts";
import { groupData, hasNotify, kePayload, NONCE_LENGTH, noncePayload, notifyAboutSpi } from "./payloads.ts";
import { Protocol, spiBytes } from "./proposal.ts";
import { inheritByUse } from "./rekey-ike-sa.ts";
import { answerRekeyIkeSa } from "./rekey-ike-sa-answer.ts";
import {
  configuredPairs,
  isFull,
  livePairs,
  noRoom,
  noteResources,
  resourceFor,
  resourcePayloads,
} from "./resources.ts";
import type { Turn } from "./turn.ts";
import { wantChildrenLater } from "./want-children.ts";

/** Throws IkeError to refuse: the caller answers with its notification. */
export const answerCreateChildSa = (turn: Turn, sa: IkeSa, payloads: readonly Payload[]): Answer => {
  // RFC 7296 §2.25.2: what is being closed or was rekeyed takes no new children.
  if (sa.state.name !== "established") throw busy("the IKE SA is ending");
  if (isCostly(payloads) && !mayRekey(turn, sa)) throw busy("the peer exchanges keys too often");
  inheritByUse(turn, sa);
  useAnswered(turn, sa);
  if (find(payloads, "TSi") === undefined) return answerRekeyIkeSa(turn, sa, payloads);
  if (sa.requests.task?.kind === "rekey-ike-sa") throw busy("the IKE SA is being rekeyed");

  const rekey = notifies(payloads, Notify.REKEY_SA)[0];
  let old: ChildSa | undefined;
  if (rekey !== undefined) {
    old = [...sa.children.values()].find(({ spiOut }) => Buffer.compare(spiBytes(spiOut), rekey.spi) === 0);
    // It may be the very one that our request is to make, whose answer is still on its way.
    if (old === undefined && sa.requests.task instanceof CreateChild) throw busy("a Child SA is being made");
    if (old === undefined || rekey.protocol !== Protocol.ESP) {
      turn.log("debug", "rekey-unknown", sa, "the peer rekeys a Child SA that is not there");
      return { payloads: [notifyAboutSpi(Notify.CHILD_SA_NOT_FOUND, Protocol.ESP, rekey.spi)] };
    }
    if (!old.isLive) throw busy(`child ${old.config.name} is being deleted`);
  }
  // The peer has begun: it asks for what it wants, we for what is left.
  return { payloads: negotiate(turn, sa, payloads, old), after: () => wantChildrenLater(turn, sa) };
};

/** A rekey, or a new Child SA with a key exchange of its own. */
const isCostly = (payloads: readonly Payload[]): boolean =>
  find(payloads, "TSi") === undefined || find(payloads, "KE") !== undefined || hasNotify(payloads, Notify.REKEY_SA);

/**
 * Key exchanges cost us as much as the peer: no more than so many a second, but all that there is to rekey, or that is configured,
 * at once.
 */
const mayRekey = (turn: Turn, sa: IkeSa): boolean => {
  if (turn.exchanged !== undefined) return true; // it was counted when it came
  const { rekeyRate } = turn.core.options;
  const most = Math.max(rekeyRate, 1 + sa.children.size, configuredPairs(sa));
  sa.rekeys ??= new RateLimit(rekeyRate, most);
  if (sa.rekeys.take(turn.now)) return true;
  turn.count("rekeys-too-often");
  return false;
};

const busy = (why: string): IkeError => new IkeError(Notify.TEMPORARY_FAILURE, why);

const negotiate = (turn: Turn, sa: IkeSa, payloads: readonly Payload[], old: ChildSa | undefined): Payload[] => {
  const { peering, keys } = sa;
  const nonce = find(payloads, "Nonce");
  if (peering === undefined || keys === undefined || nonce === undefined) throw invalidSyntax("Nonce missing");
  const { config } = peering;
  try {
    const children = old === undefined ? config.children : [old.config];
    const mayBeSeveral = hasNotify(payloads, Notify.SA_RESOURCE_INFO);
    const pairsOf = (child: ChildConfig): readonly ChildSa[] => livePairs(sa, child);
    const { path, encap } = sa;
    const chosen = chooseChild(payloads, children, { withKe: true, path, encap, pairsOf, mayBeSeveral });
    const resource = old === undefined ? resourceFor(sa, chosen.config, mayBeSeveral) : old.resource;
    if (isFull(sa)) throw noRoom(sa, chosen.config, mayBeSeveral);
    const exchanged = exchange(turn, chosen, payloads);
    const spiIn = turn.core.env.reserveSpi(config.name, chosen.config.name, resource);
    if (spiIn === 0) {
      wipe(exchanged?.shared);
      throw noRoom(sa, chosen.config, mayBeSeveral);
    }
    const nr = turn.random(NONCE_LENGTH);
    noteResources(sa, chosen.config, payloads);
    // The peer does not receive on it before it has our answer: what is sent already goes on on another pair.
    const isFurther = livePairs(sa, chosen.config).length > 0;
    const child = installChild(turn, sa, {
      agreed: { ...chosen, resource, spiIn },
      keys,
      ni: nonce.data,
      nr,
      shared: exchanged?.shared,
      weInitiated: false,
      use: isFurther ? "when-told" : "now",
      replaces: old,
    });
    if (isFurther && old === undefined) child.useAt = turn.now + USE_GUARD;
    noteCollision(turn, sa, child, old);
    const { mode, sa: proposal, selectors } = answeredPayloads(chosen, spiIn);
    return [
      ...(mayBeSeveral ? resourcePayloads(chosen.config, resource) : []),
      ...mode,
      proposal,
      noncePayload(nr),
      ...(exchanged === undefined ? [] : [exchanged.payload]),
      ...selectors,
    ];
  } catch (problem) {
    if (problem instanceof IkeError && problem.notify !== Notify.INVALID_KE_PAYLOAD) refuseChild(turn, sa, problem);
    throw problem;
  }
};

/** The key exchange of a suite that has its own. */
const exchange = (
  turn: Turn,
  { suite }: ChosenChild,
  payloads: readonly Payload[],
): { payload: Payload; shared: Uint8Array } | undefined => {
  if (suite.ke === undefined) return undefined;
  const method = kexById(suite.ke);
  if (method === undefined) throw new RangeError(`not a suite of ours: ${suite.name}`);
  const ke = find(payloads, "KE");
  if (ke?.method !== suite.ke)
    throw new IkeError(Notify.INVALID_KE_PAYLOAD, `expected a value of ${method.name}`, { data: groupData(suite.ke) });
  const { publicValue, shared } = exchangeKeys(turn, method, ke.data);
  if (shared === undefined) throw invalidSyntax(`the ${method.name} value is invalid`); // RFC 6989
  return { payload: kePayload(method.id, publicValue), shared };
};

/** Our own request for the same child may be on its way: its answer settles which pair stays (RFC 7296 §2.8.1). */
const noteCollision = (turn: Turn, sa: IkeSa, child: ChildSa, old: ChildSa | undefined): void => {
  const { task } = sa.requests;
  if (old === undefined) {
    if (task instanceof CreateChild && task.kind === "create-child-sa")
      if (task.childName === child.config.name && task.resource === child.resource) task.rival = child;
    return;
  }
  if (old.state.name === "rekeying" && old.state.task === task && task instanceof CreateChild) {
    task.rival = child;
    turn.log("debug", "rekey-collision", sa, `child ${child.config.name}: both rekey ${spiText(old.spiIn)}`);
  } else replacedBy(turn, old, child);
};
