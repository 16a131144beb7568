/** What becomes of a pair that the peer has deleted, RFC 7296 §1.4.1. */
import { type ChildSa, spiText } from "./child-sa.ts";
import { isChildUp, removeChild } from "./children.ts";
import type { IkeSa } from "./ike-sa.ts";
import type { Turn } from "./turn.ts";
import { wantChild } from "./want-children.ts";

/** Take it away, and ask for the child again where it has no other pair. Whether we were not deleting it ourselves. */
export const deletedByPeer = (turn: Turn, sa: IkeSa, child: ChildSa): boolean => {
  const { config, state, spiIn, resource } = child;
  const wasLive = child.isLive;
  removeChild(turn, sa, child, "deleted by the peer");
  if (wasLive && !isChildUp(sa, config.name, resource)) {
    turn.log("info", "child-sa-deleted", sa, `child ${config.name}: the peer deleted it`, { spiIn: spiText(spiIn) });
    wantChild(turn, sa, config, resource);
  }
  return state.name !== "deleting";
};
