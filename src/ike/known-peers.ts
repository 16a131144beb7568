/** IKE SAs that are up, by the identity that their peer has proven. */
import { type Identity, identityKey } from "./identity.ts";
import type { IkeSa } from "./ike-sa.ts";

export class KnownPeers {
  readonly #byId = new Map<string, Set<IkeSa>>();

  /** Nothing happens for one whose peer is not known. */
  add(sa: IkeSa): void {
    if (sa.peerId === undefined) return;
    const key = identityKey(sa.peerId);
    const sas = this.#byId.get(key) ?? new Set();
    this.#byId.set(key, sas.add(sa));
  }

  delete(sa: IkeSa): void {
    if (sa.peerId === undefined) return;
    const key = identityKey(sa.peerId);
    const sas = this.#byId.get(key);
    sas?.delete(sa);
    if (sas?.size === 0) this.#byId.delete(key);
  }

  /** A copy: those of this peer. */
  of(id: Identity): IkeSa[] {
    return [...(this.#byId.get(identityKey(id)) ?? [])];
  }
}
