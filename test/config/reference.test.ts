import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { keyTable } from "./key-table.ts";

const README = "../../src/config/README.md";

test("the reference has every key of the schema, as the schema has it", async () => {
  const text = readFileSync(new URL(README, import.meta.url), "utf8");
  const fresh = text.replace(
    /(<!-- keys -->\n)[\s\S]*(<!-- \/keys -->)/,
    (_, open, close) => `${open}\n${keyTable()}\n\n${close}`,
  );
  await expect(unpadded(fresh) === unpadded(text) ? text : fresh).toMatchFileSnapshot(README);
});

/** The formatter pads the columns of a table. */
const unpadded = (markdown: string): string => markdown.replace(/ +/g, " ").replace(/-{3,}/g, "---");
