/**
 * INFORMATIONAL, RFC 7296 §1.4: deleting, asking whether the peer lives, and reporting what cannot be said in an answer
 *
 *   HDR, SK {[N,] [D,] ...} -->
 *                           <-- HDR, SK {[D,] ...}
 */
import { type ChildSa, spiText } from "./child-sa.ts";
import { isChildUp, removeChild, useAnswered } from "./children.ts";
import { LIVENESS_TRIES, type Liveness as LivenessConfig, type Retransmit } from "./connection.ts";
import type { IkeSa } from "./ike-sa.ts";
import { closeIkeSa } from "./ike-sa-end.ts";
import { Exchange, findAll, type Payload } from "./message.ts";
import { Notify, notifyName } from "./notify.ts";
import { hasNotify, notifyPayload } from "./payloads.ts";
import { Protocol, spiBytes } from "./proposal.ts";
import type { Answer } from "./receive.ts";
import { inheritByUse } from "./rekey-ike-sa.ts";
import type { Task } from "./task.ts";
import type { Turn } from "./turn.ts";
import { wantChild } from "./want-children.ts";

const deletion = (protocol: number, spis: readonly Uint8Array[]): Payload => ({
  kind: "Delete",
  value: { protocol, spis },
});

/** Delete a pair: our inbound SA by its SPI, and the peer answers with the other one (RFC 7296 §1.4.1). */
class DeleteChild implements Task {
  readonly kind = "delete-child-sa";
  readonly exchange = Exchange.INFORMATIONAL;
  readonly #child: ChildSa;
  readonly #why: string;

  constructor(child: ChildSa, why: string) {
    this.#child = child;
    this.#why = why;
  }

  request(): readonly Payload[] | undefined {
    if (this.#child.state.name !== "deleting") return undefined;
    return [deletion(Protocol.ESP, [spiBytes(this.#child.spiIn)])];
  }

  answer(turn: Turn, sa: IkeSa): void {
    removeChild(turn, holderOf(sa), this.#child, this.#why);
  }

  abandon(): void {
    // The end of the IKE SA takes all its children with it.
  }
}

/** Delete a pair that the peer has and we never installed. */
export class DeleteUninstalled implements Task {
  readonly kind = "delete-child-sa";
  readonly exchange = Exchange.INFORMATIONAL;
  readonly #spiIn: number;

  constructor(spiIn: number) {
    this.#spiIn = spiIn;
  }

  request(): readonly Payload[] {
    return [deletion(Protocol.ESP, [spiBytes(this.#spiIn)])];
  }

  answer(turn: Turn): void {
    turn.core.env.releaseSpi(this.#spiIn);
  }

  abandon(turn: Turn): void {
    turn.core.env.releaseSpi(this.#spiIn);
  }
}

/** Delete the IKE SA: its SPIs are in the header. */
export class DeleteIkeSa implements Task {
  readonly kind = "delete-ike-sa";
  readonly exchange = Exchange.INFORMATIONAL;

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

/** Ask whether the peer lives (RFC 7296 §2.4): any answer will do. */
export class Liveness implements Task {
  readonly kind = "liveness";
  readonly exchange = Exchange.INFORMATIONAL;
  readonly patience?: number;
  readonly plan?: Retransmit;

  constructor({ timeout, retry }: Pick<LivenessConfig, "timeout" | "retry">) {
    if (timeout !== undefined) this.patience = timeout;
    if (retry !== undefined) this.plan = { first: retry, factor: 1, tries: LIVENESS_TRIES };
  }

  request(): readonly Payload[] {
    return [];
  }

  answer(): void {
    // That it came is all there is to it.
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

/** Begin to delete a pair. It is taken away when the peer has answered, which by then sends on another. */
export const deleteChild = (turn: Turn, sa: IkeSa, child: ChildSa, why = "deleted"): void => {
  if (child.state.name === "deleting" || child.state.name === "removed") return;
  child.become({ name: "deleting" });
  sa.requests.add(turn, sa, new DeleteChild(child, why));
};

/** The IKE SA that has the children of this one: the one that it was rekeyed to, if it was. */
const holderOf = (sa: IkeSa): IkeSa => (sa.state.name === "replaced" ? holderOf(sa.state.by) : sa);

/** The peer's request. An empty one is answered by an empty one. */
export const answerInformational = (turn: Turn, sa: IkeSa, payloads: readonly Payload[]): Answer => {
  const deletions = findAll(payloads, "Delete");
  for (const fatal of [Notify.AUTHENTICATION_FAILED, Notify.INVALID_SYNTAX])
    if (hasNotify(payloads, fatal)) {
      const why = `the peer reports ${notifyName(fatal)}`;
      turn.log("error", "peer-error", sa, `${sa.remoteText}: ${why}`, { remote: sa.remoteText });
      return { payloads: [], after: () => end(turn, sa, why) };
    }
  if (deletions.some(({ protocol }) => protocol === Protocol.IKE))
    return { payloads: [], after: () => end(turn, sa, "deleted by the peer") };

  if (deletions.length > 0) inheritByUse(turn, sa);
  useAnswered(turn, sa);
  const paired: Uint8Array[] = [];
  for (const { protocol, spis } of deletions)
    if (protocol === Protocol.ESP) for (const spi of spis) paired.push(...deletedByPeer(turn, holderOf(sa), spi));
  return { payloads: paired.length === 0 ? [] : [deletion(Protocol.ESP, paired)] };
};

const end = (turn: Turn, sa: IkeSa, why: string): void => {
  if (sa.state.name === "established" && sa.peering !== undefined) sa.peering.lastError = why;
  closeIkeSa(turn, sa, why);
};

/** SPIs to answer with: of the other half of the pair, unless we are deleting it ourselves (RFC 7296 §1.4.1, §2.25.1). */
const deletedByPeer = (turn: Turn, sa: IkeSa, spi: Uint8Array): Uint8Array[] => {
  const child = [...sa.children.values()].find(({ spiOut }) => Buffer.compare(spiBytes(spiOut), spi) === 0);
  if (child === undefined) {
    turn.log("debug", "delete-unknown", sa, `the peer deletes a Child SA that is not there`);
    return [];
  }
  const state = child.state.name;
  removeChild(turn, sa, child, "deleted by the peer");
  const { config } = child;
  if ((state === "installed" || state === "rekeying") && !isChildUp(sa, config.name, child.resource)) {
    turn.log("info", "child-sa-deleted", sa, `child ${config.name}: the peer deleted it`, {
      spiIn: spiText(child.spiIn),
    });
    wantChild(turn, sa, config, child.resource);
  }
  return state === "deleting" ? [] : [spiBytes(child.spiIn)];
};
