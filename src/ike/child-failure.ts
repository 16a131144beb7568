/** A Child SA that could not be had: say what was offered, and try again later. */
import type { ChildOffer } from "./agreed-child.ts";
import { selectorsText } from "./child-offer.ts";
import type { ChildConfig } from "./connection.ts";
import type { IkeError } from "./ike-error.ts";
import type { IkeSa } from "./ike-sa.ts";
import { Notify } from "./notify.ts";
import { describeProposals } from "./proposal.ts";
import type { Turn } from "./turn.ts";

/** We asked for it. */
export const childFailed = (
  turn: Turn,
  sa: IkeSa,
  { config, proposals, local, remote }: ChildOffer,
  error: IkeError,
): void => {
  const selectors = `${selectorsText(local)} === ${selectorsText(remote)}`;
  const context = error.context ?? `offered ${describeProposals(proposals)}; ${selectors}`;
  const text = `child ${config.name}: ${error.message} (${context})`;
  turn.log("error", "child-sa-failed", sa, text, { child: config.name });
  if (sa.peering !== undefined) sa.peering.lastError = text;
};

/** It cannot be asked for as things are. */
export const noteProblem = (turn: Turn, sa: IkeSa, { name }: ChildConfig, problem: string): void => {
  const text = `child ${name}: ${problem}`;
  turn.log("error", "child-sa-failed", sa, text, { child: name });
  if (sa.peering !== undefined) sa.peering.lastError = text;
};

/** The peer asked for it, and we refuse. */
export const refuseChild = (turn: Turn, sa: IkeSa, { notify, text }: IkeError): void => {
  if (notify === Notify.TS_MAX_QUEUE) return; // how a peer finds out how many pairs there may be (RFC 9611 §5.2)
  const { remoteText: remote } = sa;
  if (sa.refusedChildLogs.allow(turn.now))
    turn.log("error", "child-sa-refused", sa, `${remote}: child refused: ${text}`, { remote });
  else turn.count("logs-suppressed");
  if (sa.peering !== undefined) sa.peering.lastError = `child refused: ${text}`;
};
