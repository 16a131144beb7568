/**
 * Which counter block belongs to whom. Each has one writer:
 *
 *   record           an SA, by the worker that owns it
 *   tunnel own       packets of a tunnel that met no SA, by the tunnel's worker
 *   tunnel ended     what the tunnel's former SAs counted, by control: so totals survive rekeying
 *   worker in, out   every packet of a worker
 */
import { MAX_TUNNELS } from "./tunnel-table.ts";
import { MAX_WORKERS } from "./worker-board.ts";

export class CounterBlocks {
  readonly #records: number;

  /** `slots`: capacity of the SAD. */
  constructor(slots: number) {
    this.#records = slots * 2;
  }

  get total(): number {
    return this.#records + MAX_TUNNELS * 3 + MAX_WORKERS * 2;
  }

  record(record: number): number {
    return record;
  }

  tunnelOwn(tunnel: number): number {
    return this.#records + tunnel * 3;
  }

  tunnelEndedIn(tunnel: number): number {
    return this.#records + tunnel * 3 + 1;
  }

  tunnelEndedOut(tunnel: number): number {
    return this.#records + tunnel * 3 + 2;
  }

  workerIn(worker: number): number {
    return this.#records + MAX_TUNNELS * 3 + worker * 2;
  }

  workerOut(worker: number): number {
    return this.#records + MAX_TUNNELS * 3 + worker * 2 + 1;
  }
}
