/**
 * Message IDs and windows, RFC 7296 §2.2 and §2.3. We have one request on its way at a time, which every window allows, and
 * say nothing of ours, so that the peer has one too. Long before its message IDs come to their end an IKE SA is rekeyed, and
 * one that cannot be rekeyed is closed while there are some left for the Delete.
 */
import type { IkeSa } from "./ike-sa.ts";
import { deleteIkeSa } from "./ike-sa-end.ts";
import { notifies, type Payload } from "./message.ts";
import { Notify } from "./notify.ts";
import type { Turn } from "./turn.ts";

/** Of the message IDs that there are. */
const REKEY_AT = 0.9;
const CLOSE_BEFORE_LAST = 4;
/** A rekey that is due or will be tried again within this time, ms, needs no help. */
const SOON = 60_000;

/** Call when a message ID was used up, in either direction. */
export const mindMessageIds = (turn: Turn, sa: IkeSa): void => {
  const { state } = sa;
  if (state.name !== "established") return;
  const { lastMessageId } = turn.core.options;
  const next = Math.max(sa.requests.nextId, sa.expectedId);
  if (next > lastMessageId - CLOSE_BEFORE_LAST) {
    deleteIkeSa(turn, sa, "its message IDs come to their end");
    return;
  }
  const isDue = state.rekeyAt <= turn.now + SOON || sa.requests.has(({ kind }) => kind === "rekey-ike-sa");
  if (next >= REKEY_AT * lastMessageId && !isDue) {
    turn.log("info", "message-ids-low", sa, `IKE SA with ${sa.remoteText}: rekeyed before its message IDs end`);
    sa.become({ ...state, rekeyAt: turn.now });
  }
};

/** SET_WINDOW_SIZE: four octets, at least 1, and it only grows. Anything else is no news. */
export const noteWindow = (sa: IkeSa, payloads: readonly Payload[]): void => {
  for (const { data } of notifies(payloads, Notify.SET_WINDOW_SIZE))
    if (data.length === 4)
      sa.peerWindow = Math.max(sa.peerWindow, new DataView(data.buffer, data.byteOffset).getUint32(0));
};
