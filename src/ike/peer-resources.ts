/** What the peer has said about further pairs of a child (RFC 9611); outlives the rekeys of its IKE SA. */
export class PeerResources {
  readonly #willing = new Set<string>();
  readonly #most = new Map<string, number>();

  /** The peer knows RFC 9611 and uses it for this child. */
  welcomes(child: string): void {
    this.#willing.add(child);
  }

  /** The peer refused another pair beside so many. */
  refused(child: string, pairs: number): void {
    this.#most.set(child, pairs);
  }

  /** Whether it makes sense to ask for another pair beside so many. */
  takesMore(child: string, pairs: number): boolean {
    return this.#willing.has(child) && pairs < (this.#most.get(child) ?? Number.POSITIVE_INFINITY);
  }
}
