/** The ends of a Child SA's life: the soft one rekeys it, the hard one deletes it (RFC 4301 §4.4.2.1). */
import { type ChildSa, spiText } from "./child-sa.ts";
import { CreateChild } from "./create-child-sa.ts";
import { deleteChild } from "./delete-child-sa.ts";
import type { IkeSa } from "./ike-sa.ts";
import type { Turn } from "./turn.ts";
import { wantChild } from "./want-children.ts";

/** Rekey a pair: it carries traffic until the new one does. */
export const rekeyChild = (turn: Turn, sa: IkeSa, child: ChildSa): void => {
  if (child.state.name !== "installed") return;
  const task = new CreateChild(child.config, { resource: child.resource, old: child });
  child.become({ name: "rekeying", task });
  sa.requests.add(turn, sa, task);
};

/** The hard end of a pair: delete it, and ask for another where it is wanted. */
export const expireChild = (turn: Turn, sa: IkeSa, child: ChildSa, why: string): void => {
  const fields = { child: child.config.name, spiIn: spiText(child.spiIn) };
  turn.log("warn", "child-sa-expired", sa, `child ${child.config.name}: ${why}`, fields);
  deleteChild(turn, sa, child, why);
  wantChild(turn, sa, child.config, child.resource);
};
