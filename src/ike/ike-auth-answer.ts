/**
 * IKE_AUTH as its responder, RFC 7296 §1.2: find the connection by the identity that the initiator claims, check its proof,
 * prove ourselves, make the first Child SA.
 */

import type { Answer } from "./answer.ts";
import { checkPskAuth, pskAuth } from "./auth.ts";
import { answeredPayloads, chooseChild } from "./child-answer.ts";
import { refuseChild } from "./child-failure.ts";
import type { ChildSa } from "./child-sa.ts";
import { installChild } from "./children.ts";
import { type ChildConfig, expectedPeer, keysFor } from "./connection.ts";
import { few } from "./few.ts";
import { formatIdentity, type Identity } from "./identity.ts";
import { IkeError, invalidSyntax } from "./ike-error.ts";
import type { IkeSa, IkeSaState } from "./ike-sa.ts";
import { establish } from "./ike-sa-established.ts";
import { limitPeer, refuseDuplicate, replaceDuplicates, settleTwins } from "./ike-sa-twins.ts";
import type { Psk } from "./keyring.ts";
import { lowest } from "./lowest-nonce.ts";
import { find, type Payload } from "./message.ts";
import { Notify } from "./notify.ts";
import { AuthMethod } from "./payload/auth.ts";
import { hasNotify, notifyPayload } from "./payloads.ts";
import { formatPeerId } from "./peer-id.ts";
import type { Peering } from "./peering.ts";
import { chooseIke, describeProposals, Protocol, TransformType } from "./proposal.ts";
import { livePairs, noteResources, resourcePayloads } from "./resources.ts";
import type { Turn } from "./turn.ts";
import { wantChildrenLater } from "./want-children.ts";

type InitAnswered = Extract<IkeSaState, { name: "init-answered" }>;

/** Throws IkeError to refuse: the caller answers with its notification and forgets the SA. */
export const answerAuth = (turn: Turn, sa: IkeSa, payloads: readonly Payload[]): Answer => {
  const { state } = sa;
  if (state.name !== "init-answered") throw invalidSyntax("IKE_AUTH on an IKE SA that is up");
  const idi = find(payloads, "IDi");
  if (idi === undefined) throw invalidSyntax("IKE_AUTH without IDi");
  const { peering, psk } = identify(state, idi, payloads, sa.path.remote.address);
  const { config } = peering;
  const { asker, keys, suite, opening } = state;

  const newcomer = { peering, peerId: idi, hasInitialContact: hasNotify(payloads, Notify.INITIAL_CONTACT) };
  refuseDuplicate(turn, sa, newcomer);
  if (find(payloads, "SA") === undefined && config.childless === "never")
    throw invalidSyntax("IKE_AUTH without a Child SA, which we never said that we take"); // RFC 6023 §4

  sa.peering = peering;
  turn.core.recognize(sa, idi);
  peering.sas.add(sa);
  establish(turn, sa, { keys, suite, lowestNonce: lowest(opening.ni, opening.nr) });
  turn.core.firstAnswers.keep(asker, opening.request, { datagrams: [opening.answer] }, turn.now);
  replaceDuplicates(turn, sa, newcomer);
  limitPeer(turn, sa);

  const signed = { message: opening.answer, nonce: opening.ni, prf: keys.prf, skP: keys.skPr };
  const auth = pskAuth(psk.local, { ...signed, identity: config.local.id });
  return {
    payloads: [
      { kind: "IDr", value: config.local.id },
      { kind: "AUTH", value: { method: AuthMethod.SHARED_KEY_MIC, data: auth } },
      ...firstChild(turn, sa, peering, { keys, ni: opening.ni, nr: opening.nr }, payloads),
    ],
    after: () => {
      settleTwins(turn, sa);
      wantChildrenLater(turn, sa);
    },
  };
};

interface Proven {
  readonly peering: Peering;
  readonly psk: Psk;
}

/** The connection that this peer may use, its proof checked. */
const identify = (
  { candidates, keys, suite, opening }: InitAnswered,
  idi: Identity,
  payloads: readonly Payload[],
  address: string,
): Proven => {
  const [idr, auth] = [find(payloads, "IDr"), find(payloads, "AUTH")];
  const known = candidates.closest(idi, idr);
  const context = (): string => {
    const wants = idr === undefined ? "" : ` and wants ${formatIdentity(idr)}`;
    const expected = few(
      [...candidates],
      ({ config }) => `${config.name}: ${formatPeerId(expectedPeer(config))} to ${formatIdentity(config.local.id)}`,
    );
    return `peer says it is ${formatIdentity(idi)}${wants}; expected ${expected}`;
  };
  const failed = (why: string): IkeError => new IkeError(Notify.AUTHENTICATION_FAILED, why, { context });
  if (known.length === 0) throw failed("no connection for this identity");
  if (auth === undefined) throw failed("the peer wants EAP, expected a shared key"); // RFC 7296 §2.16
  if (auth.method !== AuthMethod.SHARED_KEY_MIC)
    throw failed(`the peer proves itself by method ${auth.method}, expected a shared key`);
  const signed = { message: opening.request, nonce: opening.nr, prf: keys.prf, skP: keys.skPi, identity: idi };
  const keyed = known.flatMap((peering) => {
    const psk = keysFor(peering.config, idi, address);
    return psk === undefined ? [] : [{ peering, psk }];
  });
  if (keyed.length === 0) throw failed("no key for this identity");
  const proven = keyed.filter(({ psk }) => checkPskAuth(psk.remote, signed, auth.data));
  if (proven.length === 0)
    throw failed("the peer's proof is wrong: another pre-shared key, or somebody changed IKE_SA_INIT");

  // IKE_SA_INIT was answered when only addresses were known: the suite must be one of this connection too.
  const transforms = [
    { type: TransformType.ENCR, id: suite.encr.id, ...(suite.encr.keyBits ? { keyBits: suite.encr.keyBits } : {}) },
    ...(suite.integ === undefined ? [] : [{ type: TransformType.INTEG, id: suite.integ }]),
    { type: TransformType.PRF, id: suite.prf },
    { type: TransformType.KE, id: suite.ke },
  ];
  const offer = [{ number: 1, protocol: Protocol.IKE, spi: new Uint8Array(0), transforms }];
  const allowed = proven.find(({ peering }) => chooseIke(offer, peering.config.proposals) !== undefined);
  if (allowed === undefined)
    throw new IkeError(Notify.NO_PROPOSAL_CHOSEN, "the IKE suite is not one of this peer's connection", {
      context: `offered ${suite.name}; expected ${proven.map(({ peering: { config } }) => `${config.name}: ${describeProposals(config.proposals)}`).join("; ")}`,
    });
  return allowed;
};

/** SA, TSi and TSr of the answer; a notification when the child is refused, which leaves the IKE SA up. */
const firstChild = (
  turn: Turn,
  sa: IkeSa,
  { config }: Peering,
  secrets: Pick<InitAnswered, "keys"> & { readonly ni: Uint8Array; readonly nr: Uint8Array },
  payloads: readonly Payload[],
): readonly Payload[] => {
  if (find(payloads, "SA") === undefined) return []; // RFC 6023: no child is asked for
  try {
    const pairsOf = (child: ChildConfig): readonly ChildSa[] => livePairs(sa, child);
    const { path, encap } = sa;
    const chosen = chooseChild(payloads, config.children, { withKe: false, path, encap, pairsOf, mayBeSeveral: false });
    const spiIn = turn.core.env.reserveSpi(config.name, chosen.config.name, 0);
    if (spiIn === 0) throw new IkeError(Notify.NO_ADDITIONAL_SAS, "no room for another Child SA");
    noteResources(sa, chosen.config, payloads);
    installChild(turn, sa, { agreed: { ...chosen, resource: 0, spiIn }, ...secrets, weInitiated: false, use: "now" });
    const { mode, sa: proposal, selectors } = answeredPayloads(chosen, spiIn);
    const resources = hasNotify(payloads, Notify.SA_RESOURCE_INFO) ? resourcePayloads(chosen.config, 0) : [];
    return [...resources, ...mode, proposal, ...selectors];
  } catch (problem) {
    if (!(problem instanceof IkeError)) throw problem;
    refuseChild(turn, sa, problem);
    return [notifyPayload(problem.notify, problem.data)];
  }
};
