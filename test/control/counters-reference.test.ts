import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { VERDICTS } from "../../src/ipsec/verdict.ts";

const README = "../../src/control/README.md";

const table = (): string =>
  [
    "| reason | what it is | Linux |",
    "| --- | --- | --- |",
    ...VERDICTS.slice(1).map(({ name, text, linux = "" }) => `| \`${name}\` | ${text} | ${linux} |`),
  ].join("\n");

test("the reference has every reason why a packet is dropped", async () => {
  const text = readFileSync(new URL(README, import.meta.url), "utf8");
  const fresh = text.replace(
    /(<!-- reasons -->\n)[\s\S]*(<!-- \/reasons -->)/,
    (_, open, close) => `${open}\n${table()}\n\n${close}`,
  );
  await expect(unpadded(fresh) === unpadded(text) ? text : fresh).toMatchFileSnapshot(README);
});

/** The formatter pads the columns of a table. */
const unpadded = (markdown: string): string => markdown.replace(/ +/g, " ").replace(/-{3,}/g, "---");
