/**
 * Connections and children with `start: trap`: their interfaces are up although nothing can be sent, and packets wait in the queues of
 * the kernel. The first one that does brings the connection up, and leaves when it is.
 */
import { POLLIN, PollSet } from "../linux/poll.ts";
import type { TunnelInterface } from "./tunnel-interface.ts";

export interface Trapped {
  readonly connection: string;
  readonly child: string;
  readonly tunnel: TunnelInterface;
  /** Addresses of the peer that are known without asking. */
  readonly peers: readonly string[];
}

export class Trap {
  readonly #trapped: readonly Trapped[];
  readonly #polls: PollSet;

  constructor(trapped: readonly Trapped[]) {
    this.#trapped = trapped;
    this.#polls = new PollSet(trapped.reduce((sum, { tunnel }) => sum + tunnel.fds.length, 0));
  }

  /**
   * Set all interfaces as they should be, and name the children for which a packet waits. `isTrapping` says of a child
   * whether packets may bring it up; where they may not, the interface is down like any other without SAs.
   */
  look(isTrapping: (connection: string, child: string) => boolean, now: number): readonly Trapped[] {
    const idle = this.#trapped.filter(({ tunnel }) => tunnel.pairs.size === 0);
    if (idle.length === 0) return [];
    this.#polls.clear();
    for (const { connection, child, tunnel, peers } of idle) {
      const waits = isTrapping(connection, child) && tunnel.wait(peers, now);
      if (!isTrapping(connection, child)) tunnel.down();
      for (const fd of tunnel.fds) this.#polls.add(waits ? fd : -1, POLLIN);
    }
    if (this.#polls.wait(0) <= 0) return [];
    let at = 0;
    return idle.filter(({ tunnel }) => {
      const from = at;
      at += tunnel.fds.length;
      return tunnel.fds.some((_, n) => (this.#polls.ready(from + n) & POLLIN) !== 0);
    });
  }
}
