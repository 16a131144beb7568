/** The heap of what is due next, judged by a walk over all that it has ever been told of: a word that was forgotten shows. */
import type { IkeSa } from "../../src/ike/ike-sa.ts";
import { Peering } from "../../src/ike/peering.ts";
import { Wakes } from "../../src/ike/wakes.ts";

export class JudgedWakes extends Wakes<IkeSa | Peering> {
  readonly #known = new Set<IkeSa | Peering>();

  override touch(subject: IkeSa | Peering): void {
    this.#known.add(subject);
    super.touch(subject);
  }

  override first<Due extends { readonly at: number }>(next: (subject: IkeSa | Peering) => Due | undefined) {
    const found = super.first(next);
    let least = Number.POSITIVE_INFINITY;
    for (const subject of this.#known) {
      const due = next(subject);
      if (due !== undefined) least = Math.min(least, due.at);
      else if (!(subject instanceof Peering) && subject.state.name === "closed") this.#known.delete(subject);
    }
    if (least !== (found?.at ?? Number.POSITIVE_INFINITY))
      throw new Error(`due next at ${least}, but the heap says ${found?.at}`);
    return found;
  }
}
