/** Finds the keys of a connection: in the file, or in files of their own. */
import { statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { EspalierError } from "../errors.ts";
import type { Fault } from "./complaints.ts";
import { isExposed, type PskFile, pskBits, readPskFile, STRONG_BITS } from "./psk.ts";
import type { ConnectionSettings } from "./schema.ts";
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

/** The keys of both ends of the connection at `path`; each end's own goes before the connection's. */
export const findKeys = (connection: ConnectionSettings, path: Path, file: string): FoundKeys => {
  const faults: Fault[] = [];
  const warnings: Fault[] = [];
  const keyOf = (holder: Holder, place: Path): Secret | undefined => {
    const found = holder.psk === undefined ? fromFile(holder.psk_file, place) : holder.psk;
    if (found !== undefined)
      warnings.push(...weakness(found, [...place, holder.psk === undefined ? "psk_file" : "psk"]));
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

const weakness = (secret: Secret, path: Path): Fault[] => {
  const bits = pskBits(secret);
  if (bits >= STRONG_BITS) return [];
  const message = `the key has at most ${bits} bits and ${STRONG_BITS} are wanted: take \`openssl rand -base64 32\``;
  return [{ path, message }];
};

/** A configuration that holds keys itself should be its owner's alone. */
export const exposure = (file: string, holdsKeys: boolean): Fault[] => {
  const stats = holdsKeys ? statSync(file, { throwIfNoEntry: false }) : undefined;
  if (stats === undefined || !isExposed(stats.mode)) return [];
  return [{ path: [], message: "group or others may read this file, which holds a key: chmod 600 it" }];
};
