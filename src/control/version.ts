/** The version of the package, from its package.json: the one file that knows it. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

const NAME = "espalier";

/** Of the package that has the folder; `unknown` where none of ours has. */
export const versionIn = (folder: string): string => {
  const path = join(folder, "package.json");
  if (existsSync(path)) {
    const { name, version } = JSON.parse(readFileSync(path, "utf8")) as { name?: unknown; version?: unknown };
    if (name === NAME && typeof version === "string") return version;
  }
  return folder === dirname(folder) ? "unknown" : versionIn(dirname(folder));
};

export const VERSION = versionIn(import.meta.dirname);
