/**
 * Telling the main thread that a descriptor may be read or written: libuv's own epoll, through koffi's poll handles. No
 * thread of libuv's pool waits in a read, no thread of ours is needed, and a wake-up costs no copy. The other ways were
 * weighed: an asynchronous read holds a thread of the pool for ever, and a thread of our own that polls and posts costs
 * an isolate, a switch for every wake-up, and an end of the process that must wait for it.
 *
 * The hazards of the handles stay behind this class:
 * - They must not be touched after close.
 * - Their callback runs outside of Node's callback scope, where an exception or a process.nextTick would be lost; so it
 *   only asks for a setImmediate, which still comes in the same turn of the loop.
 * - One that fires while its environment is being torn down ends the process with a fatal error; so all are closed when
 *   the process exits. A worker thread can be terminated without a word, and therefore gets none (`readinessUnavailable`).
 */
import { isMainThread } from "node:worker_threads";
import koffi from "koffi";

/** Why descriptors cannot be watched here, or undefined. */
export const readinessUnavailable = (): string | undefined =>
  isMainThread ? undefined : "a worker thread may be terminated while its event loop watches a descriptor";

const open = new Set<Readiness>();

const closeAll = (): void => {
  for (const readiness of [...open]) readiness.close();
};

export class Readiness {
  readonly #fd: number;
  readonly #onReady: () => void;
  #handle: InstanceType<typeof koffi.node.PollHandle> | undefined;
  #wanted = 0;
  #scheduled = false;
  #closed = false;
  #referenced = true;

  /** `onReady` is called in a turn of the event loop when something that is wanted may be possible. */
  constructor(fd: number, onReady: () => void) {
    const reason = readinessUnavailable();
    if (reason !== undefined) throw new Error(reason);
    this.#fd = fd;
    this.#onReady = onReady;
    if (open.size === 0) process.once("exit", closeAll);
    open.add(this);
  }

  /** Say what to wait for. While it is possible, `onReady` comes again in each turn of the loop. */
  want(readable: boolean, writable: boolean): void {
    const wanted = (readable ? 1 : 0) | (writable ? 2 : 0);
    if (this.#closed || wanted === this.#wanted) return;
    this.#wanted = wanted;
    if (wanted === 0) {
      this.#handle?.stop();
      return;
    }
    const events = { readable, writable };
    if (this.#handle === undefined) {
      this.#handle = koffi.node.poll(this.#fd, events, this.#schedule);
      if (!this.#referenced) this.#handle.unref();
    } else {
      this.#handle.start(events, this.#schedule);
    }
  }

  /** Waiting keeps the process alive (the default), or does not. */
  hold(keepsAlive: boolean): void {
    if (this.#closed) return;
    this.#referenced = keepsAlive;
    if (keepsAlive) this.#handle?.ref();
    else this.#handle?.unref();
  }

  /** Stop for good; only then may the descriptor be closed. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#handle?.close();
    this.#handle = undefined;
    open.delete(this);
    if (open.size === 0) process.removeListener("exit", closeAll);
  }

  readonly #schedule = (): void => {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (!this.#closed) this.#onReady();
    });
  };
}
