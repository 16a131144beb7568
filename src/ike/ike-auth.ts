/**
 * IKE_AUTH as its initiator, RFC 7296 §1.2
 *
 *   HDR, SK {IDi, [N(INITIAL_CONTACT)], [IDr], AUTH, SAi2, TSi, TSr} -->      without the last three: childless, RFC 6023
 *                                                                    <-- HDR, SK {IDr, AUTH, SAr2, TSi, TSr}
 *                                                                    <-- HDR, SK {IDr, AUTH, N(child refused)}
 *                                                                    <-- HDR, SK {N(AUTHENTICATION_FAILED)}
 *
 * A refused child leaves the IKE SA up; it is asked for again by CREATE_CHILD_SA, later each time.
 */

import type { ChildOffer } from "./agreed-child.ts";
import { checkPskAuth, pskAuth } from "./auth.ts";
import { childFailed } from "./child-failure.ts";
import { offerChild, offeredPayloads, readChildAnswer } from "./child-offer.ts";
import { installChild } from "./children.ts";
import { expectedPeer, keysFor } from "./connection.ts";
import { wantChildren } from "./create-child-sa.ts";
import { DeleteUninstalled } from "./delete-child-sa.ts";
import { formatIdentity } from "./identity.ts";
import { IkeError, invalidSyntax } from "./ike-error.ts";
import type { IkeSa, IkeSaState, Opening } from "./ike-sa.ts";
import { closeIkeSa, deleteIkeSa, ReportError } from "./ike-sa-end.ts";
import { establish } from "./ike-sa-established.ts";
import { isInitialContact, settleTwins } from "./ike-sa-twins.ts";
import type { IkeKeys } from "./keymat.ts";
import { lowest } from "./lowest-nonce.ts";
import { Exchange, find, type Payload } from "./message.ts";
import { Notify } from "./notify.ts";
import { seal } from "./outgoing.ts";
import { AuthMethod } from "./payload/auth.ts";
import { errorNotify, notifyPayload } from "./payloads.ts";
import { exactId, formatPeerId, isExpected } from "./peer-id.ts";
import type { Peering } from "./peering.ts";
import { describeProposals, type IkeSuite } from "./proposal.ts";
import { noteResources, resourcePayloads } from "./resources.ts";
import { transportProblem } from "./transport-mode.ts";
import type { Turn } from "./turn.ts";

type AuthSent = Extract<IkeSaState, { name: "auth-sent" }>;

interface Begun {
  readonly keys: IkeKeys;
  readonly suite: IkeSuite;
  readonly opening: Opening;
  /** The responder takes IKE_AUTH without a Child SA. */
  readonly takesChildless: boolean;
}

/** The IKE_SA_INIT answer is good: go on. */
export const sendIkeAuth = (turn: Turn, sa: IkeSa, { takesChildless, ...begun }: Begun): void => {
  const { peering } = sa;
  const children = peering?.config.children ?? [];
  const wanted = children.find((each) => peering?.wants(each));
  const child = wanted ?? children[0];
  if (peering === undefined || child === undefined) throw new RangeError("IKE_AUTH needs a connection with a child");
  const { config } = peering;
  const isPreferred = config.childless === "prefer" || (config.childless === "allow" && wanted === undefined);
  const isChildless = takesChildless && isPreferred;
  const { path } = sa;
  const problem = isChildless ? undefined : transportProblem(child, path, sa.encap);
  const offer =
    isChildless || problem !== undefined
      ? undefined
      : offerChild(turn, config.name, child, { resource: 0, withKe: false, path });
  sa.requests.answered();
  sa.become({ name: "auth-sent", ...begun, offer });
  if (offer === undefined && !isChildless) {
    peering.lastError = `child ${child.name}: ${problem ?? "no room, there are too many Child SAs"}`;
    turn.log("error", problem === undefined ? "no-spi" : "child-sa-failed", sa, peering.lastError);
    closeIkeSa(turn, sa, peering.lastError);
    return;
  }
  const { opening, keys } = begun;
  const signed = { message: opening.request, nonce: opening.nr, prf: keys.prf, skP: keys.skPi };
  const expected = exactId(expectedPeer(config));
  const psk = keysFor(config, expected, sa.path.remote.address);
  if (psk === undefined) throw new RangeError("an IKE SA was begun without a key"); // see attempt.ts
  const auth = pskAuth(psk.local, { ...signed, identity: config.local.id });
  const payloads: Payload[] = [
    { kind: "IDi", value: config.local.id },
    ...(config.duplicates !== "never" && isInitialContact(turn, peering)
      ? [notifyPayload(Notify.INITIAL_CONTACT)]
      : []), // RFC 7296 §2.4
    ...(config.remote.id === undefined || expected === undefined ? [] : [{ kind: "IDr", value: expected } as const]),
    { kind: "AUTH", value: { method: AuthMethod.SHARED_KEY_MIC, data: auth } },
    ...(offer === undefined ? [] : childPayloads(offer)),
  ];
  const header = sa.header(Exchange.IKE_AUTH, false, sa.requests.nextId);
  sa.requests.sent(turn, sa, Exchange.IKE_AUTH, seal(turn, sa, header, payloads));
};

const childPayloads = (offer: ChildOffer): Payload[] => {
  const { mode, sa, selectors } = offeredPayloads(offer);
  return [...resourcePayloads(offer.config, offer.resource), ...mode, sa, ...selectors];
};

/** The answer, its ICV good and its contents checked. Throws IkeError when it does not convince: see `failAuth`. */
export const readAuthAnswer = (turn: Turn, sa: IkeSa, payloads: readonly Payload[]): void => {
  const { state, peering } = sa;
  if (state.name !== "auth-sent" || peering === undefined) return;
  const error = errorNotify(payloads);
  if (error !== undefined && find(payloads, "AUTH") === undefined) {
    sa.requests.answered();
    const refused = refusal(peering, state, error.type);
    report(turn, sa, refused);
    closeIkeSa(turn, sa, refused.message);
    return;
  }
  const peerId = checkPeer(peering, state, payloads, sa.path.remote.address);
  sa.requests.answered();
  turn.core.recognize(sa, peerId);
  const { keys, suite, opening, offer } = state;
  establish(turn, sa, { keys, suite, lowestNonce: lowest(opening.ni, opening.nr) });
  firstChild(turn, sa, { keys, opening, offer }, payloads);
  if (peering.wish === "no") {
    deleteIkeSa(turn, sa, "no longer wanted");
    return;
  }
  settleTwins(turn, sa);
  wantChildren(turn, sa);
};

/**
 * The answer does not convince us, but the peer believes that all is well: tell it, so that no half SA stays
 * (RFC 7296 §2.21.2).
 */
export const failAuth = (turn: Turn, sa: IkeSa, error: IkeError): void => {
  const { state } = sa;
  if (state.name !== "auth-sent") return;
  report(turn, sa, error);
  sa.requests.answered();
  if (state.offer !== undefined) turn.core.env.releaseSpi(state.offer.spiIn);
  sa.become({ name: "closing", keys: state.keys, suite: state.suite });
  turn.core.halfOpen.delete(sa);
  sa.requests.add(turn, sa, new ReportError(error.notify));
  sa.peering?.lost(turn);
};

const report = (turn: Turn, sa: IkeSa, { text }: IkeError): void => {
  turn.log("error", "ike-auth-failed", sa, `${sa.remoteText}: ${text}`, { remote: sa.remoteText });
  if (sa.peering !== undefined) sa.peering.lastError = text;
};

const refusal = ({ config }: Peering, { suite, offer }: AuthSent, type: number): IkeError => {
  const child = offer === undefined ? "" : `; offered ${describeProposals(offer.proposals)}`;
  return new IkeError(type, "the peer refused IKE_AUTH", {
    context: `we said we are ${formatIdentity(config.local.id)}, expected ${whom(config)}; ${suite.name}${child}`,
  });
};

const whom = (config: Peering["config"]): string => formatPeerId(expectedPeer(config));

/** The peer's identity, proven. */
const checkPeer = (
  { config }: Peering,
  { keys, opening }: AuthSent,
  payloads: readonly Payload[],
  address: string,
): NonNullable<IkeSa["peerId"]> => {
  const [idr, auth] = [find(payloads, "IDr"), find(payloads, "AUTH")];
  if (idr === undefined || auth === undefined) throw invalidSyntax("IKE_AUTH answer without IDr or AUTH");
  const expected = expectedPeer(config);
  const failed = (why: string): IkeError =>
    new IkeError(Notify.AUTHENTICATION_FAILED, why, {
      context: `peer says it is ${formatIdentity(idr)}; expected ${whom(config)}`,
    });
  if (!isExpected(expected, idr)) throw failed("the peer has another identity");
  if (auth.method !== AuthMethod.SHARED_KEY_MIC)
    throw failed(`the peer proves itself by method ${auth.method}, expected a shared key`);
  const signed = { message: opening.answer, nonce: opening.ni, prf: keys.prf, skP: keys.skPr, identity: idr };
  const psk = keysFor(config, idr, address);
  if (psk === undefined) throw failed("no key for this identity");
  if (!checkPskAuth(psk.remote, signed, auth.data))
    throw failed("the peer's proof is wrong: another pre-shared key, or somebody changed IKE_SA_INIT");
  return idr;
};

const firstChild = (
  turn: Turn,
  sa: IkeSa,
  { keys, opening, offer }: Pick<AuthSent, "keys" | "opening" | "offer">,
  payloads: readonly Payload[],
): void => {
  if (offer === undefined) return;
  const { ni, nr } = opening;
  const error = errorNotify(payloads);
  if (error !== undefined || find(payloads, "SA") === undefined) {
    turn.core.env.releaseSpi(offer.spiIn);
    const refused = new IkeError(error?.type ?? Notify.NO_PROPOSAL_CHOSEN, "the peer refused the child");
    childFailed(turn, sa, offer, refused);
    sa.peering?.retryChild(turn, offer.config.name, offer.resource);
    return;
  }
  try {
    const agreed = readChildAnswer(offer, payloads);
    noteResources(sa, agreed.config, payloads);
    installChild(turn, sa, { agreed, keys, ni, nr, weInitiated: true, use: "now" });
  } catch (problem) {
    if (!(problem instanceof IkeError)) throw problem;
    childFailed(turn, sa, offer, problem);
    sa.peering?.retryChild(turn, offer.config.name, offer.resource);
    sa.requests.add(turn, sa, new DeleteUninstalled(offer.spiIn)); // the peer has it: no half state
  }
};
