/**
 * IKE_SA_INIT as its responder, RFC 7296 §1.2 and §2.6. Until the initiator has shown that it receives at its address (where
 * there are many half-open SAs) and has named a group that we take, nothing is kept: such answers have SPIr zero.
 */
import { equalBytes, toHex } from "../bytes.ts";
import { kexById } from "../crypto/kex.ts";
import type { KeyWork } from "../crypto/key-work.ts";
import { prfById } from "../crypto/prf.ts";
import { formatEndpoint } from "../ip-address.ts";
import type { Path } from "./child-sa-params.ts";
import { few } from "./few.ts";
import { agreedFragmentation, fragmentationPayloads } from "./fragmentation.ts";
import type { Begun } from "./half-open.ts";
import { IkeError, invalidSyntax } from "./ike-error.ts";
import { IkeSa } from "./ike-sa.ts";
import { answerKeys, askForOthers, isWork } from "./key-works.ts";
import { deriveIkeKeys } from "./keymat.ts";
import { checkContents, Exchange, emitMessage, find, type Header, notifies, type ParsedMessage } from "./message.ts";
import { findNat, natPayloads } from "./nat.ts";
import { Notify } from "./notify.ts";
import type { Outgoing } from "./outgoing.ts";
import { groupData, kePayload, NONCE_LENGTH, noncePayload, notifyPayload } from "./payloads.ts";
import type { Peering } from "./peering.ts";
import type { Candidates } from "./peerings.ts";
import { chooseIke, describeProposals, type IkeSuite, type Proposal } from "./proposal.ts";
import type { Turn } from "./turn.ts";

/**
 * ms that cookies are asked for after the last crowd. An initiator that was asked for one signs its request with the cookie (RFC
 * 7296 §2.15); a copy of the one without, late on its way, must not be answered with an SA of its own meanwhile.
 */
const COOKIE_LINGER = 10_000;
const NO_SPI = new Uint8Array(8);
const STRANGER = { connection: undefined };

/** A request of somebody. Never throws. */
export const answerInit = (turn: Turn, bytes: Uint8Array, message: ParsedMessage, path: Path): void => {
  const { header } = message;
  const asker = askerOf(header, path);
  const begun = turn.core.halfOpen.begunBy(asker);
  if (begun instanceof Uint8Array && equalBytes(begun, bytes)) {
    turn.count("being-answered");
    return;
  }
  const repeated = answerOf(begun, bytes) ?? turn.core.firstAnswers.find(asker, bytes, turn.now);
  if (repeated !== undefined) {
    turn.count("repeated-requests");
    turn.sendAll(path, repeated); // the same octets, RFC 7296 §2.1
    return;
  }
  if (turn.core.sas.get(toHex(header.spiI))?.role === "initiator") {
    turn.count("reflected");
    return;
  }
  tryToBegin(turn, bytes, message, path);
};

/** What this very request was answered with, if it has begun this. */
const answerOf = (begun: Begun | undefined, bytes: Uint8Array): Pick<Outgoing, "datagrams"> | undefined => {
  if (!(begun instanceof IkeSa) || begun.state.name !== "init-answered") return undefined;
  const { request, answer } = begun.state.opening;
  return equalBytes(request, bytes) ? { datagrams: [answer] } : undefined;
};

const askerOf = ({ spiI }: Pick<Header, "spiI">, { remote }: Path): string =>
  `${formatEndpoint(remote)} ${toHex(spiI)}`;

const tryToBegin = (turn: Turn, bytes: Uint8Array, message: ParsedMessage, path: Path): void => {
  const { header, payloads } = message;
  try {
    checkContents(Exchange.IKE_SA_INIT, false, payloads);
    const answer = begin(turn, bytes, message, path);
    if (answer !== undefined) turn.send(path, answer);
  } catch (error) {
    if (!(error instanceof IkeError)) throw error;
    refuseInit(turn, header, path, error);
  }
};

interface Admitted {
  readonly bytes: Uint8Array;
  readonly message: ParsedMessage;
  readonly path: Path;
  readonly isProven: boolean;
}

/** Its key exchange takes long: it counts as half-open meanwhile, and begins anew when that is computed. */
const beginLater = (turn: Turn, work: KeyWork, { bytes, message, path, isProven }: Admitted): void => {
  const { core } = turn;
  const asked = askForOthers(turn, work, (later) => {
    core.halfOpen.delete(bytes);
    tryToBegin(later, bytes, message, path);
  });
  if (asked === undefined) return;
  core.halfOpen.addIncoming(bytes, { address: path.remote.address, isProven, asker: askerOf(message.header, path) });
};

/** Answer a request that is not to become an SA with one notification, SPIr zero. */
export const refuseInit = (turn: Turn, header: Pick<Header, "spiI">, path: Path, error: IkeError): void => {
  turn.count("refused-inits");
  turn.send(path, stateless(header.spiI, error.notify, error.data));
  if (error.notify === Notify.INVALID_KE_PAYLOAD) return; // part of an ordinary beginning
  const remote = formatEndpoint(path.remote);
  turn.logUnproven("ike-sa-init-rejected", STRANGER, () => `${remote}: ${error.text}`, { remote });
};

const stateless = (spiI: Uint8Array, type: number, data?: Uint8Array): Uint8Array =>
  emitMessage(
    { spiI, spiR: NO_SPI, exchange: Exchange.IKE_SA_INIT, fromInitiator: false, isResponse: true, messageId: 0 },
    [notifyPayload(type, data)],
  );

/** The answer, or undefined when there is none or it is one that keeps nothing. Throws IkeError to refuse. */
const begin = (turn: Turn, bytes: Uint8Array, message: ParsedMessage, path: Path): Uint8Array | undefined => {
  const { core } = turn;
  const { header, payloads } = message;
  const [offered, ke, nonce] = [find(payloads, "SA"), find(payloads, "KE"), find(payloads, "Nonce")];
  if (offered === undefined || ke === undefined || nonce === undefined) throw invalidSyntax("SA, KE or Nonce missing");

  const admitted = admit(turn, message, nonce.data, path);
  if (admitted === undefined) return undefined;

  const candidates = core.peerings.candidatesFor(path);
  const { chosen, suite, peering } = choose(offered, candidates, path);
  const method = kexById(suite.ke);
  const prf = prfById(suite.prf);
  if (method === undefined || prf === undefined) throw new RangeError(`not a suite of ours: ${suite.name}`);
  if (ke.method !== suite.ke)
    throw new IkeError(Notify.INVALID_KE_PAYLOAD, `key exchange method ${ke.method}, chosen was ${method.name}`, {
      data: groupData(suite.ke),
    });
  const exchanged = answerKeys(turn, method, ke.data);
  if (isWork(exchanged)) {
    beginLater(turn, exchanged, { bytes, message, path, isProven: admitted.isProven });
    return undefined;
  }
  const { publicValue, shared } = exchanged;
  if (shared === undefined) throw invalidSyntax(`the ${method.name} value is invalid`); // RFC 6989 §2.5

  const spiI = header.spiI;
  const spiR = core.newSpi();
  const ni = nonce.data;
  const nr = turn.random(NONCE_LENGTH);
  const keys = deriveIkeKeys({ prf, suite, shared, ni, nr, spiI, spiR });
  shared.fill(0);
  const { encap, childless } = peering.config;
  const fragments = agreedFragmentation(payloads, peering.config);
  const fields = { spiI, spiR, exchange: Exchange.IKE_SA_INIT, fromInitiator: false, isResponse: true, messageId: 0 };
  const answer = emitMessage(fields, [
    { kind: "SA", value: [chosen] },
    kePayload(method.id, publicValue),
    noncePayload(nr),
    ...natPayloads({ spiI, spiR }, path, encap, turn.random),
    ...(fragments === undefined ? [] : fragmentationPayloads(peering.config)),
    ...(childless === "never" ? [] : [notifyPayload(Notify.CHILDLESS_IKEV2_SUPPORTED)]), // RFC 6023 §3
  ]);
  const asker = askerOf(header, path);
  const state = {
    name: "init-answered",
    asker,
    keys,
    suite,
    opening: { request: bytes, answer, ni, nr },
    candidates,
    expiresAt: turn.now + core.options.halfOpenTimeout,
  } as const;
  const sa = new IkeSa({ role: "responder", spiI, spiR, path, peering: undefined, state, now: turn.now });
  sa.expectedId = 1; // IKE_AUTH
  sa.fragments = fragments;
  sa.nat = findNat(payloads, { spiI, spiR: NO_SPI }, path, encap);
  core.add(sa);
  core.halfOpen.addIncoming(sa, { address: path.remote.address, isProven: admitted.isProven, asker });
  return answer;
};

/**
 * Whether a request may become an IKE SA, before anything is computed for it; undefined: it may not, or is to come again with a
 * cookie (RFC 7296 §2.6). Those that are refused leave nothing to count. What strangers
 * begin in the name of an address counts against those alone who have not shown that they receive there: nobody can be kept out by
 * forging his address.
 */
const admit = (
  turn: Turn,
  { header: { spiI }, payloads }: ParsedMessage,
  ni: Uint8Array,
  path: Path,
): { readonly isProven: boolean } | undefined => {
  const { halfOpen, options, cookies } = turn.core;
  const { address } = path.remote;
  if (turn.core.isFull) {
    turn.count("ike-sa-limit");
    turn.logUnproven("ike-sa-limit", STRANGER, `${options.sasLimit} IKE SAs: no more are begun`);
    return undefined;
  }
  if (halfOpen.incoming >= options.halfOpenLimit) {
    turn.count("half-open-limit");
    const why = `${halfOpen.incoming} half-open IKE SAs: no more are begun`;
    turn.logUnproven("half-open-limit", STRANGER, why, { halfOpen: halfOpen.incoming });
    return undefined;
  }
  const cookie = notifies(payloads, Notify.COOKIE)[0]?.data;
  const isProven = cookie !== undefined && cookies.check(cookie, ni, address, spiI, turn.now);
  const here = halfOpen.from(address);
  const isCrowded = halfOpen.incoming >= options.cookieThreshold || here.all >= options.halfOpenPerSource;
  if (isCrowded) turn.core.cookiesUntil = turn.now + COOKIE_LINGER;
  if (turn.now < turn.core.cookiesUntil && !isProven) {
    turn.count(cookie === undefined ? "cookies-sent" : "cookies-refused");
    turn.send(path, stateless(spiI, Notify.COOKIE, cookies.issue(ni, address, spiI, turn.now)));
    return undefined;
  }
  if (here.proven >= options.halfOpenPerSource) {
    turn.count("half-open-per-source");
    const why = `${address}: ${here.proven} half-open IKE SAs: no more are begun from there`;
    turn.logUnproven("half-open-limit", STRANGER, why, { halfOpen: here.proven, remote: address });
    return undefined;
  }
  return { isProven };
};

const choose = (
  offered: readonly Proposal[],
  candidates: Candidates,
  path: Path,
): { chosen: Proposal; suite: IkeSuite; peering: Peering } => {
  const refused = new Set<string>();
  for (const peering of candidates) {
    if (refused.has(peering.proposals)) continue; // a thousand connections mostly have one list
    const choice = chooseIke(offered, peering.config.proposals);
    if (choice !== undefined) return { ...choice, peering };
    refused.add(peering.proposals);
  }
  const why =
    refused.size === 0
      ? `no connection between ${path.local.address} and ${path.remote.address}`
      : "no IKE proposal in common";
  throw new IkeError(Notify.NO_PROPOSAL_CHOSEN, why, {
    context: () => {
      const expected = few([...candidates], ({ config, proposals }) => `${config.name}: ${proposals}`);
      return `offered ${describeProposals(offered)}; expected ${expected || "none"}`;
    },
  });
};
