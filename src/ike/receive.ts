/**
 * The way of a datagram: parse, find the IKE SA, check message ID and ICV, hand it to its exchange, answer.
 * What is not authentic changes no IKE SA; it is counted by reason.
 */
import { equalBytes, toHex } from "../bytes.ts";
import type { Answer } from "./answer.ts";
import type { Path } from "./child-sa-params.ts";
import { answerCreateChildSa } from "./create-child-sa-answer.ts";
import { openFragment } from "./fragment.ts";
import { failAuth, readAuthAnswer } from "./ike-auth.ts";
import { answerAuth } from "./ike-auth-answer.ts";
import { IkeError } from "./ike-error.ts";
import type { IkeSa } from "./ike-sa.ts";
import { closeIkeSa, deleteIkeSa } from "./ike-sa-end.ts";
import { heard } from "./ike-sa-established.ts";
import { readInitAnswer } from "./ike-sa-init.ts";
import { answerInit, refuseInit } from "./ike-sa-init-answer.ts";
import { answerInformational } from "./informational.ts";
import { askForOthers, awaitsAgreement, KeysAwaited } from "./key-works.ts";
import type { DirectionKeys } from "./keymat.ts";
import {
  checkContents,
  Exchange,
  emitMessage,
  type HeaderFields,
  type ParsedMessage,
  type Payload,
  parseHeader,
  parseMessage,
  readForeignHeader,
} from "./message.ts";
import { mindMessageIds, noteWindow } from "./message-ids.ts";
import { Notify } from "./notify.ts";
import { cutLike, learnPath, seal, sealLike } from "./outgoing.ts";
import { hasNotify, notifyPayload } from "./payloads.ts";
import { Report } from "./report.ts";
import { openProtected } from "./sk.ts";
import type { Turn } from "./turn.ts";

/** `bytes` must stay as they are: what is read keeps views of them. */
export const receive = (turn: Turn, bytes: Uint8Array, path: Path): void => {
  let message: ParsedMessage;
  try {
    message = parseMessage(bytes);
  } catch (error) {
    if (!(error instanceof IkeError)) throw error;
    refuseUnreadable(turn, bytes, path, error);
    return;
  }
  if (message.header.exchange === Exchange.IKE_SA_INIT) receiveInit(turn, bytes, message, path);
  else receiveProtected(turn, bytes, message, path);
};

/** Only the beginning of an IKE SA is answered when it cannot be read (RFC 7296 §2.21.1, §2.5). */
const refuseUnreadable = (turn: Turn, bytes: Uint8Array, path: Path, error: IkeError): void => {
  if (error.notify === Notify.INVALID_MAJOR_VERSION) {
    refuseVersion(turn, bytes, path);
    return;
  }
  turn.count("malformed");
  if (error.notify !== Notify.UNSUPPORTED_CRITICAL_PAYLOAD) return;
  const header = parseHeader(bytes);
  if (header.exchange === Exchange.IKE_SA_INIT && !header.isResponse && header.fromInitiator && isZero(header.spiR))
    refuseInit(turn, header, path, error);
};

/** A request of a higher version is answered with the highest that we know, ours (RFC 7296 §2.5); never an answer. */
const refuseVersion = (turn: Turn, bytes: Uint8Array, path: Path): void => {
  turn.count("other-version");
  const header = readForeignHeader(bytes);
  if (header !== undefined) answerStranger(turn, header, path, Notify.INVALID_MAJOR_VERSION);
};

/** One notification without protection, to a request alone and not to too many (RFC 7296 §2.21.4). */
const answerStranger = (turn: Turn, request: HeaderFields, path: Path, notify: number): void => {
  if (request.isResponse || !turn.core.unprovenAnswers.take(turn.now)) return;
  const { spiI, spiR, exchange, fromInitiator, messageId } = request;
  const reply = { spiI, spiR, exchange, fromInitiator: !fromInitiator, isResponse: true, messageId };
  turn.send(path, emitMessage(reply, [notifyPayload(notify)]));
};

const isZero = (spi: Uint8Array): boolean => spi.every((octet) => octet === 0);

const receiveInit = (turn: Turn, bytes: Uint8Array, message: ParsedMessage, path: Path): void => {
  const { spiI, spiR, isResponse, fromInitiator, messageId } = message.header;
  if (message.protected !== undefined || messageId !== 0 || fromInitiator === isResponse) {
    turn.count("malformed");
    return;
  }
  if (!isResponse) {
    if (isZero(spiR)) answerInit(turn, bytes, message, path);
    else turn.count("malformed");
    return;
  }
  const sa = turn.core.sas.get(toHex(spiI));
  if (sa?.role === "initiator") readInitAnswer(turn, sa, bytes, message);
  else turn.count("unknown-spi");
};

const receiveProtected = (turn: Turn, bytes: Uint8Array, message: ParsedMessage, path: Path): void => {
  const { header } = message;
  const [ours, theirs] = header.fromInitiator ? [header.spiR, header.spiI] : [header.spiI, header.spiR];
  const sa = turn.core.sas.get(toHex(ours));
  if (sa === undefined) {
    const repeated = header.isResponse ? undefined : turn.core.lastAnswers.find(toHex(ours), bytes, turn.now);
    if (repeated === undefined) {
      turn.count("unknown-spi");
      if (turn.core.offeredSpis.has(toHex(ours))) return; // it has overtaken the answer that makes its IKE SA, and comes again
      // Somebody tells us one-way of an SA that he has not: that takes no answer (RFC 7296 §1.5).
      if (!hasNotify(message.payloads, Notify.INVALID_SPI)) answerStranger(turn, header, path, Notify.INVALID_IKE_SPI);
      return;
    }
    turn.count("repeated-requests");
    turn.sendAll(path, repeated);
    return;
  }
  const isPeers = header.fromInitiator === (sa.role === "responder");
  if (!isPeers || !equalBytes(theirs, header.fromInitiator ? sa.spiI : sa.spiR)) {
    turn.count("unknown-spi");
    return;
  }
  turn.touch(sa);
  if (header.isResponse) receiveAnswer(turn, sa, bytes, message, path);
  else receiveRequest(turn, sa, bytes, message, path);
};

/** A message whose ICV is good. */
interface Opened {
  /** An IkeError when they are malformed. */
  readonly payloads: readonly Payload[] | IkeError;
  /** The datagram that it came in, or the first one of several. */
  readonly datagram: Uint8Array;
  readonly isJoined: boolean;
}

/** Undefined when the message is to be ignored, or is a piece and more are to come. */
const open = (turn: Turn, sa: IkeSa, bytes: Uint8Array, message: ParsedMessage): Opened | undefined => {
  const keys = sa.inbound;
  if (keys === undefined || message.protected === undefined) {
    turn.count("unprotected");
    // A hint and no more: the request that it answers is sent on, and that asks whether the peer lives (§2.21.4).
    if (hasNotify(message.payloads, Notify.INVALID_IKE_SPI))
      turn.logUnproven("peer-forgot", sa, `${sa.remoteText} says that it does not know this IKE SA`);
    return undefined;
  }
  const { exchange, isResponse } = message.header;
  try {
    const opened =
      message.protected.fragment === undefined
        ? openWhole(turn, sa, bytes, message, keys)
        : openPiece(turn, sa, bytes, message, keys);
    if (opened !== undefined && !(opened.payloads instanceof IkeError))
      checkContents(exchange, isResponse, opened.payloads);
    return opened;
  } catch (error) {
    if (error instanceof IkeError) return { payloads: error, datagram: bytes, isJoined: false };
    throw error;
  }
};

/**
 * Somebody does not know the keys. That says nothing about an IKE SA that is up (RFC 7296 §2.21.2), but one that is not
 * may be kept busy by it: after so many it is forgotten.
 */
const cannotOpen = (turn: Turn, sa: IkeSa): void => {
  turn.count("bad-icv");
  sa.decryptFailures++;
  const most = turn.core.options.decryptFailures;
  if (sa.decryptFailures % most !== 0) return;
  const fields = { remote: sa.remoteText, failures: sa.decryptFailures };
  turn.logUnproven("decrypt-failures", sa, `${sa.remoteText}: ${sa.decryptFailures} messages with a wrong ICV`, fields);
  if (sa.state.name !== "init-answered") return;
  turn.count("decrypt-failure-limit");
  closeIkeSa(turn, sa, "too many messages with a wrong ICV");
};

const openWhole = (
  turn: Turn,
  sa: IkeSa,
  bytes: Uint8Array,
  message: ParsedMessage,
  keys: DirectionKeys,
): Opened | undefined => {
  const payloads = openProtected(bytes, message, keys);
  if (payloads === undefined) cannotOpen(turn, sa);
  return payloads && { payloads, datagram: bytes, isJoined: false };
};

/** RFC 7383 §2.6. */
const openPiece = (
  turn: Turn,
  sa: IkeSa,
  bytes: Uint8Array,
  message: ParsedMessage,
  keys: DirectionKeys,
): Opened | undefined => {
  if (sa.fragments === undefined) {
    turn.count("fragment-unexpected"); // we have not said that we take them
    return undefined;
  }
  const arriving = message.header.isResponse ? sa.arriving.answers : sa.arriving.requests;
  const taken = arriving.take(bytes, message, keys, turn.now);
  if ("dropped" in taken) {
    if (taken.dropped === "bad-icv") cannotOpen(turn, sa);
    else turn.count(taken.dropped);
    return undefined;
  }
  turn.count("fragments-received");
  if ("kept" in taken) return undefined;
  turn.count("messages-joined");
  return { payloads: taken.payloads, datagram: taken.first, isJoined: true };
};

/** Whether it is a request that was answered already: the same octets go back (RFC 7296 §2.1). */
const repeats = (turn: Turn, sa: IkeSa, bytes: Uint8Array, message: ParsedMessage, path: Path): boolean => {
  const last = sa.lastAnswered;
  if (message.header.messageId !== sa.expectedId - 1 || last === undefined) return false;
  const fragment = message.protected?.fragment;
  if (!equalBytes(last.request, bytes)) {
    if (fragment === undefined || sa.fragments === undefined || sa.inbound === undefined) return false;
    if (fragment.number !== 1) {
      turn.count("fragment-repeated"); // the first one alone asks for the answer again (RFC 7383 §2.6.1)
      return true;
    }
    if (openFragment(bytes, message, sa.inbound) === undefined) {
      turn.count("bad-icv");
      return true;
    }
    // The peer has cut its request anew, since it heard nothing: our answer may have been too long as well.
    sa.lastAnswered = { request: bytes, answer: cutLike(turn, sa, last.answer, bytes) };
    learnPath(sa, sa.lastAnswered.answer);
  }
  turn.count("repeated-requests");
  turn.sendAll(path, sa.lastAnswered?.answer ?? last.answer);
  return true;
};

const receiveRequest = (turn: Turn, sa: IkeSa, bytes: Uint8Array, message: ParsedMessage, path: Path): void => {
  const { exchange, messageId } = message.header;
  if (repeats(turn, sa, bytes, message, path)) return;
  if (messageId !== sa.expectedId) {
    turn.count("message-id");
    if (messageId > sa.expectedId) complainOfId(turn, sa, bytes, message);
    return;
  }
  if (sa.awaited.request !== undefined) {
    turn.count("being-answered");
    return;
  }
  if (handlerFor(sa, exchange) === undefined) {
    turn.count("unexpected-exchange");
    return;
  }
  const opened = open(turn, sa, bytes, message);
  if (opened === undefined) return;
  authentic(turn, sa, path);

  if (!(opened.payloads instanceof IkeError)) noteWindow(sa, opened.payloads);
  answerRequest(turn, sa, { opened, exchange, path });
};

/** An authentic request that is to be answered where it came from. */
interface Request {
  readonly opened: Opened;
  readonly exchange: number;
  readonly path: Path;
}

/** At once, or when the key exchange that it costs is computed: with what the IKE SA has come to by then. */
const answerRequest = (turn: Turn, sa: IkeSa, request: Request): void => {
  const handler = handlerFor(sa, request.exchange);
  if (handler === undefined) return;
  try {
    sendAnswer(turn, sa, request, answerOr(turn, sa, request.opened.payloads, handler));
  } catch (awaited) {
    if (!(awaited instanceof KeysAwaited)) throw awaited;
    sa.awaited.request = askForOthers(turn, awaited.work, (later) => {
      sa.awaited.request = undefined;
      later.touch(sa);
      answerRequest(later, sa, request);
    });
  }
};

const sendAnswer = (turn: Turn, sa: IkeSa, { opened, exchange, path }: Request, answer: Answer): void => {
  const { datagram, isJoined } = opened;
  const reply = sa.header(exchange, true, sa.expectedId);
  const outgoing = isJoined
    ? sealLike(turn, sa, reply, answer.payloads, datagram)
    : seal(turn, sa, reply, answer.payloads);
  sa.lastAnswered = { request: datagram, answer: outgoing };
  sa.expectedId++;
  turn.sendAll(path, outgoing);
  answer.after?.();
  mindMessageIds(turn, sa);
};

/**
 * A request ahead of its turn is not answered; the peer, if it is the peer, is told in a request of ours, seldom (RFC 7296
 * §2.3). One that is behind says nothing: anybody can send a copy of it.
 */
const complainOfId = (turn: Turn, sa: IkeSa, bytes: Uint8Array, message: ParsedMessage): void => {
  if (sa.state.name !== "established" || message.protected?.fragment !== undefined) return;
  if (open(turn, sa, bytes, message) === undefined || !sa.complaints.take(turn.now)) return;
  const data = new Uint8Array(4);
  new DataView(data.buffer).setUint32(0, message.header.messageId);
  sa.requests.add(turn, sa, new Report(notifyPayload(Notify.INVALID_MESSAGE_ID, data)));
};

type Handler = (turn: Turn, sa: IkeSa, payloads: readonly Payload[]) => Answer;

/** What an IKE SA in its state takes: IKE_AUTH once, then the others. */
const handlerFor = ({ state }: IkeSa, exchange: number): Handler | undefined => {
  if (state.name === "init-answered") return exchange === Exchange.IKE_AUTH ? answerAuth : undefined;
  if (state.name === "auth-sent" || state.name === "init-sent") return undefined;
  if (exchange === Exchange.CREATE_CHILD_SA) return answerCreateChildSa;
  return exchange === Exchange.INFORMATIONAL ? answerInformational : undefined;
};

/** The handler's answer, or the notification of what was wrong; some errors end the IKE SA (RFC 7296 §2.21). */
const answerOr = (turn: Turn, sa: IkeSa, payloads: readonly Payload[] | IkeError, handler: Handler): Answer => {
  const isUp = sa.state.name !== "init-answered";
  try {
    if (payloads instanceof IkeError) throw payloads;
    return handler(turn, sa, payloads);
  } catch (error) {
    if (!(error instanceof IkeError)) throw error;
    const ends = !isUp || error.notify === Notify.INVALID_SYNTAX;
    const level = ends ? "error" : "debug";
    const event = isUp ? "request-refused" : "ike-auth-rejected";
    const fields = { remote: sa.remoteText };
    if (isUp) turn.log(level, event, sa, `${sa.remoteText}: ${error.text}`, fields);
    else turn.logUnproven(event, sa, () => `${sa.remoteText}: ${error.text}`, fields);
    if (ends && sa.peering !== undefined) sa.peering.lastError = error.text;
    const refused = [notifyPayload(error.notify, error.data)];
    return ends ? { payloads: refused, after: () => closeIkeSa(turn, sa, error.message) } : { payloads: refused };
  }
};

const receiveAnswer = (turn: Turn, sa: IkeSa, bytes: Uint8Array, message: ParsedMessage, path: Path): void => {
  const { exchange, messageId } = message.header;
  const { pending } = sa.requests;
  if (pending?.messageId !== messageId || pending.exchange !== exchange || sa.awaited.answer !== undefined) {
    turn.count("late-answers");
    return;
  }
  const opened = open(turn, sa, bytes, message);
  if (opened === undefined) return;
  authentic(turn, sa, path);
  learnPath(sa, pending.request);
  if (!(opened.payloads instanceof IkeError)) noteWindow(sa, opened.payloads);
  settleAnswer(turn, sa, opened.payloads);
};

/** At once, or when what its key exchange comes to is computed. */
const settleAnswer = (turn: Turn, sa: IkeSa, payloads: readonly Payload[] | IkeError): void => {
  const agreement = payloads instanceof IkeError ? undefined : sa.requests.task?.agreement?.(payloads);
  if (agreement !== undefined && awaitsAgreement(turn, sa, agreement, (later) => settleAnswer(later, sa, payloads)))
    return;
  if (sa.state.name === "auth-sent") readAuth(turn, sa, payloads);
  else readAnswer(turn, sa, payloads);
  mindMessageIds(turn, sa);
  sa.requests.pump(turn, sa);
};

const readAuth = (turn: Turn, sa: IkeSa, payloads: readonly Payload[] | IkeError): void => {
  try {
    if (payloads instanceof IkeError) throw payloads;
    readAuthAnswer(turn, sa, payloads);
  } catch (error) {
    if (!(error instanceof IkeError)) throw error;
    failAuth(turn, sa, error);
  }
};

const readAnswer = (turn: Turn, sa: IkeSa, payloads: readonly Payload[] | IkeError): void => {
  const task = sa.requests.answered();
  if (payloads instanceof IkeError) {
    task?.abandon(turn, sa);
    distrust(turn, sa, payloads.message);
    return;
  }
  for (const fatal of [Notify.INVALID_SYNTAX, Notify.AUTHENTICATION_FAILED])
    if (hasNotify(payloads, fatal) && sa.state.name !== "closing") {
      task?.abandon(turn, sa); // the peer has ended the IKE SA (RFC 7296 §2.21.3)
      if (sa.peering !== undefined) sa.peering.lastError = "the peer ended the IKE SA: it could not read our request";
      closeIkeSa(turn, sa, "the peer could not read our request");
      return;
    }
  task?.answer(turn, sa, payloads);
};

/** An authentic peer whose answer makes no sense: begin anew with it. */
const distrust = (turn: Turn, sa: IkeSa, why: string): void => {
  turn.log("error", "answer-malformed", sa, `${sa.remoteText}: ${why}`, { remote: sa.remoteText });
  if (sa.peering !== undefined) sa.peering.lastError = why;
  if (sa.state.name === "closing") closeIkeSa(turn, sa, why);
  else deleteIkeSa(turn, sa, why);
};

/** A fresh message with a good ICV: the peer lives, and this is where. */
const authentic = (turn: Turn, sa: IkeSa, path: Path): void => {
  sa.decryptFailures = 0;
  heard(turn, sa);
  if (sa.state.name === "init-answered")
    sa.path = path; // with IKE_AUTH the initiator may move to port 4500
  else movePeer(turn, sa, path);
};

/** RFC 7296 §2.23: one that is not behind a NAT follows a peer that is; never the other way round. */
export const movePeer = (turn: Turn, sa: IkeSa, path: Path): void => {
  if (!sa.nat.remote || sa.nat.local) return;
  const { address, port } = path.remote;
  if (address === sa.path.remote.address && port === sa.path.remote.port) return;
  sa.path = path;
  turn.log("info", "peer-moved", sa, `the peer is at ${sa.remoteText} now`, { remote: sa.remoteText });
  for (const { spiIn } of sa.children.values()) turn.effects.push({ kind: "move", spiIn, path });
};
