/**
 * Children whose SAs have keys in the configuration, and no IKE (RFC 4301 §4.5.1): for tests and benchmarks. They are in
 * force as long as the gateway runs, and a peer that moves is not followed.
 */
import type { Child, Config, Connection, ManualSas } from "../config/config.ts";
import { suiteByName } from "../crypto/suites.ts";
import { EspalierError } from "../errors.ts";
import type { ChildSaParams, Path } from "../ike/effect.ts";
import type { ConnectionStatus } from "../ike/status.ts";
import { selectorsFor } from "../ike/transport-mode.ts";
import { formatEndpoint } from "../ip-address.ts";
import { formatSelector, parseSelector, type TrafficSelector } from "../ipsec/selector.ts";

/** Of ESP in UDP (RFC 3948 §2.1), where `remote.port` says no other. */
const NATT_PORT = 4500;
const IKE_PORT = 500;

/** What the data plane needs of a pair, and where its counters begin. */
export interface ManualPair {
  readonly child: ChildSaParams;
  readonly sequence: { readonly in: number; readonly out: number };
}

export const isManual = ({ children }: Connection): boolean => children.some(({ manual }) => manual !== undefined);

/** The same configuration without connections that IKE does not know. */
export const withoutManual = (config: Config): Config => ({
  ...config,
  connections: config.connections.filter((connection) => !isManual(connection)),
});

/** The pairs of all connections with manual keys. `sourceFor`: the local address of the route to a peer. */
export const manualPairs = (
  { connections, ports }: Pick<Config, "connections" | "ports">,
  sourceFor: (remote: string) => string,
): ManualPair[] =>
  connections.filter(isManual).flatMap((connection) => {
    const path = pathOf(connection, ports.natt, sourceFor);
    return connection.children.flatMap((child) =>
      child.manual === undefined ? [] : [pairOf(connection, child, child.manual, path)],
    );
  });

const pathOf = (
  { name, local, remote, encap }: Connection,
  natt: number,
  sourceFor: (remote: string) => string,
): Path => {
  if (remote.address === undefined) throw wrong(`connection ${name} has manual keys and no peer`);
  const address = local.address ?? sourceFor(remote.address);
  const isUdp = encap === "force";
  return {
    local: { address, port: isUdp ? natt : IKE_PORT },
    remote: { address: remote.address, port: isUdp && remote.port === IKE_PORT ? NATT_PORT : remote.port },
  };
};

const pairOf = (connection: Connection, child: Child, manual: ManualSas, path: Path): ManualPair => {
  const suite = suiteByName(manual.suite);
  if (suite === undefined) throw wrong(`no suite ${manual.suite}`);
  const { mode } = child;
  const [here, there] = [selectorsOf(child.local, path, "local"), selectorsOf(child.remote, path, "remote")];
  const { local, remote } = selectorsFor({ mode, local: here, remote: there }, path);
  return {
    sequence: { in: manual.in.sequence, out: manual.out.sequence },
    child: {
      connection: connection.name,
      child: child.name,
      resource: 0,
      spiIn: manual.in.spi,
      spiOut: manual.out.spi,
      suite,
      esn: child.esn === "yes",
      keyIn: manual.in.key.reveal().slice(),
      keyOut: manual.out.key.reveal().slice(),
      local,
      remote,
      mode,
      tfcRefused: false,
      path,
      encap: connection.encap === "force",
      pairs: 1,
      proposal: suite.name,
      replaces: undefined,
    },
  };
};

const selectorsOf = (texts: readonly string[], path: Path, end: "local" | "remote"): TrafficSelector[] => {
  const selectors = texts.flatMap((text) => parseSelector(text) ?? []);
  if (selectors.length > 0) return selectors;
  throw wrong(`no selectors of ${path[end].address}`);
};

const wrong = (message: string): EspalierError => new EspalierError("ESPALIER_CONFIG", message);

/** Their connections for the status: up, without an IKE SA. */
export const manualStatus = (pairs: readonly ManualPair[]): ConnectionStatus[] => {
  const names = [...new Set(pairs.map(({ child }) => child.connection))];
  return names.map((name) => {
    const own = pairs.map(({ child }) => child).filter(({ connection }) => connection === name);
    const [first] = own;
    return {
      name,
      state: "up",
      remote: first === undefined ? "any" : remoteText(first),
      childSas: own.map(({ child, spiIn, spiOut, suite, esn, encap, mode, local, remote }) => ({
        name: child,
        resource: 0,
        state: "installed",
        spiIn,
        spiOut,
        suite: suite.name,
        esn,
        encap,
        mode,
        rekeyAt: undefined,
        local: local.map(formatSelector),
        remote: remote.map(formatSelector),
      })),
    };
  });
};

const remoteText = ({ encap, path: { remote } }: ChildSaParams): string =>
  encap ? formatEndpoint(remote) : remote.address;
