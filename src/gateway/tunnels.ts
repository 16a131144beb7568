/** The interfaces of all children that are configured: made at the start, taken away at the end. */
import type { Config } from "../config/config.ts";
import type { Plane } from "../dataplane/plane.ts";
import { canonicalAddress } from "../ip-address.ts";
import { outerTosTable } from "../ipsec/dscp.ts";
import type { Trapped } from "./trap.ts";
import { TunnelInterface } from "./tunnel-interface.ts";

type Connections = Config["connections"];
type ChildSettings = Connections[number]["children"][number];

/** A child with its connection's name in front: what the map of them is kept by. */
const keyOf = (connection: string, child: string): string => `${connection}/${child}`;

export class Tunnels {
  readonly #connections: Connections;
  readonly #byChild = new Map<string, { readonly tunnel: TunnelInterface; readonly settings: ChildSettings }>();

  constructor(connections: Connections) {
    this.#connections = connections;
  }

  /** Throws EspalierError as TunnelInterface.open does; `close` undoes what was made till then. */
  open(plane: Plane): void {
    for (const { name, start, children } of this.#connections)
      for (const settings of children) {
        const tunnel = TunnelInterface.open(settings.interface, plane.workers);
        this.#byChild.set(keyOf(name, settings.name), { tunnel, settings });
        tunnel.id = plane.addTunnel({ tunFds: tunnel.fds, vnetHdr: true, holds: start === "trap" });
        plane.setOuterTos(tunnel.id, outerTosTable(settings.dscp, settings.ecn));
      }
  }

  /** Call when no worker uses their descriptors. */
  close(): void {
    for (const { tunnel } of this.#byChild.values()) tunnel.close();
    this.#byChild.clear();
  }

  of(connection: string, child: string): TunnelInterface {
    return this.#find(connection, child).tunnel;
  }

  settingsOf(connection: string, child: string): ChildSettings {
    return this.#find(connection, child).settings;
  }

  /** Those whose first packet is to bring their connection up. */
  trapped(): Trapped[] {
    return this.#connections
      .filter(({ start }) => start === "trap")
      .flatMap(({ name, remote, children }) =>
        children.map((child) => ({
          connection: name,
          child: child.name,
          tunnel: this.of(name, child.name),
          peers: [remote.address, ...remote.backups].flatMap((host) =>
            host === undefined ? [] : (canonicalAddress(host) ?? []),
          ),
        })),
      );
  }

  #find(connection: string, child: string) {
    const found = this.#byChild.get(keyOf(connection, child));
    if (found === undefined) throw new RangeError(`no tunnel for ${connection}/${child}`);
    return found;
  }
}
