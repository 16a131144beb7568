/** A Child SA that could not be had: say what was offered, and try again later. */
import { type ChildOffer, selectorsText } from "./child-offer.ts";
import type { IkeError } from "./ike-error.ts";
import type { IkeSa } from "./ike-sa.ts";
import { describeProposals } from "./proposal.ts";
import type { Turn } from "./turn.ts";

/** We asked for it. */
export const childFailed = (turn: Turn, sa: IkeSa, { config, proposals }: ChildOffer, error: IkeError): void => {
  const selectors = `${selectorsText(config.local)} === ${selectorsText(config.remote)}`;
  const context = error.context ?? `offered ${describeProposals(proposals)}; ${selectors}`;
  const text = `child ${config.name}: ${error.message} (${context})`;
  turn.log("error", "child-sa-failed", sa, text, { child: config.name });
  if (sa.peering !== undefined) sa.peering.lastError = text;
};

/** The peer asked for it, and we refuse. */
export const refuseChild = (turn: Turn, sa: IkeSa, { message, context }: IkeError): void => {
  const text = context === undefined ? message : `${message} (${context})`;
  turn.log("error", "child-sa-refused", sa, `${sa.remoteText}: child refused: ${text}`, { remote: sa.remoteText });
  if (sa.peering !== undefined) sa.peering.lastError = `child refused: ${text}`;
};
