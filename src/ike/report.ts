/** Errors that belong to no answer, told in INFORMATIONAL requests of their own (RFC 7296 §1.4, §3.10.1). */
import type { Endpoint } from "../ip-address.ts";
import { expireChild } from "./child-life.ts";
import type { IkeSa } from "./ike-sa.ts";
import { Exchange, type Payload } from "./message.ts";
import { Notify, notifyName } from "./notify.ts";
import { notifyAboutSpi, notifyPayload } from "./payloads.ts";
import { Protocol, spiBytes } from "./proposal.ts";
import type { Task } from "./task.ts";
import type { Turn } from "./turn.ts";

/** A pair that is so young may be one whose making the peer is still busy with, ms. */
const YOUNG = 30_000;

/** Tell the peer of something that it did, on an IKE SA that goes on. */
export class Report implements Task {
  readonly kind = "report";
  readonly exchange = Exchange.INFORMATIONAL;
  readonly #notify: Payload;

  constructor(notify: Payload) {
    this.#notify = notify;
  }

  request(): readonly Payload[] {
    return [this.#notify];
  }

  answer(): void {
    // That it came is all there is to it.
  }

  abandon(): void {
    // Nothing was taken.
  }
}

/**
 * ESP came from `source` (port 0: not in UDP) for an SPI that is none of ours. A peer there that has an IKE SA with us is told,
 * seldom (RFC 7296 §1.5): it may hold a pair that we have lost. Anybody can write its address, so no more follows from it.
 */
export const reportUnknownSpi = (turn: Turn, spi: number, { address, port }: Endpoint): void => {
  if (turn.core.findChild(spi) !== undefined || !turn.core.strays.take(turn.now)) return;
  for (const sa of turn.core.sas.values()) {
    const { remote } = sa.path;
    if (remote.address === address && (port === 0 || remote.port === port))
      complain(turn, sa, notifyPayload(Notify.INVALID_SPI, spiBytes(spi)));
  }
};

/**
 * An authentic packet on this pair was outside of its selectors: its peer is told, seldom, how it began (RFC 4301 §5.2 step 4,
 * RFC 7296 §3.10.1).
 */
export const reportSelectors = (turn: Turn, spiIn: number, start: Uint8Array): void => {
  const sa = turn.core.findChild(spiIn)?.sa;
  if (sa !== undefined)
    complain(turn, sa, notifyAboutSpi(Notify.INVALID_SELECTORS, Protocol.ESP, spiBytes(spiIn), start));
};

const complain = (turn: Turn, sa: IkeSa, notify: Payload): void => {
  if (sa.state.name !== "established" || !sa.strayReports.take(turn.now)) return;
  turn.count("stray-reports");
  sa.requests.add(turn, sa, new Report(notify));
};

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
