/**
 * What engines were measured to do on this machine, kept in a small file from one start to the next.
 *
 * It is believed only when it is a plain file of our own that nobody else may read or write, and when machine and versions
 * are those that were measured; else it is measured again and the file is written anew. It decides about speed alone: the
 * known answers are asked for at every start. When it cannot be written there is none, and nothing else happens.
 */
import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { arch, cpus, homedir } from "node:os";
import { dirname, join } from "node:path";
import type { EngineDriver } from "./engine.ts";
import type { Measurement } from "./engine-speed.ts";

/** Measurements of an earlier start. */
export interface ProbeCache {
  /** Empty when there are none that can be believed. */
  read(): readonly Measurement[];
  /** Keep these, and what is known of other suites. */
  write(measured: readonly Measurement[]): void;
}

const FORMAT = 1;
const LONGEST = 65_536; // octets of a file that we could have written
const PRIVATE_FILE = 0o600;
const PRIVATE_FOLDER = 0o700;

/**
 * Where the file is: below `XDG_CACHE_HOME` when that is an absolute path, else below `/var/cache` for root, else below
 * `~/.cache`.
 */
export const probeCachePath = (environment: NodeJS.ProcessEnv = process.env, uid = process.geteuid?.()): string => {
  const { XDG_CACHE_HOME: wanted } = environment;
  const base = wanted?.startsWith("/") ? wanted : uid === 0 ? "/var/cache" : join(homedir(), ".cache");
  return join(base, "espalier", "engines.json");
};

/** What the figures depend on, as one line: processor and its flags, versions of Node, of the libraries and of us. */
export const machineKey = (drivers: readonly EngineDriver[], version: string): string => {
  const flags = /^(?:flags|Features)\s*:(.*)$/m.exec(textOf("/proc/cpuinfo"))?.[1]?.trim() ?? "";
  const digest = createHash("sha256").update(flags).digest("hex").slice(0, 16);
  const engines = drivers.map((driver) => `${driver.name}: ${driver.unavailable() ?? driver.describe()}`);
  return [
    `espalier ${version}`,
    `Node ${process.versions.node}`,
    `${arch()} ${cpus()[0]?.model ?? "unknown processor"}, flags ${digest}`,
    ...engines,
  ].join("; ");
};

export class FileProbeCache implements ProbeCache {
  readonly path: string;
  readonly #machine: string;

  /** `machine` is a `machineKey`. */
  constructor(path: string, machine: string) {
    this.path = path;
    this.#machine = machine;
  }

  read(): readonly Measurement[] {
    const text = this.#ownText();
    if (text === undefined) return [];
    try {
      return this.#parse(JSON.parse(text));
    } catch {
      return []; // not JSON: not ours
    }
  }

  write(measured: readonly Measurement[]): void {
    const others = this.read().filter((old) => !measured.some((each) => each.suite === old.suite));
    const text = JSON.stringify({ format: FORMAT, machine: this.#machine, measured: [...others, ...measured] });
    const temporary = `${this.path}.${process.pid}.${randomBytes(4).toString("hex")}`;
    let made = false;
    try {
      mkdirSync(dirname(this.path), { recursive: true, mode: PRIVATE_FOLDER });
      made = true;
      const file = openSync(temporary, "wx", PRIVATE_FILE);
      try {
        fchmodSync(file, PRIVATE_FILE); // whatever the umask
        writeSync(file, `${text}\n`);
      } finally {
        closeSync(file);
      }
      renameSync(temporary, this.path); // never half a file, and never through somebody's link
    } catch {
      if (made) remove(temporary); // a read-only or full disk: measured again at the next start
    }
  }

  /** The file's text when the file is a private one of our own. */
  #ownText(): string | undefined {
    let file: number;
    try {
      file = openSync(this.path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch {
      return undefined; // there is none, or none that we may read
    }
    try {
      const { mode, uid, size, nlink } = fstatSync(file);
      const isOwn =
        (mode & constants.S_IFMT) === constants.S_IFREG &&
        (mode & 0o077) === 0 &&
        uid === process.geteuid?.() &&
        nlink === 1 &&
        size <= LONGEST;
      return isOwn ? readFileSync(file, "utf8") : undefined;
    } catch {
      return undefined; // the disk does not give it
    } finally {
      closeSync(file);
    }
  }

  #parse(value: unknown): readonly Measurement[] {
    if (!isObject(value) || value.format !== FORMAT || value.machine !== this.#machine) return [];
    return Array.isArray(value.measured) && value.measured.every(isMeasurement) ? value.measured : [];
  }
}

/** What JSON gave, before anything of it is believed. */
interface Claim {
  readonly format?: unknown;
  readonly machine?: unknown;
  readonly measured?: unknown;
  readonly engine?: unknown;
  readonly suite?: unknown;
  readonly nsPerPacket?: unknown;
}

const isObject = (value: unknown): value is Claim => typeof value === "object" && value !== null;

const ENGINES: readonly unknown[] = ["ipsec-mb", "openssl", "node", "noble"];

const isMeasurement = (value: unknown): value is Measurement & Claim =>
  isObject(value) &&
  ENGINES.includes(value.engine) &&
  typeof value.suite === "string" &&
  typeof value.nsPerPacket === "number" &&
  Number.isFinite(value.nsPerPacket) &&
  value.nsPerPacket > 0;

const remove = (path: string): void => {
  try {
    rmSync(path, { force: true });
  } catch {
    return; // whoever kept us from writing keeps us from tidying up
  }
};

const textOf = (path: string): string => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // no such file but on Linux
  }
};
