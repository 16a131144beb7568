/**
 * INFORMATIONAL as its responder, RFC 7296 §1.4: deletions, the question whether we live, and errors that could not be told
 * in an answer
 *
 *   HDR, SK {[N,] [D,] ...} -->
 *                           <-- HDR, SK {[D,] ...}
 */
import { toHex } from "../bytes.ts";
import type { Answer } from "./answer.ts";
import { useAnswered } from "./children.ts";
import { CreateChild } from "./create-child-sa.ts";
import { holderOf } from "./delete-child-sa.ts";
import { deletedByPeer } from "./deleted-child.ts";
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
  const spis = deletions.filter(({ protocol }) => protocol === Protocol.ESP).flatMap((each) => each.spis);
  const paired = spis.length === 0 ? [] : pairedWith(turn, holderOf(sa), spis);
  return { payloads: paired.length === 0 ? [] : [deletion(Protocol.ESP, paired)] };
};

const end = (turn: Turn, sa: IkeSa, why: string): void => {
  if (sa.state.name === "established" && sa.peering !== undefined) sa.peering.lastError = why;
  closeIkeSa(turn, sa, why);
};

/**
 * SPIs to answer with: of the other half of each pair, unless we are deleting it ourselves or do not have it, perhaps not yet
 * (RFC 7296 §1.4.1, §2.25.1). A peer may name thousands.
 */
const pairedWith = (turn: Turn, sa: IkeSa, spis: readonly Uint8Array[]): Uint8Array[] => {
  const { task } = sa.requests;
  const bySpi = new Map([...sa.children.values()].reverse().map((child) => [toHex(spiBytes(child.spiOut)), child])); // of two the first
  const paired: Uint8Array[] = [];
  let unknown = 0;
  for (const spi of spis) {
    const child = bySpi.get(toHex(spi));
    if (child === undefined || child.state.name === "removed") {
      unknown++;
      if (task instanceof CreateChild) task.deletedBefore(spi);
    } else if (deletedByPeer(turn, sa, child)) paired.push(spiBytes(child.spiIn));
  }
  if (unknown > 0) turn.log("debug", "delete-unknown", sa, `the peer deletes Child SAs that are not there: ${unknown}`);
  return paired;
};
