/** Errors that belong to no answer, told in INFORMATIONAL requests of their own (RFC 7296 §1.4, §3.10.1). */
import { expireChild } from "./child-life.ts";
import type { IkeSa } from "./ike-sa.ts";
import { Exchange, type Payload } from "./message.ts";
import { Notify, notifyName } from "./notify.ts";
import { notifyPayload } from "./payloads.ts";
import type { Task } from "./task.ts";
import type { Turn } from "./turn.ts";

/** A pair that is so young may be one whose making the peer is still busy with, ms. */
const YOUNG = 30_000;

/** Tell the peer of something that it did, on an IKE SA that goes on. */
export class Report implements Task {
  readonly kind = "report";
  readonly exchange = Exchange.INFORMATIONAL;
  readonly #type: number;
  readonly #data: Uint8Array;

  constructor(type: number, data: Uint8Array) {
    this.#type = type;
    this.#data = data;
  }

  request(): readonly Payload[] {
    return [notifyPayload(this.#type, this.#data)];
  }

  answer(): void {
    // That it came is all there is to it.
  }

  abandon(): void {
    // Nothing was taken.
  }
}

/**
 * The peer tells us, and the IKE SA goes on. One that does not know the SA that we send on has lost it, so the pair is made
 * anew (RFC 7296 §1.5): on this IKE SA it is no stranger who says so.
 */
export const readReport = (turn: Turn, sa: IkeSa, { type, data }: { type: number; data: Uint8Array }): void => {
  const what = notifyName(type);
  turn.logUnproven("peer-report", sa, `${sa.remoteText} reports ${what}`, { remote: sa.remoteText, notify: what });
  if (type !== Notify.INVALID_SPI || data.length !== 4) return;
  const spi = new DataView(data.buffer, data.byteOffset).getUint32(0);
  const child = [...sa.children.values()].find(({ spiOut }) => spiOut === spi);
  if (child?.isLive && turn.now - child.since >= YOUNG)
    expireChild(turn, sa, child, "the peer does not know it any more");
};
