/** What a result was measured with: which build of this program, and the versions of what does its work. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { versionIn } from "../control/version.ts";
import { ipsecMbLibrary } from "../crypto/engines/ipsec-mb-library.ts";
import type { BenchKind } from "./bench-kind.ts";

/** Where this program is: dist, or src. */
const OWN = join(import.meta.dirname, "..");

/** Digits of SHA-256 that tell builds apart. */
const DIGITS = 12;

const UNKNOWN = "unknown";
const builds = new Map<string, string>();

/** Of the code in a folder, names and content: builds with the same one are the same. Read once. `unknown`: no folder. */
export const buildIn = (folder: string): string => {
  const known = builds.get(folder);
  if (known !== undefined) return known;
  if (!existsSync(folder)) return UNKNOWN;
  const hash = createHash("sha256");
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.[jt]s$/.test(name) && !name.endsWith(".d.ts"))
    .sort();
  for (const name of files)
    hash
      .update(`${name}\0`)
      .update(readFileSync(join(folder, name)))
      .update("\0");
  const build = hash.digest("hex").slice(0, DIGITS);
  builds.set(folder, build);
  return build;
};

const ipsecMb = (): string | undefined => {
  const library = ipsecMbLibrary();
  return typeof library === "string" ? undefined : library.versionText();
};

const iperf3 = (): string | undefined =>
  /^iperf (\S+)/.exec(spawnSync("iperf3", ["--version"], { encoding: "utf8" }).stdout ?? "")?.[1];

/** What else takes part in which measurement; undefined: is not here. */
const OTHERS: readonly (readonly [string, readonly BenchKind[], () => string | undefined])[] = [
  ["ipsec-mb", ["esp", "tunnel", "tune"], ipsecMb],
  ["iperf3", ["tunnel", "tune"], iperf3],
];

/** By name. `folder`: the code that measures, if it is not this. */
export const versionsFor = (kind: BenchKind, folder = OWN): Record<string, string> => ({
  espalier: versionIn(folder),
  build: buildIn(folder),
  node: process.versions.node,
  openssl: process.versions.openssl,
  linux: release(),
  ...Object.fromEntries(
    OTHERS.flatMap(([name, kinds, ask]) => {
      const version = kinds.includes(kind) ? ask() : undefined;
      return version === undefined ? [] : [[name, version]];
    }),
  ),
});
