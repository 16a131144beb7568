/**
 * From the text of a file to a Config: read as YAML, held against the schema, then against the rules; all that is wrong is
 * told at once, each with its file, line and path.
 */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { EspalierError } from "../errors.ts";
import { adviceOn } from "./advice.ts";
import { type Fault, faultsOf, locate, without } from "./complaints.ts";
import type { Child, Config, Connection, IkeSettings, InterfaceSettings, KeyringSettings } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import { exposure, type FoundKeyring, type FoundKeys, findKeyrings, findKeys, strengthOf } from "./keys.ts";
import { isManual } from "./manual.ts";
import { sharedOf } from "./policies.ts";
import { adviceOnPolicies } from "./policy-advice.ts";
import { brokenRules } from "./rules.ts";
import { ANY } from "./scalars.ts";
import {
  type ChildSettings,
  type ConnectionSettings,
  type KeyringEntrySettings,
  type Settings,
  settings,
} from "./schema.ts";
import { readSource } from "./source.ts";

/** Octets of a configuration file; a longer one is hardly the right file. */
const LONGEST = 16 * 1024 * 1024;

/** Read the configuration file at `path`. Throws a ConfigError that lists all that is wrong. */
export const loadConfig = (path: string): Config => parseConfig(readText(path), path);

/** As `loadConfig`, from `text`; relative paths in it are relative to the folder of `file`. */
export const parseConfig = (text: string, file = "(text)"): Config => {
  const source = readSource(text);
  if (source.complaints.length > 0) throw new ConfigError(file, source.complaints);
  const whole = source.value ?? {};

  const strict = settings.safeParse(whole);
  const faults: Fault[] = strict.success ? [] : faultsOf(strict.error.issues, whole, settings);
  const refused = faults.map(({ path }) => path);
  // What the schema refuses is taken out, so that the rules can still look at the rest.
  const rest = strict.success ? strict : settings.safeParse(without(whole, refused));
  const read = rest.success ? rest.data : undefined;
  const found = new Map<string, FoundKeys>();
  const keyrings = read === undefined ? [] : findKeyrings(read, file);
  if (read !== undefined) {
    faults.push(...brokenRules(read, refused));
    for (const [name, connection] of Object.entries(read.connections ?? {})) {
      const strength = strengthOf(connection.proposals);
      found.set(name, findKeys(connection, { path: ["connections", name], file, strength }));
    }
  }
  const keys = [...found.values(), ...keyrings.flatMap((keyring) => keyring.found)];
  for (const { faults: ofKeys } of keys) faults.push(...ofKeys);
  if (read === undefined || faults.length > 0) throw new ConfigError(file, locate(faults, source));

  const connections = read.connections ?? {};
  const warnings = [
    ...adviceOn(read),
    ...adviceOnPolicies(read),
    ...keys.flatMap(({ warnings }) => warnings),
    ...exposure(
      file,
      Object.values(connections).some((connection) => holdsKey(connection) || isManual(connection)) ||
        Object.values(read.keyrings ?? {}).some((ring) => ring.some(holdsKey)),
    ),
  ];
  return {
    file,
    workers: read.workers,
    affinity: read.affinity,
    poll: read.poll,
    batch: read.batch,
    engine: read.engine,
    control: resolve(dirname(file), read.control),
    log: read.log,
    ports: read.ports,
    ike: ikeOf(read.ike),
    mark: read.mark === 0 ? undefined : read.mark,
    interfaces: Object.entries(read.interfaces ?? {}).map(([name, shared]) => sharedOf(name, shared, connections)),
    keyrings: keyrings.map((keyring) => keyringOf(keyring, read.keyrings?.[keyring.name] ?? [])),
    connections: Object.entries(connections).map(([name, connection]) =>
      connectionOf(name, connection, found.get(name)?.keys),
    ),
    warnings: locate(warnings, source),
  };
};

const ikeOf = ({ half_open, limit, ...ike }: Settings["ike"]): IkeSettings => ({
  dscp: ike.dscp,
  cookieThreshold: ike.cookie_threshold,
  halfOpenLimit: half_open.incoming,
  halfOpenPerSource: half_open.per_source,
  halfOpenOutLimit: half_open.outgoing,
  halfOpenTimeout: half_open.timeout,
  sasLimit: limit.all,
  sasPerPeer: limit.per_peer,
  decryptFailures: ike.decrypt_failures,
  rekeyRate: ike.rekey_rate,
  queueLimit: ike.queue,
});

const readText = (path: string): string => {
  try {
    const bytes = readFileSync(path);
    if (bytes.length <= LONGEST) return bytes.toString("utf8");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unreadable";
    throw new EspalierError("ESPALIER_CONFIG", `cannot read ${path}: ${READ_ERRORS[code] ?? code}`, { cause });
  }
  throw new EspalierError("ESPALIER_CONFIG", `cannot read ${path}: it is longer than ${LONGEST} octets`);
};

const READ_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "permission denied",
  EISDIR: "it is a folder",
};

/** The rules have seen to it that every entry has an identity and keys. */
const keyringOf = ({ name, found }: FoundKeyring, entries: readonly KeyringEntrySettings[]): KeyringSettings => ({
  name,
  entries: entries.flatMap(({ id }, index) => {
    const psk = found[index]?.keys;
    return id === undefined || psk === undefined ? [] : [{ id, psk }];
  }),
});

const holdsKey = ({ psk, local, remote }: ConnectionSettings | KeyringEntrySettings): boolean =>
  psk !== undefined || local.psk !== undefined || remote.psk !== undefined;

const connectionOf = (
  name: string,
  {
    local,
    remote,
    start,
    keyring,
    encap,
    fragmentation,
    fragment_size,
    proposals,
    lifetime,
    liveness,
    liveness_mode,
    liveness_retry,
    retransmit,
    childless,
    duplicates,
    children = {},
  }: ConnectionSettings,
  psk: Connection["psk"],
): Connection => ({
  name,
  local: { address: local.address, id: local.id },
  remote: {
    address: remote.address === ANY ? undefined : remote.address,
    backups: remote.backups,
    port: remote.port,
    id: remote.id,
  },
  psk,
  keyring,
  start,
  encap,
  fragmentation,
  fragmentSize: fragment_size.octets,
  proposals,
  lifetime,
  liveness:
    liveness.every === undefined
      ? undefined
      : { interval: liveness.every, mode: liveness_mode, retry: liveness_retry.time },
  retransmit: { ...retransmit, jitter: retransmit.jitter / 100 },
  childless,
  duplicates,
  children: Object.entries(children).map(([child, value]) => childOf(child, value)),
});

const childOf = (
  name: string,
  {
    replay_window,
    esn,
    lifebytes,
    lifepackets,
    dummies,
    refuse_tfc,
    icmp_errors,
    manual,
    interface: made,
    shares,
    ...child
  }: ChildSettings,
): Child => ({
  name,
  ...child,
  esn: replay_window === 0 && esn === "either" ? "no" : esn, // RFC 4303 §3.4.3
  lifebytes: lifebytes.count,
  lifepackets: lifepackets.count,
  dummies: dummies.every,
  refuseTfc: refuse_tfc,
  icmpErrors: icmp_errors,
  replayWindow: Math.ceil(replay_window / 32) * 32,
  interface: shares ?? interfaceOf(made),
  manual: manualOf(manual),
});

/** The rules have seen to it that all is there. */
const manualOf = (manual: ChildSettings["manual"]): Child["manual"] => {
  if (manual?.suite === undefined) return undefined;
  const { in: inbound, out } = manual;
  if (inbound.spi === undefined || inbound.key === undefined) return undefined;
  if (out.spi === undefined || out.key === undefined) return undefined;
  return {
    suite: manual.suite,
    in: { spi: inbound.spi, key: inbound.key, sequence: inbound.sequence },
    out: { spi: out.spi, key: out.key, sequence: out.sequence },
  };
};

const interfaceOf = (made: ChildSettings["interface"]): InterfaceSettings => ({
  name: made?.name ?? "",
  addresses: made?.addresses ?? [],
  mtu: made?.mtu ?? "auto",
  mss: made?.mss ?? "auto",
  routes: made?.routes ?? [],
});
