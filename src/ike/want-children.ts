/**
 * Which pairs of Child SAs are wanted and not there: of each child the fallback, and of one that has it as many more as the
 * configuration says and the peer takes (RFC 9611).
 */
import { hasChild } from "./children.ts";
import type { ChildConfig } from "./connection.ts";
import { CreateChild } from "./create-child-sa.ts";
import type { IkeSa } from "./ike-sa.ts";
import { mayAskFor } from "./resources.ts";
import type { Turn } from "./turn.ts";

/** How long a responder leaves it to the initiator to ask for what is not there, ms. */
const CHILDREN_LATER = 5_000;

/** Ask for all that the connection wants and has not. */
export const wantChildren = (turn: Turn, sa: IkeSa): void => {
  for (const config of wanted(sa)) wantPairs(turn, sa, config);
};

const wanted = ({ peering }: IkeSa): readonly ChildConfig[] =>
  peering === undefined ? [] : peering.config.children.filter((config) => peering.wants(config));

/** As responder: the initiator asks for what it wants, we for what is left. */
export const wantChildrenLater = (turn: Turn, sa: IkeSa): void => {
  for (const config of wanted(sa))
    for (const resource of missing(sa, config)) wantChild(turn, sa, config, resource, CHILDREN_LATER);
};

/** Ask for a pair again: within some time, or with back-off. */
export const wantChild = (turn: Turn, sa: IkeSa, { name }: ChildConfig, resource: number, within?: number): void =>
  sa.peering?.retryChild(turn, name, resource, within === undefined ? undefined : turn.jittered(within, 0.5));

/** Ask for all pairs of a child that are not there. */
export const wantPairs = (turn: Turn, sa: IkeSa, config: ChildConfig): void => {
  if (sa.peering === undefined || sa.peering.wish === "no") return;
  for (const resource of missing(sa, config)) sa.requests.add(turn, sa, new CreateChild(config, { resource }));
};

/** Resources without a pair that the peer may be asked for and that nothing is under way for. */
const missing = (sa: IkeSa, config: ChildConfig): number[] =>
  Array.from({ length: config.sas }, (_, resource) => resource).filter(
    (resource) =>
      mayAskFor(sa, config, resource) &&
      !hasChild(sa, config.name, resource) &&
      !sa.peering?.isChildDue(config.name, resource),
  );
