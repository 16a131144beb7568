import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { keyTable } from "./key-table.ts";

const README = "../../src/config/README.md";

test("the reference has every key of the schema, as the schema has it", async () => {
  const text = readFileSync(new URL(README, import.meta.url), "utf8");
  const fresh = text.replace(
    /(<!-- keys -->\n)[\s\S]*(<!-- \/keys -->)/,
    (_, open, close) => `${open}${keyTable()}\n${close}`,
  );
  await expect(fresh).toMatchFileSnapshot(README);
});
