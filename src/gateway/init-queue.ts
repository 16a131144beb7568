/**
 * Strangers wait, peers do not. Requests to begin an IKE SA cost a key exchange each, and anybody can send them; so they go
 * into a short queue that is served between the messages of IKE SAs that exist: a flood of them holds up no liveness check
 * and no rekey. When the queue is full the newest is dropped, as the network might have done. Those that bring back a cookie
 * have a queue of their own, served in turn with the other: who receives at his address is not crowded out by those who do not.
 */

import { bringsCookie } from "../ike/cookie.ts";
import type { Path } from "../ike/effect.ts";
import { Exchange, HEADER_LENGTH, isRequestOf } from "../ike/header.ts";

export interface InitQueueOptions {
  readonly serve: (bytes: Uint8Array, path: Path) => void;
  readonly onDrop: () => void;
  /** Requests that may wait in each of the two; default 256. */
  readonly most?: number;
  /** Milliseconds of serving after which everybody else has a turn; default 5. */
  readonly slice?: number;
}

interface Waiting {
  readonly bytes: Uint8Array;
  readonly path: Path;
}

export class InitQueue {
  readonly #options: Required<InitQueueOptions>;
  #strangers: Waiting[] = [];
  #returning: Waiting[] = [];
  #next: NodeJS.Immediate | undefined;

  constructor(options: InitQueueOptions) {
    this.#options = { most: 256, slice: 5, ...options };
  }

  /** Whether it is a request to begin an IKE SA: then it is served later, or dropped. `bytes` are kept. */
  take(bytes: Uint8Array, path: Path): boolean {
    if (bytes.length < HEADER_LENGTH || !isRequestOf(bytes, Exchange.IKE_SA_INIT)) return false;
    const queue = bringsCookie(bytes) ? this.#returning : this.#strangers;
    if (queue.length >= this.#options.most) {
      this.#options.onDrop();
      return true;
    }
    queue.push({ bytes, path });
    this.#next ??= setImmediate(() => this.#serve());
    return true;
  }

  /** Forget what waits. */
  close(): void {
    clearImmediate(this.#next);
    this.#next = undefined;
    this.#strangers = [];
    this.#returning = [];
  }

  #serve(): void {
    this.#next = undefined;
    const until = performance.now() + this.#options.slice;
    const [strangers, returning] = [this.#strangers, this.#returning];
    let served = 0;
    do {
      for (const { bytes, path } of [...returning.slice(served, served + 1), ...strangers.slice(served, served + 1)])
        this.#options.serve(bytes, path);
      served++;
    } while (performance.now() < until && served < Math.max(strangers.length, returning.length));
    strangers.splice(0, served);
    returning.splice(0, served);
    if (strangers.length + returning.length > 0) this.#next = setImmediate(() => this.#serve());
  }
}
