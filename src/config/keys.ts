/** Finds the keys of a connection: in the file, or in files of their own. */
import { statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { EspalierError } from "../errors.ts";
import { parseIkeProposal, TransformType } from "../ike/proposal.ts";
import type { Fault } from "./complaints.ts";
import { isExposed, type PskFile, pskBits, readPskFile, STRONG_BITS } from "./psk.ts";
import type { ConnectionSettings, KeyringEntrySettings, Settings } from "./schema.ts";
import type { Secret } from "./secret.ts";
import type { Path } from "./source.ts";

interface Holder {
  readonly psk?: Secret | undefined;
  readonly psk_file?: string | undefined;
}

export interface FoundKeys {
  readonly keys: { readonly local: Secret; readonly remote: Secret } | undefined;
  readonly faults: readonly Fault[];
  readonly warnings: readonly Fault[];
}

/**
 * The keys of both ends of the connection or the keyring's entry at `path`; each end's own goes before the one of both. A key
 * of less than `strength` bits is warned of.
 */
export const findKeys = (
  connection: Pick<ConnectionSettings | KeyringEntrySettings, "psk" | "psk_file" | "local" | "remote">,
  { path, file, strength }: { readonly path: Path; readonly file: string; readonly strength: number },
): FoundKeys => {
  const faults: Fault[] = [];
  const warnings: Fault[] = [];
  const keyOf = (holder: Holder, place: Path): Secret | undefined => {
    const found = holder.psk === undefined ? fromFile(holder.psk_file, place) : holder.psk;
    if (found !== undefined)
      warnings.push(...weakness(found, [...place, holder.psk === undefined ? "psk_file" : "psk"], strength));
    return found;
  };
  const fromFile = (name: string | undefined, place: Path): Secret | undefined => {
    if (name === undefined) return undefined;
    const at = [...place, "psk_file"];
    const read = tryRead(resolve(dirname(file), name));
    if (read instanceof EspalierError) {
      faults.push({ path: at, message: read.message });
      return undefined;
    }
    if (read.exposed) warnings.push({ path: at, message: `group or others may read ${name}: chmod 600 it` });
    return read.secret;
  };
  const shared = keyOf(connection, path);
  const local = keyOf(connection.local, [...path, "local"]) ?? shared;
  const remote = keyOf(connection.remote, [...path, "remote"]) ?? shared;
  return { keys: local === undefined || remote === undefined ? undefined : { local, remote }, faults, warnings };
};

const tryRead = (path: string): PskFile | EspalierError => {
  try {
    return readPskFile(path);
  } catch (error) {
    if (error instanceof EspalierError) return error;
    throw error;
  }
};

const weakness = (secret: Secret, path: Path, strength: number): Fault[] => {
  const bits = pskBits(secret);
  if (bits >= strength) return [];
  const why = strength > STRONG_BITS ? `, fewer than the ${strength} of every suite` : ` and ${strength} are wanted`;
  return [{ path, message: `the key has at most ${bits} bits${why}: take \`openssl rand -base64 32\`` }];
};

/** What a key must not be weaker than: the weakest cipher of the proposals (RFC 7296 §2.15), and never less than 128 bits. */
export const strengthOf = (proposals: readonly string[]): number => {
  const ciphers = proposals.flatMap((text) =>
    parseIkeProposal(text).transforms.filter(({ type }) => type === TransformType.ENCR),
  );
  return Math.max(STRONG_BITS, Math.min(...ciphers.map(({ keyBits = 256 }) => keyBits)));
};

export interface FoundKeyring {
  readonly name: string;
  /** By entry. */
  readonly found: readonly FoundKeys[];
}

/** The keys of all keyrings: each must do for the connections that use it. */
export const findKeyrings = ({ keyrings = {}, connections = {} }: Settings, file: string): FoundKeyring[] =>
  Object.entries(keyrings).map(([name, entries]) => {
    const users = Object.values(connections).filter(({ keyring }) => keyring === name);
    const strength = Math.max(STRONG_BITS, ...users.map(({ proposals }) => strengthOf(proposals)));
    const found = entries.map((entry, index) => findKeys(entry, { path: ["keyrings", name, index], file, strength }));
    return { name, found };
  });

/** A configuration that holds keys itself should be its owner's alone. */
export const exposure = (file: string, holdsKeys: boolean): Fault[] => {
  const stats = holdsKeys ? statSync(file, { throwIfNoEntry: false }) : undefined;
  if (stats === undefined || !isExposed(stats.mode)) return [];
  return [{ path: [], message: "group or others may read this file, which holds a key: chmod 600 it" }];
};
