/** What a plane, a tunnel and a child of it are made with. */
import type { EngineName } from "../crypto/engine.ts";
import type { EnginePlan } from "../crypto/engine-plan.ts";
import { EspalierError } from "../errors.ts";
import { checkCpus } from "../linux/affinity.ts";
import { MAX_BATCH } from "./arena.ts";
import type { WorkerInit } from "./esp-worker.ts";
import type { BypassFds } from "./tunnel-table.ts";
import { MAX_WORKERS } from "./worker-board.ts";

export interface PlaneOptions {
  /** 1 to 64. */
  readonly workers: number;
  /** One that this machine has, or the plan of several: see `selectEngine`. */
  readonly engine: EngineName | EnginePlan;
  /** Pairs of SAs, a power of two from 64 to 65536; default 4096. The kernel's filters need log2 of it: `slotBits`. */
  readonly slots?: number;
  /** Room for the policies of interfaces, twice while they change; default 4 MiB. */
  readonly policyOctets?: number;
  /** How workers wait for work; default adaptive. */
  readonly poll?: WorkerInit["poll"];
  /** Packets that a worker takes at a time, at most, 1 to 256; default 128. */
  readonly batch?: number;
  /** CPU of worker i mod length; default, and when empty: any. Threads only. */
  readonly affinity?: readonly number[];
  /** No threads: the caller runs the workers by `step`. For tests. */
  readonly inThread?: boolean;
}

export interface TunnelOptions {
  /**
   * One, or one a worker: queues of one device. Non-blocking; one IP packet a read or write, no packet information header.
   */
  readonly tunFds: readonly number[];
  /** Each packet of it, read or written, begins with a virtio_net_hdr (see `openTun`); default false. */
  readonly vnetHdr?: boolean;
  /** While no pair can send them its packets stay in the queues, and are not dropped; default false. */
  readonly holds?: boolean;
  /** Its home: the worker of resource 0. Default: tunnel id mod workers. */
  readonly worker?: number;
  /** Policies will say to which child its packets go (`setPolicies`); default false. */
  readonly hasChildren?: boolean;
  /** Raw sockets for what bypasses, which the caller closes: see `openBypass`. Without one it is dropped. */
  readonly bypass?: BypassFds;
}

export interface ChildOptions {
  /** As of a tunnel. */
  readonly worker?: number;
  /** Say by an event when a packet for it had no SA; default false. */
  readonly traps?: boolean;
}

/** The caller's mistake. */
export const usage = (message: string): EspalierError => new EspalierError("ESPALIER_USAGE", message);

/** What decides about memory and threads, complete. */
export type PlaneSettings = Required<Pick<PlaneOptions, "workers" | "slots" | "batch" | "affinity">>;

/** Throws ESPALIER_USAGE for what is out of range, ESPALIER_CONFIG for a CPU that this process may not use. */
export const checkPlane = ({ workers, slots, batch, affinity }: PlaneSettings): void => {
  if (!Number.isInteger(workers) || workers < 1 || workers > MAX_WORKERS)
    throw usage(`a plane has 1 to ${MAX_WORKERS} workers, not ${workers}`);
  if (!Number.isInteger(Math.log2(slots)) || slots < 64 || slots > 65536)
    throw usage(`slots are a power of two from 64 to 65536, not ${slots}`);
  if (!Number.isInteger(batch) || batch < 1 || batch > MAX_BATCH)
    throw usage(`a batch has 1 to ${MAX_BATCH} packets, not ${batch}`);
  checkCpus(affinity);
};
