/** The initiator's side of the load: connections that begin again as soon as they are done, and how long each one took. */

import type { IkeSite } from "./ike-site.ts";

/**
 * `handshake`: IKE_SA_INIT and IKE_AUTH with its Child SA, and the Delete that ends it. `rekey-child`: of a Child SA, with or
 * without a key exchange of its own (PFS), and `rekey-ike` of an IKE SA, each with the Delete of what was replaced.
 */
export type IkeWork = "handshake" | "rekey-child" | "rekey-child-pfs" | "rekey-ike";

/** What was done, in its order. */
export interface Done {
  /** ms that each took. */
  readonly latencies: readonly number[];
  /** ms of the clock of its process when each was done. */
  readonly times: readonly number[];
}

export class IkeLoad {
  #latencies: number[] = [];
  #times: number[] = [];
  readonly #site: IkeSite;
  readonly #begun = new Map<number, number>();
  /** What to do next, once the core has done its step. */
  #due: (() => void)[] = [];
  #isOver = false;
  #work: IkeWork = "handshake";
  /** Connections that are done, where `begin` says when the next begins. */
  #free: number[] = [];

  constructor(site: IkeSite) {
    this.#site = site;
  }

  /** Bring these connections up, once. */
  connect(connections: Iterable<number>): void {
    this.#site.events = {
      installed: (connection) => this.#took(connection),
      removed: () => {},
      closed: () => {},
    };
    for (const connection of connections) this.#begin(connection, "initiate");
  }

  /** Connections that were begun and are not up yet. */
  get waiting(): number {
    return this.#begun.size;
  }

  /**
   * Begin each of the connections, again and again until `end`; with a rate only when `begin` is called. For rekeys they must
   * be up.
   */
  repeat(work: IkeWork, connections: number, rate?: number): void {
    this.#isOver = false;
    this.#work = work;
    this.#free = rate === undefined ? [] : Array.from({ length: connections }, (_, connection) => connection);
    const again = (connection: number): void => {
      if (rate !== undefined) this.#free.push(connection);
      else if (!this.#isOver) this.#due.push(() => this.#again(connection, work));
    };
    const isHandshake = work === "handshake";
    this.#site.events = {
      installed: (connection) => {
        if (work !== "rekey-ike") this.#took(connection);
        if (isHandshake) again(connection);
      },
      // The old pair is gone, or the old IKE SA, since the peer has answered its Delete.
      removed: (connection) => {
        if (work === "rekey-child" || work === "rekey-child-pfs") again(connection);
      },
      closed: (connection) => {
        if (work !== "rekey-ike") return;
        this.#took(connection);
        again(connection);
      },
    };
    if (rate !== undefined) return;
    for (let connection = 0; connection < connections; connection++) this.#again(connection, work);
  }

  /** One more, if a connection is free. */
  begin(): void {
    const connection = this.#free.shift();
    if (connection !== undefined) this.#again(connection, this.#work);
  }

  /** What was done since this was asked last. */
  take(): Done {
    const done = { latencies: this.#latencies, times: this.#times };
    this.#latencies = [];
    this.#times = [];
    return done;
  }

  /** No more are begun. */
  end(): void {
    this.#isOver = true;
    this.#due = [];
  }

  /** Begin what is due now. Returns whether anything was. */
  step(): boolean {
    const due = this.#due;
    if (due.length === 0) return false;
    this.#due = [];
    for (const act of due) act();
    return true;
  }

  #again(connection: number, work: IkeWork): void {
    if (work !== "handshake") this.#begin(connection, work === "rekey-ike" ? "rekey-ike" : "rekey-children");
    else {
      this.#site.act((ike, now) => ike.terminate(`${connection}`, now));
      this.#begin(connection, "initiate");
    }
  }

  #begin(connection: number, what: "initiate" | "rekey-ike" | "rekey-children"): void {
    this.#begun.set(connection, performance.now());
    const name = `${connection}`;
    this.#site.act((ike, now) =>
      what === "initiate" ? ike.initiate(name, now) : ike.rekey(name, { ike: what === "rekey-ike" }, now),
    );
  }

  #took(connection: number): void {
    const begun = this.#begun.get(connection);
    if (begun === undefined) return;
    this.#begun.delete(connection);
    const now = performance.now();
    this.#latencies.push(now - begun);
    this.#times.push(now);
  }
}
