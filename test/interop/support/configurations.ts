/** The two sites' configurations, as ours and as strongSwan takes them. Each test says only what it is about. */
import type { Configuration } from "./espalier.ts";
import { INNER, OUTER } from "./namespaces.ts";
import type { SwanConnection } from "./swanctl.ts";

export const SECRET = "an interop secret, for no other use";

/** The name of the connection to the other site. */
export const PEER = "site";
export const INTERFACE = "esp0";
export const IKE_PROPOSAL = "aes256gcm16-prfsha384-ecp384";

export type Side = "a" | "b";

export interface Wishes {
  readonly side?: Side;
  /** Family outside. */
  readonly outer?: 4 | 6;
  readonly ike?: string;
  readonly esp?: string;
  readonly esn?: "yes" | "no" | "either";
  readonly encap?: "auto" | "force" | "never";
  readonly start?: "initiate" | "none";
  readonly secret?: string;
  readonly localId?: string;
  readonly remoteId?: string;
  readonly local?: readonly string[];
  readonly remote?: readonly string[];
  /** Of the child. */
  readonly lifetime?: string;
  readonly replayWindow?: number;
  readonly workers?: number;
  readonly mss?: "off";
  readonly engine?: string;
  /** Settings of the child that are added to those here. */
  readonly child?: Readonly<Record<string, unknown>>;
  /** Settings of the connection that replace those here. */
  readonly connection?: Readonly<Record<string, unknown>>;
}

const other = (side: Side): Side => (side === "a" ? "b" : "a");

export const netsOf = (side: Side): string[] =>
  side === "a" ? [INNER[4].netA, INNER[6].netA] : [INNER[4].netB, INNER[6].netB];

export const identityOf = (side: Side): string => `gw-${side}.example`;

export const configuration = (wishes: Wishes = {}): Configuration => {
  const { side = "a", outer = 4, workers = 1 } = wishes;
  return {
    workers,
    ...(wishes.engine === undefined ? {} : { engine: wishes.engine }),
    log: { level: "debug", format: "text" },
    connections: {
      [PEER]: {
        local: { address: OUTER[outer][side], id: wishes.localId ?? identityOf(side) },
        remote: { address: OUTER[outer][other(side)], id: wishes.remoteId ?? identityOf(other(side)) },
        psk: wishes.secret ?? SECRET,
        start: wishes.start ?? "none",
        encap: wishes.encap ?? "auto",
        proposals: [wishes.ike ?? IKE_PROPOSAL],
        liveness: "off",
        children: {
          net: {
            proposals: [wishes.esp ?? "aes256gcm16"],
            esn: wishes.esn ?? "either",
            ...(wishes.lifetime === undefined ? {} : { lifetime: wishes.lifetime }),
            ...(wishes.replayWindow === undefined ? {} : { replay_window: wishes.replayWindow }),
            ...(wishes.local === undefined ? {} : { local: wishes.local }),
            ...(wishes.remote === undefined ? {} : { remote: wishes.remote }),
            interface: {
              name: INTERFACE,
              routes: netsOf(other(side)),
              ...(wishes.mss === undefined ? {} : { mss: wishes.mss }),
            },
            ...wishes.child,
          },
        },
        ...wishes.connection,
      },
    },
  };
};

export interface SwanWishes {
  readonly side?: Side;
  readonly outer?: 4 | 6;
  readonly ike?: string;
  readonly esp?: string;
  readonly encap?: boolean;
  readonly secret?: string;
  readonly localId?: string;
  readonly remoteId?: string;
  readonly localSelectors?: readonly string[];
  readonly remoteSelectors?: readonly string[];
  readonly childLines?: readonly string[];
  readonly connectionLines?: readonly string[];
  readonly moreChildren?: SwanConnection["moreChildren"];
}

export const swanConnection = (wishes: SwanWishes = {}): SwanConnection => {
  const { side = "b", outer = 4 } = wishes;
  return {
    local: OUTER[outer][side],
    remote: OUTER[outer][other(side)],
    localId: wishes.localId ?? identityOf(side),
    remoteId: wishes.remoteId ?? identityOf(other(side)),
    secret: wishes.secret ?? SECRET,
    ike: wishes.ike ?? IKE_PROPOSAL,
    esp: wishes.esp ?? "aes256gcm16",
    encap: wishes.encap ?? false,
    localSelectors: wishes.localSelectors ?? netsOf(side),
    remoteSelectors: wishes.remoteSelectors ?? netsOf(other(side)),
    childLines: wishes.childLines ?? [],
    connectionLines: wishes.connectionLines ?? [],
    moreChildren: wishes.moreChildren ?? [],
  };
};
