/** The version of the package, from its package.json: the one file that knows it. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

const NAME = "espalier";

const find = (folder: string): string => {
  const path = join(folder, "package.json");
  if (existsSync(path)) {
    const { name, version } = JSON.parse(readFileSync(path, "utf8")) as { name?: unknown; version?: unknown };
    if (name === NAME && typeof version === "string") return version;
  }
  return folder === dirname(folder) ? "unknown" : find(dirname(folder));
};

export const VERSION = find(import.meta.dirname);
