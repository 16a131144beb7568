/**
 * IKE SAs that are not up yet, counted as they come and go: those that peers have begun, by source, since each costs memory
 * and a key exchange before anybody has proven anything (RFC 7296 §2.6), and those that we have begun.
 */
import type { IkeSa } from "./ike-sa.ts";
import type { Peering } from "./peering.ts";

/** An IKE SA, or what is to become one once its key exchange is computed: of a peer's the request. */
export type Begun = IkeSa | Peering | Uint8Array;

interface Source {
  readonly address: string;
  /** It has returned a cookie: it receives at its address. */
  readonly isProven: boolean;
  /** Of its request: the sender, and the SPI that it chose. */
  readonly asker: string;
}

export class HalfOpen {
  readonly #sources = new Map<Begun, Source>();
  readonly #byAsker = new Map<string, Begun>();
  readonly #ofUs = new Set<Begun>();
  readonly #all = new Map<string, number>();
  readonly #proven = new Map<string, number>();

  /** Begun by peers. */
  get incoming(): number {
    return this.#sources.size;
  }

  /** Begun by us. */
  get outgoing(): number {
    return this.#ofUs.size;
  }

  /** Begun by us, the peer's answer to IKE_AUTH on its way. */
  *authenticating(): Iterable<IkeSa> {
    for (const one of this.#ofUs) if ("state" in one && one.state.name === "auth-sent") yield one;
  }

  /** Begun from this address; `proven`: by somebody who showed that he receives there. */
  from(address: string): { readonly all: number; readonly proven: number } {
    return { all: this.#all.get(address) ?? 0, proven: this.#proven.get(address) ?? 0 };
  }

  /** What a request of this sender with this SPI has begun. */
  begunBy(asker: string): Begun | undefined {
    return this.#byAsker.get(asker);
  }

  addIncoming(sa: Begun, source: Source): void {
    this.#sources.set(sa, source);
    this.#byAsker.set(source.asker, sa);
    count(this.#all, source.address, 1);
    if (source.isProven) count(this.#proven, source.address, 1);
  }

  addOutgoing(sa: Begun): void {
    this.#ofUs.add(sa);
  }

  /** It is up, or has ended. */
  delete(sa: Begun): void {
    this.#ofUs.delete(sa);
    const source = this.#sources.get(sa);
    if (source === undefined) return;
    this.#sources.delete(sa);
    if (this.#byAsker.get(source.asker) === sa) this.#byAsker.delete(source.asker);
    count(this.#all, source.address, -1);
    if (source.isProven) count(this.#proven, source.address, -1);
  }
}

const count = (counts: Map<string, number>, address: string, by: number): void => {
  const sum = (counts.get(address) ?? 0) + by;
  if (sum === 0) counts.delete(address);
  else counts.set(address, sum);
};
