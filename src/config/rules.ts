/** What no single value can break: what must be there, what belongs together, and what must differ. */
import { addressText, canonicalAddress, familyOf, parsePrefix, prefixRange } from "../ip-address.ts";
import { IPV6_MIN_MTU } from "../ipsec/mtu.ts";
import { parseSelector } from "../ipsec/selector.ts";
import { type Complain, type Connections, childrenOf } from "./children.ts";
import { type Fault, isWithin } from "./complaints.ts";
import { checkManual, isManual } from "./manual.ts";
import { checkMark, checkShared } from "./policies.ts";
import { ANY } from "./scalars.ts";
import type {
  ChildSettings,
  ConnectionSettings,
  KeyringEntrySettings,
  Settings,
  SharedInterfaceSettings,
} from "./schema.ts";
import { formatPath, type Path } from "./source.ts";

const LONGEST_NAME = 64;

/** Faults of `settings`; `known` are places that were refused already, of which nothing more is said. */
export const brokenRules = (settings: Settings, known: readonly Path[]): Fault[] => {
  const faults: Fault[] = [];
  const complain = (path: Path, message: string): void => {
    if (!known.some((place) => isWithin(path, place) || isWithin(place, path))) faults.push({ path, message });
  };
  const { ports, connections } = settings;
  if (ports.ike === ports.natt)
    complain(["ports", "natt"], `expected another port than ports.ike, found ${ports.natt} for both`);

  checkKeyrings(settings, complain, known);
  const names = Object.keys(connections ?? {});
  if (names.length === 0) complain(["connections"], "expected at least one connection");
  for (const name of names) {
    const connection = connections?.[name];
    if (connection === undefined) continue;
    checkName(name, ["connections", name], complain);
    checkConnection(connection, ["connections", name], complain);
    if (isManual(connection)) {
      checkManual(connection, ["connections", name], complain);
      continue;
    }
    if (!known.some((place) => isAboutKeys(place, ["connections", name])))
      checkKeys(connection, ["connections", name], complain);
    const { keyring } = connection;
    const isRefused = known.some((place) => isWithin(place, ["keyrings"])); // it may well be that one
    if (keyring !== undefined && settings.keyrings?.[keyring] === undefined && !isRefused)
      complain(["connections", name, "keyring"], `expected the name of a keyring, there is none called ${keyring}`);
  }
  checkPeersDiffer(connections ?? {}, complain);
  checkInterfacesDiffer(settings, complain);
  checkShared(settings, complain);
  checkMark(settings, complain);
  return faults;
};

/** A key that was refused, or all that may hold one, is not a key that is missing. */
const isAboutKeys = (place: Path, connection: Path): boolean =>
  isWithin(place, connection) && /^(psk|psk_file|local|remote)$/.test(String(place.at(-1)));

/** Names are typed in commands and printed in logs. */
const checkName = (name: string, path: Path, complain: Complain): void => {
  if (!/^[A-Za-z0-9_][\w.@:-]*$/.test(name) || name.length > LONGEST_NAME)
    complain(path, `expected a name of at most ${LONGEST_NAME} letters, digits and . _ - @ :`);
};

const checkConnection = (connection: ConnectionSettings, path: Path, complain: Complain): void => {
  const { local, remote, start, children } = connection;
  const localPath = [...path, "local", "address"];
  const remotePath = [...path, "remote", "address"];
  if (remote.address === undefined) complain(remotePath, "expected the address of the peer, or any");
  if (remote.address === ANY && start !== "none")
    complain([...path, "start"], "expected none: a peer of any address cannot be called");
  if (remote.address === ANY && local.address === undefined)
    complain(localPath, "expected an address: where the peer is any, no route tells it");
  if (remote.address !== undefined && isName(remote.address) && local.address === undefined)
    complain(localPath, "expected an address: where the peer is a name, no route tells it before it is resolved");
  if (remote.backups.length > 0 && remote.address === ANY)
    complain([...path, "remote", "backups"], "expected none: a peer of any address cannot be called");
  if (remote.backups.length > 0 && remote.id === undefined)
    complain([...path, "remote", "id"], "expected an identity: with backups it is not an address");
  [remote.address, ...remote.backups].forEach((end, index) => {
    const where = index === 0 ? remotePath : [...path, "remote", "backups", index - 1];
    if (local.address === undefined || end === undefined || end === ANY || isName(end)) return;
    if (familyOf(local.address) !== familyOf(end))
      complain(where, `expected an IPv${familyOf(local.address)} address as local.address is one`);
    if (local.address === end) complain(where, "expected another address than local.address");
  });

  const names = Object.keys(children ?? {});
  if (names.length === 0) complain([...path, "children"], "expected at least one child");
  for (const name of names) {
    const child = children?.[name];
    if (child === undefined) continue;
    checkName(name, [...path, "children", name], complain);
    checkChild(child, [...path, "children", name], complain);
  }
};

const isName = (host: string): boolean => host !== ANY && canonicalAddress(host) === undefined;

const checkKeyrings = ({ keyrings = {} }: Settings, complain: Complain, known: readonly Path[]): void => {
  for (const [name, entries] of Object.entries(keyrings)) {
    checkName(name, ["keyrings", name], complain);
    entries.forEach((entry, index) => {
      const path = ["keyrings", name, index];
      if (entry.id === undefined) complain([...path, "id"], "expected an identity or a pattern");
      if (!known.some((place) => isAboutKeys(place, path))) checkKeys(entry, path, complain);
    });
  }
};

const checkKeys = (
  connection: (ConnectionSettings | KeyringEntrySettings) & { readonly keyring?: string | undefined },
  path: Path,
  complain: Complain,
): void => {
  const { local, remote } = connection;
  const places: readonly (readonly [{ psk?: unknown; psk_file?: unknown }, Path])[] = [
    [connection, path],
    [local, [...path, "local"]],
    [remote, [...path, "remote"]],
  ];
  for (const [holder, place] of places)
    if (holder.psk !== undefined && holder.psk_file !== undefined)
      complain([...place, "psk_file"], "expected psk or psk_file, found both");

  const has = (holder: { psk?: unknown; psk_file?: unknown }): boolean =>
    holder.psk !== undefined || holder.psk_file !== undefined;
  if (has(connection)) return;
  if (!has(local) && !has(remote)) {
    if (connection.keyring !== undefined) return;
    complain([...path, "psk"], "expected a key: psk or psk_file");
    return;
  }
  const lacking = has(local) ? "remote" : "local";
  if (!has(local) || !has(remote))
    complain([...path, lacking, "psk"], "expected a key: psk or psk_file, here or for the connection");
};

const checkChild = (child: ChildSettings, path: Path, complain: Complain): void => {
  if (child.replay_window === 0 && child.esn === "yes")
    complain([...path, "esn"], "expected no or either where replay_window is off (RFC 4303 §3.4.3), found yes");
  const ours = new Set(child.local.map(selectorFamily));
  if (!child.remote.some((text) => ours.has(selectorFamily(text))))
    complain([...path, "remote"], "expected a selector of a family that local has too");
  const settings = child.interface;
  if (child.shares !== undefined) {
    if (settings !== undefined) complain([...path, "shares"], "expected interface or shares, found both");
    return;
  }
  if (settings?.name === undefined) {
    complain([...path, "interface", "name"], "expected the name of the interface to make");
    if (settings === undefined) return;
  }
  checkMtu(settings, [...path, "interface"], complain);
};

/** RFC 8200 §5. */
const checkMtu = (
  { addresses, mtu, routes }: Pick<SharedInterfaceSettings, "addresses" | "mtu" | "routes">,
  path: Path,
  complain: Complain,
): void => {
  const v6 = [...addresses, ...routes].find((prefix) => familyOf(prefix) === 6);
  if (mtu !== "auto" && mtu < IPV6_MIN_MTU && v6 !== undefined)
    complain([...path, "mtu"], `expected auto or at least ${IPV6_MIN_MTU}, as ${v6} is IPv6, found ${mtu}`);
};

/** Octets of its addresses. */
const selectorFamily = (text: string): number | undefined => parseSelector(text)?.first.length;

/** A responder tells its connections apart by addresses and identities. */
const checkPeersDiffer = (connections: Connections, complain: Complain): void => {
  const seen = new Map<string, string>();
  for (const [name, { local, remote }] of Object.entries(connections)) {
    if (remote.address === undefined) continue;
    const ends = [local.address, local.id, remote.address, remote.port, remote.id];
    const key = JSON.stringify(ends.map((end) => end ?? null));
    const first = seen.get(key);
    if (first !== undefined)
      complain(
        ["connections", name, "remote"],
        `expected an address or an id that differs from connection ${first}: the two could not be told apart`,
      );
    else seen.set(key, name);
  }
};

const checkInterfacesDiffer = ({ connections = {}, interfaces = {} }: Settings, complain: Complain): void => {
  const names = new Map<string, Path>();
  const addresses = new Map<string, Path>();
  const routes = new Map<string, Path>();
  const claim = (claimed: Map<string, Path>, value: string, path: Path, what: string): void => {
    const first = claimed.get(value);
    if (first === undefined) claimed.set(value, path);
    else complain(path, `expected ${what} of its own, ${value} is that of ${formatPath(first)}`);
  };
  const claimAll = (device: Pick<SharedInterfaceSettings, "addresses" | "routes">, path: Path): void => {
    device.addresses.forEach((prefix, index) => {
      const { address } = parsePrefix(prefix) ?? { address: prefix };
      claim(addresses, address, [...path, "addresses", index], "an address");
    });
    device.routes.forEach((prefix, index) => {
      claim(routes, prefix, [...path, "routes", index], "a route");
    });
  };
  for (const [name, shared] of Object.entries(interfaces)) {
    names.set(name, ["interfaces", name]);
    checkMtu(shared, ["interfaces", name], complain);
    claimAll(shared, ["interfaces", name]);
  }
  for (const [path, { interface: settings }] of childrenOf(connections)) {
    if (settings?.name !== undefined) claim(names, settings.name, [...path, "interface", "name"], "an interface name");
    if (settings !== undefined) claimAll(settings, [...path, "interface"]);
  }
};

/** True when `prefix` holds `address`. */
export const holds = (prefix: string, address: string): boolean => {
  const parsed = parsePrefix(prefix);
  if (parsed === undefined || canonicalAddress(address) === undefined) return false;
  if (familyOf(prefix) !== familyOf(address)) return false;
  const { first } = prefixRange(parsed);
  return addressText(prefixRange({ address, length: parsed.length }).first) === addressText(first);
};
