/**
 * INFORMATIONAL as its responder, RFC 7296 §1.4: deletions, the question whether we live, and errors that could not be told
 * in an answer
 *
 *   HDR, SK {[N,] [D,] ...} -->
 *                           <-- HDR, SK {[D,] ...}
 */
import type { Answer } from "./answer.ts";
import { spiText } from "./child-sa.ts";
import { isChildUp, removeChild, useAnswered } from "./children.ts";
import { holderOf } from "./delete-child-sa.ts";
import { deletion } from "./deletion.ts";
import type { IkeSa } from "./ike-sa.ts";
import { closeIkeSa } from "./ike-sa-end.ts";
import { findAll, type Payload } from "./message.ts";
import { Notify, notifyName } from "./notify.ts";
import { errorNotify, hasNotify } from "./payloads.ts";
import { Protocol, spiBytes } from "./proposal.ts";
import { inheritByUse } from "./rekey-ike-sa.ts";
import { readReport } from "./report.ts";
import type { Turn } from "./turn.ts";
import { wantChild } from "./want-children.ts";

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

  const report = errorNotify(payloads);
  if (report !== undefined) readReport(turn, holderOf(sa), report);
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
