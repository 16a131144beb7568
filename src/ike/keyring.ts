/**
 * Shared keys by peer: of all entries that match, the closest one (RFC 4301 §4.4.3.2). A key may be one for both
 * directions, or one that proves us and one that the peer must prove.
 */
import { addressIdentity, type Identity, identityKey } from "./identity.ts";
import { closenessOf, exactId, isExpected, type PeerId } from "./peer-id.ts";

export interface Psk {
  /** Proves us to the peer. */
  readonly local: Uint8Array;
  /** What the peer must prove itself with. */
  readonly remote: Uint8Array;
}

export interface KeyringEntry {
  readonly id: PeerId;
  readonly psk: Psk;
}

export const MOST_ENTRIES = 1_000;

export class Keyring {
  readonly #exact = new Map<string, KeyringEntry>();
  /** The closest first. */
  readonly #patterns: readonly KeyringEntry[];

  /** Of two entries for one identity the first counts. Throws a RangeError for more than `MOST_ENTRIES`. */
  constructor(entries: readonly KeyringEntry[]) {
    if (entries.length > MOST_ENTRIES) throw new RangeError(`${entries.length} keys in a keyring`);
    const patterns: KeyringEntry[] = [];
    for (const entry of entries) {
      const identity = exactId(entry.id);
      if (identity === undefined) patterns.push(entry);
      else if (!this.#exact.has(identityKey(identity))) this.#exact.set(identityKey(identity), entry);
    }
    this.#patterns = patterns.sort((a, b) => closenessOf(b.id) - closenessOf(a.id));
  }

  /**
   * Keys for a peer by its identity, where it is known, and by its address where that is told more closely; undefined when there
   * are none for it.
   */
  find(identity: Identity | undefined, address: string): Psk | undefined {
    const ofIdentity = identity && this.#closest(identity);
    const ofAddress = this.#closest(addressIdentity(address));
    return (rankOf(ofAddress) > rankOf(ofIdentity) ? ofAddress : ofIdentity)?.psk;
  }

  #closest(identity: Identity): KeyringEntry | undefined {
    const exact = this.#exact.get(identityKey(identity));
    return exact ?? this.#patterns.find(({ id }) => isExpected(id, identity));
  }
}

/** Patterns of names and of addresses cannot be compared: one of many, against exactly one and anybody. */
const rankOf = (entry: KeyringEntry | undefined): number => {
  if (entry === undefined) return 0;
  if (exactId(entry.id) !== undefined) return 3;
  return closenessOf(entry.id) > 0 ? 2 : 1;
};
