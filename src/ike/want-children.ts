/**
 * Which pairs of Child SAs are wanted and not there: of each child the fallback, and of one that has it as many more as the
 * configuration says and the peer takes (RFC 9611).
 */
import { hasChild } from "./children.ts";
import type { ChildConfig } from "./connection.ts";
import type { IkeSa } from "./ike-sa.ts";
import { mayAskFor } from "./resources.ts";
import type { Turn } from "./turn.ts";

/** How long a responder leaves it to the initiator to ask for what is not there, ms. */
const CHILDREN_LATER = 5_000;

/** Children that we ask for by ourselves. */
export const wanted = ({ peering }: IkeSa): readonly ChildConfig[] =>
  peering === undefined ? [] : peering.config.children.filter((config) => peering.wants(config));

/** As responder: the initiator asks for what it wants, we for what is left. */
export const wantChildrenLater = (turn: Turn, sa: IkeSa): void => {
  for (const config of wanted(sa))
    for (const resource of missing(sa, config)) wantChild(turn, sa, config, resource, CHILDREN_LATER);
};

/** Ask for a pair again: within some time, or with back-off. */
export const wantChild = (turn: Turn, sa: IkeSa, { name }: ChildConfig, resource: number, within?: number): void =>
  sa.peering?.retryChild(turn, name, resource, within === undefined ? undefined : turn.jittered(within, 0.5));

/** Resources without a pair that the peer may be asked for and that nothing is under way for. */
export const missing = (sa: IkeSa, config: ChildConfig): number[] =>
  Array.from({ length: config.sas }, (_, resource) => resource).filter(
    (resource) =>
      mayAskFor(sa, config, resource) &&
      !hasChild(sa, config.name, resource) &&
      !sa.peering?.isChildDue(config.name, resource),
  );
