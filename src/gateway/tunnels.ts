/**
 * The interfaces of all children that are configured: made at the start, taken away at the end. A child has one of its own, or
 * several share one, whose policies say which packet is whose (RFC 4301 §4.4.1).
 */
import type { Config, InterfaceSettings, SharedInterface } from "../config/config.ts";
import type { Plane, PlanePolicy } from "../dataplane/plane.ts";
import { canonicalAddress, type Family, familyOf } from "../ip-address.ts";
import { outerTosTable } from "../ipsec/dscp.ts";
import { parseSelector, type TrafficSelector } from "../ipsec/selector.ts";
import { close } from "../linux/libc.ts";
import { openBypass } from "../linux/marked-socket.ts";
import { addMarkRule, removeMarkRule } from "../linux/rule.ts";
import type { Trapped } from "./trap.ts";
import { TunnelInterface, type TunnelPlace } from "./tunnel-interface.ts";

type Connection = Config["connections"][number];
type ChildSettings = Connection["children"][number];

/** A child with its connection's name in front: what the map of them is kept by. */
const keyOf = (connection: string, child: string): string => `${connection}/${child}`;

interface Place {
  readonly tunnel: TunnelInterface;
  /** The data plane's number. */
  readonly id: number;
  readonly settings: ChildSettings;
}

/** An interface that several children share, with its own number. */
interface Shared {
  readonly tunnel: TunnelInterface;
  readonly id: number;
  readonly policies: number;
}

export class Tunnels {
  readonly #config: Pick<Config, "connections" | "interfaces" | "mark">;
  readonly #byChild = new Map<string, Place>();
  readonly #byId = new Map<number, { readonly connection: string; readonly child: string }>();
  readonly #tunnels: TunnelInterface[] = [];
  readonly #shared: Shared[] = [];
  readonly #rules: Family[] = [];
  /** Raw sockets for what bypasses. */
  readonly #sockets: number[] = [];

  constructor(config: Pick<Config, "connections" | "interfaces" | "mark">) {
    this.#config = config;
  }

  /** Throws EspalierError as TunnelInterface.open does; `close` undoes what was made till then. */
  open(plane: Plane): void {
    this.#addRules();
    for (const connection of this.#config.connections)
      for (const settings of connection.children)
        if (typeof settings.interface !== "string") this.#openOwn(plane, connection, settings, settings.interface);
    for (const shared of this.#config.interfaces) this.#openShared(plane, shared);
  }

  #openOwn(plane: Plane, connection: Connection, settings: ChildSettings, device: InterfaceSettings): void {
    const tunnel = this.#device(plane, device);
    const id = plane.addTunnel({ tunFds: tunnel.fds, vnetHdr: true, holds: traps(connection, settings) });
    this.#keep(plane, connection, settings, { tunnel, id, settings });
  }

  #openShared(plane: Plane, shared: SharedInterface): void {
    const connections = this.#config.connections.filter(({ children }) =>
      children.some((child) => child.interface === shared.name),
    );
    const tunnel = this.#device(plane, shared, { isShared: true, peers: connections.flatMap(knownPeers) });
    const bypass = shared.policies.some(({ action }) => action === "bypass") ? this.#openBypass() : undefined;
    const parent = plane.addTunnel({
      tunFds: tunnel.fds,
      vnetHdr: true,
      hasChildren: true,
      ...(bypass === undefined ? {} : { bypass }),
    });
    for (const connection of connections)
      for (const settings of connection.children) {
        if (settings.interface !== shared.name) continue;
        const id = plane.addChild(parent, { traps: traps(connection, settings) });
        this.#keep(plane, connection, settings, { tunnel, id, settings });
      }
    const policies = this.#policiesOf(shared);
    plane.setPolicies(parent, policies);
    this.#shared.push({ tunnel, id: parent, policies: policies.length });
  }

  /** As the data plane takes them. */
  #policiesOf({ policies }: SharedInterface): PlanePolicy[] {
    return policies.map(({ action, child, local, remote }) => ({
      action,
      local: local.flatMap(selectorOf),
      remote: remote.flatMap(selectorOf),
      ...(child === undefined ? {} : { child: this.idOf(child.connection, child.name) }),
    }));
  }

  #device(plane: Plane, settings: InterfaceSettings, place: TunnelPlace = {}): TunnelInterface {
    const tunnel = TunnelInterface.open(settings, plane.workers, { mark: this.#config.mark, ...place });
    this.#tunnels.push(tunnel);
    return tunnel;
  }

  #keep(
    plane: Plane,
    { name }: Connection,
    { name: child, dscp, ecn, df, icmpErrors }: ChildSettings,
    place: Place,
  ): void {
    this.#byChild.set(keyOf(name, child), place);
    this.#byId.set(place.id, { connection: name, child });
    place.tunnel.ids.push(place.id);
    plane.setOuterTos(place.id, outerTosTable(dscp, ecn));
    plane.setDf(place.id, df);
    plane.setIcmpErrors(place.id, icmpErrors);
  }

  #addRules(): void {
    const { connections, interfaces, mark } = this.#config;
    if (mark === undefined) return;
    const own = connections.flatMap(({ children }) => children.flatMap((child) => child.interface));
    const routes = [...own, ...interfaces].flatMap((device) => (typeof device === "string" ? [] : device.routes));
    for (const family of new Set(routes.map(familyOf))) {
      addMarkRule(family, mark);
      this.#rules.push(family);
    }
  }

  #openBypass(): { readonly ipv4: number; readonly ipv6: number } {
    const open = (family: Family): number => {
      const { mark } = this.#config;
      if (mark === undefined) return -1;
      const fd = openBypass(family, mark);
      this.#sockets.push(fd);
      return fd;
    };
    return { ipv4: open(4), ipv6: open(6) };
  }

  /** Call when no worker uses their descriptors. */
  close(): void {
    for (const tunnel of this.#tunnels.splice(0)) tunnel.close();
    for (const fd of this.#sockets.splice(0)) close(fd);
    for (const family of this.#rules.splice(0)) removeMarkRule(family, this.#config.mark ?? 0);
    this.#shared.length = 0;
    this.#byChild.clear();
    this.#byId.clear();
  }

  of(connection: string, child: string): TunnelInterface {
    return this.#find(connection, child).tunnel;
  }

  /** The data plane's number for a child. */
  idOf(connection: string, child: string): number {
    return this.#find(connection, child).id;
  }

  /** The child of that number. */
  childOf(id: number): { readonly connection: string; readonly child: string } | undefined {
    return this.#byId.get(id);
  }

  settingsOf(connection: string, child: string): ChildSettings {
    return this.#find(connection, child).settings;
  }

  /** Those that several children share. */
  get shared(): { readonly name: string; readonly mtu: number; readonly id: number; readonly policies: number }[] {
    return this.#shared.map(({ tunnel: { name, mtu }, id, policies }) => ({ name, mtu, id, policies }));
  }

  /** All of them, with the settings of their children. */
  get all(): Iterable<Place> {
    return this.#byChild.values();
  }

  childrenOf(connection: string): { readonly name: string; readonly place: Place }[] {
    const found = this.#config.connections.find(({ name }) => name === connection);
    return (found?.children ?? []).map(({ name }) => ({ name, place: this.#find(connection, name) }));
  }

  /** Those with an interface of their own whose first packet waits there, and is to bring them up. */
  trapped(): Trapped[] {
    return this.#config.connections.flatMap((connection) =>
      connection.children
        .filter((child) => traps(connection, child) && typeof child.interface !== "string")
        .map((child) => ({
          connection: connection.name,
          child: child.name,
          tunnel: this.of(connection.name, child.name),
          peers: knownPeers(connection),
        })),
    );
  }

  #find(connection: string, child: string): Place {
    const found = this.#byChild.get(keyOf(connection, child));
    if (found === undefined) throw new RangeError(`no tunnel for ${connection}/${child}`);
    return found;
  }
}

/** Addresses of the peer that are known without asking. */
const knownPeers = ({ remote }: Connection): string[] =>
  [remote.address, ...remote.backups].flatMap((host) => (host === undefined ? [] : (canonicalAddress(host) ?? [])));

const traps = (connection: Connection, child: ChildSettings): boolean =>
  connection.start === "trap" || child.start === "trap";

/** The configuration was checked when it was read. */
const selectorOf = (text: string): TrafficSelector[] => {
  const selector = parseSelector(text);
  return selector === undefined ? [] : [selector];
};
