/**
 * Deleting a pair, RFC 7296 §1.4.1
 *
 *   HDR, SK {D} -->
 *                   <-- HDR, SK {D}
 */
import type { ChildSa } from "./child-sa.ts";
import { removeChild } from "./children.ts";
import { deletion } from "./deletion.ts";
import type { IkeSa } from "./ike-sa.ts";
import { Exchange, type Payload } from "./message.ts";
import { Protocol, spiBytes } from "./proposal.ts";
import type { Task } from "./task.ts";
import type { Turn } from "./turn.ts";

/** Begin to delete a pair. It is taken away when the peer has answered, which by then sends on another. */
export const deleteChild = (turn: Turn, sa: IkeSa, child: ChildSa, why = "deleted"): void => {
  if (child.state.name === "deleting" || child.state.name === "removed") return;
  child.become({ name: "deleting" });
  sa.requests.add(turn, sa, new DeleteChild(child, why));
};

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

/** The IKE SA that has the children of this one: the one that it was rekeyed to, if it was. */
export const holderOf = (sa: IkeSa): IkeSa => (sa.state.name === "replaced" ? holderOf(sa.state.by) : sa);
