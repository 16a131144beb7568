/**
 * All connections, found without a walk over all of them: by name, and for a peer that begins (RFC 4301 §4.4.3) by its address
 * and by who it says that it is.
 */
import type { Path } from "./child-sa-params.ts";
import { expectedPeer } from "./connection.ts";
import { equalIdentity, type Identity, identityKey } from "./identity.ts";
import { closenessOf, exactId, isExpected } from "./peer-id.ts";
import type { Peering } from "./peering.ts";

/** Connections that a message on one path may belong to. */
class Group {
  readonly #members = new Set<Peering>();
  /** Those whose peer is one identity. */
  readonly #byId = new Map<string, Set<Peering>>();
  /** Those whose peer may be one of many. */
  readonly #others = new Set<Peering>();

  get members(): ReadonlySet<Peering> {
    return this.#members;
  }

  add(peering: Peering): void {
    this.#members.add(peering);
    const id = exactId(expectedPeer(peering.config));
    if (id === undefined) this.#others.add(peering);
    else if (!this.#byId.get(identityKey(id))?.add(peering)) this.#byId.set(identityKey(id), new Set([peering]));
  }

  delete(peering: Peering): void {
    this.#members.delete(peering);
    this.#others.delete(peering);
    const id = exactId(expectedPeer(peering.config));
    if (id !== undefined) this.#byId.get(identityKey(id))?.delete(peering);
  }

  /** Those that this identity may be the peer of. */
  expecting(id: Identity): Peering[] {
    return [...(this.#byId.get(identityKey(id)) ?? []), ...this.#others];
  }
}

/** Who may be meant by a message whose peer has not said who it is: those that name its address before those that take any. */
export class Candidates {
  readonly #here: Group | undefined;
  readonly #anywhere: Group | undefined;

  constructor(here: Group | undefined, anywhere: Group | undefined) {
    this.#here = here;
    this.#anywhere = anywhere;
  }

  *[Symbol.iterator](): IterableIterator<Peering> {
    for (const peering of this.#here?.members ?? []) if (!peering.isHeldDown) yield peering;
    for (const peering of this.#anywhere?.members ?? [])
      if (!peering.isHeldDown && !this.#here?.members.has(peering)) yield peering;
  }

  /**
   * Those that name this peer most closely: one that has an entry of its own is not let in by the key of a group
   * (RFC 4301 §4.4.3).
   */
  closest(idi: Identity, idr: Identity | undefined): Peering[] {
    const here = this.#here?.expecting(idi) ?? [];
    const elsewhere = (this.#anywhere?.expecting(idi) ?? []).filter((peering) => !this.#here?.members.has(peering));
    const known = [...here, ...elsewhere].filter(
      ({ config, isHeldDown }) =>
        !isHeldDown &&
        isExpected(expectedPeer(config), idi) &&
        (idr === undefined || equalIdentity(idr, config.local.id)),
    );
    const closeness = Math.max(...known.map(({ config }) => closenessOf(expectedPeer(config))));
    return known.filter(({ config }) => closenessOf(expectedPeer(config)) === closeness);
  }
}

export class Peerings {
  readonly #all: readonly Peering[];
  readonly #byName: ReadonlyMap<string, Peering>;
  /** By our address and the peer's. */
  readonly #at = new Map<string, Group>();
  /** By our address. */
  readonly #anywhere = new Map<string, Group>();

  constructor(all: readonly Peering[]) {
    this.#all = all;
    this.#byName = new Map(all.map((peering) => [peering.config.name, peering]));
    for (const peering of all) {
      this.#place(peering);
      if (peering.mayBeAnywhere) groupIn(this.#anywhere, peering.config.local.address).add(peering);
    }
  }

  [Symbol.iterator](): IterableIterator<Peering> {
    return this.#all.values();
  }

  named(name: string): Peering | undefined {
    return this.#byName.get(name);
  }

  candidatesFor({ local, remote }: Path): Candidates {
    return new Candidates(this.#at.get(keyOf(local.address, remote.address)), this.#anywhere.get(local.address));
  }

  /** A peer's name was resolved to these addresses. */
  learn(peering: Peering, addresses: readonly string[]): void {
    const { address } = peering.config.local;
    for (const place of peering.places) this.#at.get(keyOf(address, place))?.delete(peering);
    peering.learnAddresses(addresses);
    this.#place(peering);
  }

  #place(peering: Peering): void {
    for (const place of peering.places) groupIn(this.#at, keyOf(peering.config.local.address, place)).add(peering);
  }
}

const keyOf = (local: string, remote: string): string => `${local} ${remote}`;

const groupIn = (groups: Map<string, Group>, key: string): Group => {
  const group = groups.get(key) ?? new Group();
  groups.set(key, group);
  return group;
};
