/**
 * IKE_SA_INIT as its initiator, RFC 7296 §1.2
 *
 *   HDR, [N(COOKIE)], SAi1, KEi, Ni, N(NAT_DETECTION_*) -->
 *                                                       <-- HDR, N(COOKIE)               again, with it (§2.6)
 *                                                       <-- HDR, N(INVALID_KE_PAYLOAD)   again, with that group (§1.3)
 *                                                       <-- HDR, SAr1, KEr, Nr, N(NAT_DETECTION_*)
 *
 * Nothing vouches for an answer: one that hurts is remembered and the request goes on being sent (§2.21.1).
 */
import { equalBytes } from "../bytes.ts";
import { generateKeyPair, type KeyPair, kexById } from "../crypto/kex.ts";
import { MadeKeyPair } from "../crypto/key-work.ts";
import { prfById } from "../crypto/prf.ts";
import { formatEndpoint } from "../ip-address.ts";
import { firstGroup, groupsOf } from "./child-offer.ts";
import type { Path } from "./child-sa-params.ts";
import { agreedFragmentation, fragmentationPayloads } from "./fragmentation.ts";
import { sendIkeAuth } from "./ike-auth.ts";
import { IkeError, invalidSyntax } from "./ike-error.ts";
import { IkeSa } from "./ike-sa.ts";
import type { InitAttempt } from "./init-attempt.ts";
import { awaitForAnswer, awaitsAgreement, isSlow } from "./key-works.ts";
import { deriveIkeKeys } from "./keymat.ts";
import { checkContents, Exchange, emitMessage, find, notifies, type ParsedMessage } from "./message.ts";
import { findNat, firstPath, floated, natPayloads } from "./nat.ts";
import { Notify } from "./notify.ts";
import type { Outgoing } from "./outgoing.ts";
import { errorNotify, groupOf, hasNotify, kePayload, NONCE_LENGTH, noncePayload, notifyPayload } from "./payloads.ts";
import type { Peering } from "./peering.ts";
import { acceptIke, describeProposals, offerIke } from "./proposal.ts";
import type { Turn } from "./turn.ts";

/** A peer, or whoever pretends to be one, cannot make us begin again more often. */
const MOST_RESTARTS = 6;
/** Octets (RFC 7296 §2.6); a longer one, which anybody may forge, would have us send as much again and again. */
const LONGEST_COOKIE = 64;
const NO_SPI = new Uint8Array(8);

/** Begin an IKE SA with the peer of a connection at this address. */
export const initiateIkeSa = (turn: Turn, peering: Peering, address: string): void => {
  const { config } = peering;
  const group = kexById(firstGroup(config.proposals) ?? 0);
  if (group === undefined) throw new RangeError(`connection ${config.name} cannot be initiated`);
  if (!isSlow(turn, group)) {
    initiateWith(turn, peering, address, generateKeyPair(group));
    return;
  }
  turn.core.halfOpen.addOutgoing(peering);
  peering.keyWork = turn.core.keyWorks.ask(turn, { what: "generate", method: group.id }, (later, result) => {
    peering.keyWork = undefined;
    later.core.halfOpen.delete(peering);
    const keyPair = new MadeKeyPair(group, result);
    if (peering.isAlive || peering.wish === "no") keyPair.destroy();
    else initiateWith(later, peering, address, keyPair);
  });
};

/** It is not to be begun any more, should its key pair still be in the making. */
export const forgetBeginning = (turn: Turn, peering: Peering): void => {
  if (peering.keyWork === undefined) return;
  turn.core.keyWorks.forget(turn, peering.keyWork);
  turn.core.halfOpen.delete(peering);
  peering.keyWork = undefined;
};

const initiateWith = (turn: Turn, peering: Peering, address: string, keyPair: KeyPair): void => {
  const { config } = peering;
  const spiI = turn.core.newSpi();
  const path = firstPath(config, address, turn.core.options);
  const begun = {
    ni: turn.random(NONCE_LENGTH),
    keyPair,
    proposals: offerIke(config.proposals),
    cookie: undefined,
    restarts: 0,
  };
  const attempt = withRequest(turn, peering, { spiI, path }, begun);
  const state = { name: "init-sent", attempt } as const;
  const sa = new IkeSa({ role: "initiator", spiI, spiR: NO_SPI, path, peering, state, now: turn.now });
  turn.core.add(sa);
  turn.core.halfOpen.addOutgoing(sa);
  turn.log("info", "ike-sa-initiating", sa, `initiating with ${formatEndpoint(path.remote)}`, {
    remote: formatEndpoint(path.remote),
  });
  sa.requests.sent(turn, sa, Exchange.IKE_SA_INIT, inTheClear(attempt.request));
};

/** Never cut: no keys protect it yet (RFC 7383 §2.4). */
const inTheClear = (request: Uint8Array): Outgoing => ({ datagrams: [request] });

const withRequest = (
  turn: Turn,
  { config }: Peering,
  { spiI, path }: { readonly spiI: Uint8Array; readonly path: Path },
  attempt: Omit<InitAttempt, "request">,
): InitAttempt => {
  const { cookie, proposals, keyPair, ni } = attempt;
  const header = { spiI, spiR: NO_SPI, exchange: Exchange.IKE_SA_INIT, fromInitiator: true, isResponse: false };
  const request = emitMessage({ ...header, messageId: 0 }, [
    ...(cookie === undefined ? [] : [notifyPayload(Notify.COOKIE, cookie)]), // first, RFC 7296 §2.6
    { kind: "SA", value: proposals }, // the whole list each time, §1.2
    kePayload(keyPair.method.id, keyPair.publicValue),
    noncePayload(ni),
    ...natPayloads({ spiI, spiR: NO_SPI }, path, config.encap, turn.random),
    ...fragmentationPayloads(config),
  ]);
  return { ...attempt, request };
};

/** An answer of somebody to the IKE_SA_INIT of `sa`. Never throws. */
export const readInitAnswer = (turn: Turn, sa: IkeSa, bytes: Uint8Array, message: ParsedMessage): void => {
  if (sa.state.name !== "init-sent") {
    turn.count("late-answers");
    return;
  }
  if (sa.awaited.answer !== undefined) {
    turn.count("being-answered"); // one at a time, whosever they are
    return;
  }
  const { attempt } = sa.state;
  const cookie = notifies(message.payloads, Notify.COOKIE)[0];
  const error = errorNotify(message.payloads);
  try {
    // The answer to a copy of the request before: what we send has this cookie already, and the responder may have begun on it.
    if (cookie !== undefined && attempt.cookie !== undefined && equalBytes(cookie.data, attempt.cookie))
      turn.count("repeated-cookies");
    else if (cookie !== undefined && (cookie.data.length < 1 || cookie.data.length > LONGEST_COOKIE))
      throw invalidSyntax(`a cookie of ${cookie.data.length} octets`);
    else if (cookie !== undefined) restart(turn, sa, { ...attempt, cookie: cookie.data }, "COOKIE");
    else if (error?.type === Notify.INVALID_KE_PAYLOAD) useGroup(turn, sa, attempt, groupOf(error.data));
    else if (error !== undefined)
      throw new IkeError(error.type, "the peer refused IKE_SA_INIT", {
        context: `offered ${describeProposals(attempt.proposals)}`,
      });
    else if (!isAwaited(turn, sa, attempt, bytes, message)) proceed(turn, sa, attempt, bytes, message);
  } catch (problem) {
    if (!(problem instanceof IkeError)) throw problem;
    remember(turn, sa, problem);
  }
};

/** RFC 7296 §2.21.1: it may be forged, so nothing is changed but what we tell. */
const remember = (turn: Turn, sa: IkeSa, { text }: IkeError): void => {
  turn.count("unproven-errors");
  if (sa.peering === undefined || sa.peering.lastError === text) return;
  sa.peering.lastError = text;
  turn.logUnproven("ike-sa-init-refused", sa, `${sa.remoteText}: ${text}`);
};

const useGroup = (turn: Turn, sa: IkeSa, attempt: InitAttempt, group: number | undefined): void => {
  const method = group === undefined ? undefined : kexById(group);
  const offered = groupsOf(attempt.proposals);
  if (method === undefined || !offered.includes(method.id) || method.id === attempt.keyPair.method.id)
    throw new IkeError(Notify.INVALID_KE_PAYLOAD, `the peer wants key exchange method ${group ?? "unknown"}`, {
      context: `offered ${describeProposals(attempt.proposals)}`,
    });
  const why = `INVALID_KE_PAYLOAD ${method.name}`;
  if (!isSlow(turn, method)) {
    restart(turn, sa, { ...attempt, keyPair: generateKeyPair(method) }, why);
    return;
  }
  awaitForAnswer(turn, sa, { what: "generate", method: method.id }, (later, result) => {
    const keyPair = new MadeKeyPair(method, result);
    sa.requests.resume(later, sa);
    try {
      restart(later, sa, { ...attempt, keyPair }, why);
    } catch (problem) {
      if (!(problem instanceof IkeError)) throw problem;
      remember(later, sa, problem);
    }
  });
};

const restart = (turn: Turn, sa: IkeSa, attempt: InitAttempt, why: string): void => {
  if (attempt.restarts >= MOST_RESTARTS || sa.peering === undefined) {
    if (sa.state.name === "init-sent" && attempt.keyPair !== sa.state.attempt.keyPair) attempt.keyPair.destroy();
    throw new IkeError(Notify.INVALID_SYNTAX, `the peer asked for another beginning too often (${why})`);
  }
  const next = withRequest(turn, sa.peering, sa, { ...attempt, restarts: attempt.restarts + 1 });
  sa.become({ name: "init-sent", attempt: next });
  turn.log("debug", "ike-sa-init-again", sa, `IKE_SA_INIT again: ${why}`);
  sa.requests.again(turn, sa, inTheClear(next.request));
};

/** Whether what the key exchange comes to is being computed: the answer is read again when it is known. */
const isAwaited = (
  turn: Turn,
  sa: IkeSa,
  { keyPair }: InitAttempt,
  bytes: Uint8Array,
  message: ParsedMessage,
): boolean => {
  const ke = find(message.payloads, "KE");
  if (ke?.method !== keyPair.method.id) return false;
  return awaitsAgreement(turn, sa, { keyPair, peer: ke.data }, (later) => {
    sa.requests.resume(later, sa);
    readInitAnswer(later, sa, bytes, message);
  });
};

const proceed = (turn: Turn, sa: IkeSa, attempt: InitAttempt, bytes: Uint8Array, message: ParsedMessage): void => {
  const { header, payloads } = message;
  checkContents(Exchange.IKE_SA_INIT, true, payloads);
  const [answer, ke, nonce] = [find(payloads, "SA"), find(payloads, "KE"), find(payloads, "Nonce")];
  const suite = answer && acceptIke(answer, attempt.proposals);
  if (suite === undefined)
    throw new IkeError(Notify.NO_PROPOSAL_CHOSEN, "the peer's choice is none of what we offered", {
      context: `offered ${describeProposals(attempt.proposals)}; peer chose ${describeProposals(answer ?? [])}`,
    });
  if (nonce === undefined || header.spiR.every((octet) => octet === 0))
    throw new IkeError(Notify.INVALID_SYNTAX, "IKE_SA_INIT answer without a responder's SPI");
  const { method } = attempt.keyPair;
  const shared = ke?.method === method.id && suite.ke === method.id ? attempt.keyPair.agree(ke.data) : undefined;
  const prf = prfById(suite.prf);
  if (shared === undefined || prf === undefined)
    throw new IkeError(Notify.INVALID_SYNTAX, `the peer's ${method.name} value is invalid`); // RFC 6989

  sa.spiR = header.spiR;
  const { ni } = attempt;
  const nr = nonce.data;
  const keys = deriveIkeKeys({ prf, suite, shared, ni, nr, spiI: sa.spiI, spiR: sa.spiR });
  shared.fill(0);
  sa.nat = findNat(payloads, sa, sa.path, sa.peering?.config.encap ?? "auto");
  if (sa.peering !== undefined) sa.fragments = agreedFragmentation(payloads, sa.peering.config);
  if (sa.encap) sa.path = floated(sa.path, turn.core.options);
  turn.log("debug", "ike-sa-init-done", sa, `${suite.name} with ${sa.remoteText}`, {
    suite: suite.name,
    natLocal: sa.nat.local,
    natRemote: sa.nat.remote,
  });
  const takesChildless = hasNotify(payloads, Notify.CHILDLESS_IKEV2_SUPPORTED);
  sendIkeAuth(turn, sa, { keys, suite, takesChildless, opening: { request: attempt.request, answer: bytes, ni, nr } });
};
