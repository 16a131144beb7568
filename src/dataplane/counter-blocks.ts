/**
 * Which counter block belongs to whom. Each has one writer:
 *
 *   record           an SA, by the worker that owns it
 *   tunnel ended     what the tunnel's former SAs counted, by control: so totals survive rekeying
 *   tunnel own       packets of a tunnel that met no SA, one a worker
 *   worker in, out   every packet of a worker
 *
 * A packet that is handed to another worker is counted by the one that judges it in the end, and by no other.
 */
import { MAX_TUNNELS } from "./tunnel-table.ts";
import { MAX_WORKERS } from "./worker-board.ts";

const ENDED = 2;

export class CounterBlocks {
  readonly #worker: number;
  readonly #ended: number;
  readonly #own: number;
  readonly #workers: number;

  /** `slots`: capacity of the SAD; `worker`: whose `tunnelOwn` it is unless another is named. */
  constructor(slots: number, worker = 0) {
    this.#worker = worker;
    this.#ended = slots * 2;
    this.#own = this.#ended + MAX_TUNNELS * ENDED;
    this.#workers = this.#own + MAX_TUNNELS * MAX_WORKERS;
  }

  get total(): number {
    return this.#workers + MAX_WORKERS * 2;
  }

  record(record: number): number {
    return record;
  }

  tunnelOwn(tunnel: number, worker: number = this.#worker): number {
    return this.#own + tunnel * MAX_WORKERS + worker;
  }

  /** The tunnel of a block that `tunnelOwn` gave. */
  tunnelOf(block: number): number {
    return ((block - this.#own) / MAX_WORKERS) | 0;
  }

  tunnelEndedIn(tunnel: number): number {
    return this.#ended + tunnel * ENDED;
  }

  tunnelEndedOut(tunnel: number): number {
    return this.#ended + tunnel * ENDED + 1;
  }

  workerIn(worker: number): number {
    return this.#workers + worker * 2;
  }

  workerOut(worker: number): number {
    return this.#workers + worker * 2 + 1;
  }
}
