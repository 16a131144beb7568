/** The ordered policies of tunnels with children, as control writes them into shared memory (RFC 4301 §4.4.1). */
import { EspalierError } from "../errors.ts";
import { type Policy, PolicyAction } from "../ipsec/policy.ts";
import { compilePolicies } from "../ipsec/policy-compiler.ts";
import { PolicyMemory } from "./policy-memory.ts";
import { PolicyRoom } from "./policy-room.ts";

/** Of a tunnel with children. */
export interface PlanePolicy extends Pick<Policy, "local" | "remote"> {
  readonly action: "protect" | "bypass" | "discard";
  /** The child that protects, from `addChild`; undefined for the other actions. */
  readonly child?: number;
}

const ACTIONS = { protect: PolicyAction.PROTECT, bypass: PolicyAction.BYPASS, discard: PolicyAction.DISCARD } as const;

const compileList = (policies: readonly PlanePolicy[]): { entries: Uint32Array; compiled: Uint32Array } => {
  const list = policies.map(({ action, child = 0, local, remote }) => ({
    action: ACTIONS[action],
    child,
    local,
    remote,
  }));
  return {
    entries: Uint32Array.from(list, ({ action, child }) => (action << 24) | child),
    compiled: compilePolicies(list),
  };
};

export class PlanePolicies {
  readonly #memory: PolicyMemory;
  readonly #room: PolicyRoom;
  /** By tunnel: where its list lies, and the children that it names. */
  readonly #lists = new Map<number, { readonly at: number; readonly named: ReadonlySet<number> }>();

  constructor(memory: PolicyMemory) {
    this.#memory = memory;
    this.#room = new PolicyRoom(memory.room);
  }

  /**
   * Publish the list of a tunnel with these children. Returns the place of the former one, if any: it is to be given to
   * `retire`. Throws ESPALIER_USAGE and changes nothing then.
   */
  set(tunnel: number, children: readonly number[], policies: readonly PlanePolicy[]): number | undefined {
    for (const { action, child } of policies)
      if ((action === "protect") !== (child !== undefined) || (child !== undefined && !children.includes(child)))
        throw new EspalierError("ESPALIER_USAGE", `a policy of tunnel ${tunnel} that names no child of it`);
    const { entries, compiled } = compileList(policies);
    const at = this.#room.take(PolicyMemory.wordsFor(entries.length, compiled.length));
    this.#memory.write(at, entries, compiled);
    const former = this.#lists.get(tunnel)?.at;
    this.#memory.publishOutbound(tunnel, at);
    for (const child of children) this.#memory.publishInbound(child, at);
    this.#lists.set(tunnel, { at, named: new Set(policies.flatMap(({ child }) => child ?? [])) });
    return former;
  }

  /** A new child of a tunnel: what its SAs bring is checked from the beginning. */
  join(tunnel: number, child: number): void {
    this.#memory.publishInbound(child, this.#lists.get(tunnel)?.at ?? 0);
  }

  leave(child: number): void {
    this.#memory.publishInbound(child, 0);
  }

  /** Whether the list of a tunnel names this child. */
  names(tunnel: number, child: number): boolean {
    return this.#lists.get(tunnel)?.named.has(child) ?? false;
  }

  /** The tunnel has no list any more; where it was, for `retire`. */
  clear(tunnel: number): number | undefined {
    const former = this.#lists.get(tunnel)?.at;
    this.#memory.publishOutbound(tunnel, 0);
    this.#lists.delete(tunnel);
    return former;
  }

  /** `revision`: of the worker board, after which no worker finds the list any more. */
  retire(at: number, revision: number): void {
    this.#room.retire(at, revision);
  }

  reclaim(passed: (revision: number) => boolean): void {
    this.#room.reclaim(passed);
  }
}
