/**
 * One tunnel as control holds it: its pairs of SAs, which of them each worker sends on, and who sends for the workers that
 * have none (the fallback SA of RFC 9611 §3: resource 0, or the lowest there is).
 *
 * Where one pair is all that there will be, only its worker's queue is attached, and the kernel gives it all packets. Where several
 * are to come the queues of all their workers are attached from the first pair on, before anything flows: another queue would
 * divide the flows anew among all of them, and one that goes over to another worker may overtake itself. So the flows of a worker
 * whose pair is still to come go to the fallback; and as the kernel leads a flow to the queue into which its answers are written,
 * it stays with the pair that it began on. A queue that the kernel does not attach is merely not used, and one that it does not
 * detach leads to the fallback; so what it answers changes nothing here.
 */
import { setTunQueue } from "../linux/tun.ts";
import type { EspPath } from "./child-sa.ts";
import type { BypassFds, TunnelTable } from "./tunnel-table.ts";

export interface Pair {
  readonly spiIn: number;
  readonly slot: number;
  readonly worker: number;
  readonly resource: number;
  /** Pairs that were installed later have a higher one. */
  readonly order: number;
  readonly tunnel: PlaneTunnel;
  path: EspPath;
  /** How many the tunnel is to have, with this one. */
  readonly pairs: number;
  /** It receives, and is not sent on again. */
  resting: boolean;
  /** Its first packet has been told. */
  met: boolean;
}

export interface PlaneTunnelOptions {
  readonly id: number;
  readonly home: number;
  readonly workers: number;
  readonly fds: readonly number[];
  readonly vnetHdr: boolean;
  readonly holds: boolean;
  /** Children whose packets it reads: every worker reads, as each may be able to send. */
  readonly hasChildren?: boolean;
  /** The tunnel whose queues it shares: it is a child of that, and reads nothing itself. */
  readonly parent?: PlaneTunnel | undefined;
  /** Say when a packet had no SA. */
  readonly traps?: boolean;
  readonly bypass?: BypassFds | undefined;
}

export class PlaneTunnel {
  readonly id: number;
  readonly home: number;
  /** Its packets wait in their queues while no worker can send them. */
  readonly holds: boolean;
  readonly traps: boolean;
  readonly hasChildren: boolean;
  readonly parent: PlaneTunnel | undefined;
  readonly vnetHdr: boolean;
  readonly fds: readonly number[];
  /** Slots whose counts have not yet been left to the tunnel. */
  readonly retired = new Set<number>();
  /** Inbound SPIs that were reserved for it. */
  readonly reserved = new Set<number>();
  readonly #table: TunnelTable;
  readonly #workers: number;
  /** Whether the kernel is told which queues to use. */
  readonly #choosesQueues: boolean;
  readonly #attached: boolean[];
  /** By worker: its pairs, oldest first, and the one it sends on. */
  readonly #pairs: readonly Set<Pair>[];
  readonly #current: (Pair | undefined)[];
  /** By worker without one: what it sends on as soon as the peer does. */
  readonly #candidate: (Pair | undefined)[];

  /** Publishes the tunnel. */
  constructor(table: TunnelTable, options: PlaneTunnelOptions) {
    const { id, home, workers, fds, vnetHdr, holds, hasChildren = false, parent, traps = false, bypass } = options;
    this.id = id;
    this.home = home;
    this.#table = table;
    this.#workers = workers;
    this.fds = fds;
    this.vnetHdr = vnetHdr;
    this.traps = traps;
    this.hasChildren = hasChildren;
    this.parent = parent;
    this.#choosesQueues = fds.length > 1 && !hasChildren && parent === undefined;
    this.#attached = fds.map(() => true); // as a device is opened
    this.#pairs = Array.from({ length: workers }, () => new Set<Pair>());
    this.#current = new Array<Pair | undefined>(workers).fill(undefined);
    this.#candidate = new Array<Pair | undefined>(workers).fill(undefined);
    table.publish(id, home, fds, { vnetHdr, holds, traps, isChild: parent !== undefined, bypass });
    this.holds = holds;
    this.#attach();
  }

  /** Worker that owns the SAs of this resource (RFC 9611 §4). */
  workerFor(resource: number): number {
    return (this.home + resource) % this.#workers;
  }

  add(pair: Pair): void {
    const { worker } = pair;
    this.#pairs[worker]!.add(pair);
    if (this.#current[worker] === undefined && this.#candidate[worker] === undefined) this.#nominate(worker, pair);
  }

  /** From now on the pair's worker sends on it. */
  use(pair: Pair): void {
    this.#current[pair.worker] = pair;
    this.#table.setCurrent(this.id, pair.worker, pair.slot);
    this.#nominate(pair.worker, undefined);
    this.#settle();
  }

  #nominate(worker: number, pair: Pair | undefined): void {
    this.#candidate[worker] = pair;
    this.#table.setCandidate(this.id, worker, pair?.slot ?? -1);
  }

  remove(pair: Pair): void {
    this.#pairs[pair.worker]!.delete(pair);
    this.rest(pair);
  }

  /** The worker goes on with the pair it got last; without one it leaves its packets to the fallback. */
  rest(pair: Pair): void {
    pair.resting = true;
    if (this.#candidate[pair.worker] === pair) this.#nominate(pair.worker, undefined);
    if (this.#current[pair.worker] !== pair) return;
    const successor = lastOf(this.#pairs[pair.worker]!);
    if (successor !== undefined) {
      this.use(successor);
      return;
    }
    this.#current[pair.worker] = undefined;
    const stranded = this.#current.every((current) => current === undefined);
    const other = stranded ? lastOf(this.#all()) : undefined;
    if (other !== undefined) this.use(other);
    else this.#settle();
    this.#table.setCurrent(this.id, pair.worker, -1); // after another fallback was named
  }

  /** Whether some worker can send what leaves. */
  get canSend(): boolean {
    return this.#current.some((current) => current !== undefined);
  }

  /** Slots of all live pairs. */
  slots(): number[] {
    return this.#all().map(({ slot }) => slot);
  }

  /** Inbound SPIs of all live pairs. */
  get installed(): number[] {
    return this.#all().map(({ spiIn }) => spiIn);
  }

  #all(): Pair[] {
    return this.#pairs.flatMap((pairs) => [...pairs]);
  }

  #settle(): void {
    let fallback: Pair | undefined;
    for (const pair of this.#current)
      if (pair !== undefined && (fallback === undefined || pair.resource < fallback.resource)) fallback = pair;
    this.#table.setFallback(this.id, fallback?.worker ?? -1);
    this.#attach();
  }

  /** Those that are wanted first, so that there is always one. */
  #attach(): void {
    if (!this.#choosesQueues) return;
    const idle = this.#current.every((current) => current === undefined);
    const pairs = Math.max(...this.#current.map((current) => current?.pairs ?? 0));
    const wanted = this.#current.map((current) => current !== undefined);
    for (let resource = 0; resource < pairs && pairs > 1; resource++) wanted[this.workerFor(resource)] = true;
    if (idle) wanted[this.home] = true;
    for (const attach of [true, false])
      this.fds.forEach((fd, worker) => {
        if (wanted[worker] !== attach || this.#attached[worker] === attach) return;
        setTunQueue(fd, attach);
        this.#attached[worker] = attach;
      });
  }
}

/** The one installed last of those that may be sent on. */
const lastOf = (pairs: Iterable<Pair>): Pair | undefined => {
  let last: Pair | undefined;
  for (const pair of pairs) if (!pair.resting && (last === undefined || pair.order > last.order)) last = pair;
  return last;
};
