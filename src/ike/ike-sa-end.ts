/** How an IKE SA ends: with a Delete that the peer answers, or at once (RFC 7296 §1.4.1, §2.4). */
import { removeChild, samePeer } from "./children.ts";
import { deletion } from "./deletion.ts";
import type { IkeSa } from "./ike-sa.ts";
import { Exchange, type Payload } from "./message.ts";
import { notifyName } from "./notify.ts";
import { seal } from "./outgoing.ts";
import { notifyPayload } from "./payloads.ts";
import { Protocol } from "./proposal.ts";
import type { Task } from "./task.ts";
import type { Turn } from "./turn.ts";
import { wantChildrenLater } from "./want-children.ts";

/** Forget it with all that it holds. Its connection is tried again where it is wanted. */
export const closeIkeSa = (turn: Turn, sa: IkeSa, why: string): void => {
  if (sa.state.name === "closed") return;
  const wasUp = sa.state.name === "established";
  if (sa.state.name === "auth-sent" && sa.state.offer !== undefined) turn.core.env.releaseSpi(sa.state.offer.spiIn);
  turn.core.keyWorks.forget(turn, sa.awaited.request);
  turn.core.keyWorks.forget(turn, sa.awaited.answer);
  sa.requests.abandon(turn, sa); // may hand the children over to a twin
  for (const child of [...sa.children.values()]) removeChild(turn, sa, child, why);
  sa.become({ name: "closed" });
  sa.arriving.requests.forget();
  sa.arriving.answers.forget();
  turn.core.remove(sa);
  if (sa.lastAnswered !== undefined)
    turn.core.lastAnswers.keep(sa.spiText, sa.lastAnswered.request, sa.lastAnswered.answer, turn.now);
  turn.log(wasUp ? "info" : "debug", "ike-sa-closed", sa, `IKE SA with ${sa.remoteText} closed: ${why}`);
  sa.peering?.lost(turn);
  // A child may have been asked for on an IKE SA that ended while its twin lives on.
  for (const other of samePeer(sa)) if (other.state.name === "established") wantChildrenLater(turn, other);
};

/**
 * Take its children away now and tell the peer; it is gone when the peer has answered or is given up: with `patience` after so
 * many milliseconds.
 */
export const deleteIkeSa = (turn: Turn, sa: IkeSa, why: string, patience?: number): void => {
  const { state } = sa;
  switch (state.name) {
    case "closed":
    case "closing":
      return;
    case "auth-sent": // the peer may be up already: wait for its answer, then delete
      return;
    case "init-sent":
    case "init-answered":
      closeIkeSa(turn, sa, why);
      return;
    case "established":
    case "replaced": {
      for (const child of [...sa.children.values()]) removeChild(turn, sa, child, why);
      for (const queued of sa.requests.takeQueue(turn)) queued.abandon(turn, sa);
      sa.become({ name: "closing", keys: state.keys, suite: state.suite });
      turn.log(state.name === "replaced" ? "debug" : "info", "ike-sa-deleting", sa, `deleting the IKE SA: ${why}`);
      sa.requests.add(turn, sa, new DeleteIkeSa(patience));
      if (state.name === "established") sa.peering?.lost(turn);
    }
  }
};

/**
 * How long the peer is told that an IKE SA ends which was rekeyed, and which it ought to have deleted itself, ms. It may well not
 * have it any more, and what it answers then proves nothing (RFC 7296 §2.21.4). The many tries of §2.4 are to find out whether a
 * peer lives: that is asked on the successor.
 */
export const OVERDUE_PATIENCE = 10_000;

/** The guard time of an IKE SA that was rekeyed is over. */
export const deleteOverdue = (turn: Turn, sa: IkeSa): void =>
  deleteIkeSa(turn, sa, "rekeyed, and the peer did not delete it", OVERDUE_PATIENCE);

/**
 * End it with a Delete, since the two ends do not know the same any more (RFC 7296 §2.25); its connection is begun again at once
 * where somebody wants it.
 */
export const beginAnew = (turn: Turn, sa: IkeSa, why: string): void => {
  const { peering } = sa;
  const wish = peering?.wish ?? "no";
  deleteIkeSa(turn, sa, why);
  if (peering === undefined || wish === "no" || peering.isAlive) return;
  peering.wish = wish;
  peering.retryAt = turn.now;
  turn.touch(peering);
};

/** A last Delete that nobody waits for: the gateway stops, or the peer has too many IKE SAs. */
export const sayGoodbye = (turn: Turn, sa: IkeSa): void => {
  const isUp = sa.state.name === "established" || sa.state.name === "replaced";
  const id = sa.requests.nextId + (sa.requests.pending === undefined ? 0 : 1);
  if (!isUp) return;
  const header = sa.header(Exchange.INFORMATIONAL, false, id);
  turn.sendAll(sa.path, seal(turn, sa, header, new DeleteIkeSa().request()));
};

/** Delete the IKE SA: its SPIs are in the header. */
class DeleteIkeSa implements Task {
  readonly kind = "delete-ike-sa";
  readonly exchange = Exchange.INFORMATIONAL;
  readonly patience?: number;

  constructor(patience?: number) {
    if (patience !== undefined) this.patience = patience;
  }

  request(): readonly Payload[] {
    return [deletion(Protocol.IKE, [])];
  }

  answer(turn: Turn, sa: IkeSa): void {
    closeIkeSa(turn, sa, "deleted");
  }

  abandon(): void {
    // Nothing was taken.
  }
}

/** Tell the peer that we do not accept its IKE_AUTH answer: both ends forget the SA (RFC 7296 §2.21.2). */
export class ReportError implements Task {
  readonly kind = "report-error";
  readonly exchange = Exchange.INFORMATIONAL;
  readonly #notify: number;

  constructor(notify: number) {
    this.#notify = notify;
  }

  /** Those that do not know what the notification means here know what the Delete means. */
  request(): readonly Payload[] {
    return [notifyPayload(this.#notify), deletion(Protocol.IKE, [])];
  }

  answer(turn: Turn, sa: IkeSa): void {
    closeIkeSa(turn, sa, notifyName(this.#notify));
  }

  abandon(): void {
    // Nothing was taken.
  }
}
