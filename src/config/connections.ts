/** From a Config to what IKE knows of it: texts parsed, defaults that depend on addresses filled in. */
import { EspalierError } from "../errors.ts";
import type { ChildConfig, ConnectionConfig, Liveness } from "../ike/connection.ts";
import { parseIdentity } from "../ike/identity.ts";
import { Keyring } from "../ike/keyring.ts";
import { parsePeerId } from "../ike/peer-id.ts";
import { parseEspProposal, parseIkeProposal } from "../ike/proposal.ts";
import { parseSelector } from "../ipsec/selector.ts";
import type { Child, Config, Connection, KeyringSettings, LivenessSettings } from "./config.ts";
import type { Secret } from "./secret.ts";

/**
 * The connections of `config` for the IKE manager. `sourceFor` tells the local address of a route to a peer, for
 * connections that leave it out; without it such a connection is an EspalierError ESPALIER_CONFIG.
 */
export const toConnections = (config: Config, sourceFor?: (remote: string) => string): ConnectionConfig[] => {
  const keyrings = new Map(config.keyrings.map((keyring) => [keyring.name, toKeyring(keyring)]));
  return config.connections.map((connection) => toConnection(connection, keyrings, config.workers, sourceFor));
};

const toKeyring = ({ entries }: KeyringSettings): Keyring =>
  new Keyring(
    entries.map(({ id, psk }) => ({
      id: required(parsePeerId(id), `identity ${id}`),
      psk: new Psk(psk.local, psk.remote),
    })),
  );

const toConnection = (
  connection: Connection,
  keyrings: ReadonlyMap<string, Keyring>,
  workers: number,
  sourceFor?: (remote: string) => string,
): ConnectionConfig => {
  const { name, local, remote, psk, start, encap, proposals, lifetime, liveness, children } = connection;
  const { fragmentation, fragmentSize, retransmit, childless, duplicates } = connection;
  const address = local.address ?? (remote.address === undefined ? undefined : sourceFor?.(remote.address));
  if (address === undefined)
    throw new EspalierError("ESPALIER_CONFIG", `connection ${name} has no local address`, {
      remedy: "set local.address",
    });
  const remoteId = remote.id ?? remote.address;
  const keyring = connection.keyring === undefined ? undefined : keyrings.get(connection.keyring);
  return {
    name,
    local: { address, id: required(parseIdentity(local.id ?? address), `local identity of ${name}`) },
    remote: {
      address: remote.address,
      backups: remote.backups,
      port: remote.port,
      id: remoteId === undefined ? undefined : required(parsePeerId(remoteId), `remote identity of ${name}`),
    },
    psk: psk && new Psk(psk.local, psk.remote),
    ...(keyring === undefined ? {} : { keyring }),
    start,
    encap,
    fragmentation,
    fragmentSize,
    proposals: proposals.map((text) => parseIkeProposal(text)),
    lifetime,
    liveness: liveness === undefined ? undefined : toLiveness(liveness),
    retransmit,
    childless,
    duplicates,
    children: children.map((child) => toChild(child, workers)),
  };
};

const toLiveness = ({ interval, mode, retry }: LivenessSettings): Liveness => ({
  interval,
  mode,
  ...(retry === undefined ? {} : { retry }),
});

const toChild = (child: Child, workers: number): ChildConfig => {
  const { name, proposals, esn, local, remote, lifetime, lifebytes, lifepackets, refuseTfc, sas, mode, start } = child;
  return {
    name,
    mode,
    trap: start === "trap",
    proposals: proposals.map((text) => parseEspProposal(text, esn)),
    local: local.map((text) => required(parseSelector(text), `selector ${text}`)),
    remote: remote.map((text) => required(parseSelector(text), `selector ${text}`)),
    lifetime,
    lifebytes,
    lifepackets,
    refuseTfc,
    sas: sas === "auto" ? workers : sas,
  };
};

/** The keys as IKE asks for them, and nothing to enumerate, print or serialise. */
class Psk {
  readonly #local: Secret;
  readonly #remote: Secret;

  constructor(local: Secret, remote: Secret) {
    this.#local = local;
    this.#remote = remote;
  }

  get local(): Uint8Array {
    return this.#local.reveal();
  }

  get remote(): Uint8Array {
    return this.#remote.reveal();
  }
}

/** A Config was checked when it was read: what does not parse now was not read by `loadConfig`. */
const required = <T>(value: T | undefined, what: string): T => {
  if (value === undefined) throw new EspalierError("ESPALIER_CONFIG", `not understood: ${what}`);
  return value;
};
