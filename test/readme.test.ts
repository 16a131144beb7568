/** The tables of scenarios in test/README.md name tests that are there. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const isTest = (name: string): boolean => {
  const path = join(import.meta.dirname, name);
  return existsSync(`${path}.test.ts`) || (existsSync(path) && statSync(path).isDirectory());
};

/** A name without a folder is of the one before it. */
const namedIn = (cell: string): string[] => {
  let folder = "";
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => {
    if (name.includes("/")) folder = name.slice(0, name.indexOf("/"));
    return name.includes("/") ? name : `${folder}/${name}`;
  });
};

test("every scenario has a test that is there", () => {
  const text = readFileSync(join(import.meta.dirname, "README.md"), "utf8");
  const rows = text
    .slice(text.indexOf("## Packets"))
    .split("\n")
    .filter((line) => line.startsWith("| ") && !/^\| (scenario|---|\*\*)/.test(line))
    .map((line) => line.split(" | "));
  expect(rows.length).toBeGreaterThan(80);
  const lacking = rows.flatMap(([scenario = "", cell = ""]) => {
    const names = namedIn(cell);
    return names.length > 0 && names.every(isTest) ? [] : [scenario];
  });
  expect(lacking).toEqual([]);
});
