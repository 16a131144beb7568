/** What a worker's thread has of its own, whichever tables it serves: packet memory, an engine over it, and a ring of io_uring. */
import type { Engine, EngineName } from "../crypto/engine.ts";
import type { EnginePlan } from "../crypto/engine-plan.ts";
import { IoUring, RING_ENTRIES } from "../linux/io-uring.ts";
import { MAX_TRAIN } from "../linux/udp-gro.ts";
import { Arena } from "./arena.ts";
import { openEngine } from "./open-engine.ts";

export class WorkerTools {
  readonly arena: Arena;
  readonly engine: Engine;
  /** -errno where the system has none. */
  readonly ring: IoUring | number;

  /** Throws what keeps the engine from running here. */
  constructor(engine: EngineName | EnginePlan) {
    this.ring = IoUring.open();
    this.arena = new Arena(MAX_TRAIN, { vectors: true, slots: typeof this.ring === "number" ? 0 : RING_ENTRIES });
    this.engine = openEngine(engine, this.arena.slab, this.arena.ops.capacity);
  }

  /** Forget all packets. Keys are their holders' to release before. */
  close(): void {
    this.engine.close();
    if (typeof this.ring !== "number") this.ring.close();
    this.arena.slab.fill(0);
  }
}
