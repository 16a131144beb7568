/** Whatever is written into a configuration file: it is read, or refused in our own words, and the key stays a secret. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { ConfigError } from "../../src/config/config-error.ts";
import { parseConfig } from "../../src/config/load.ts";

const FOLDER = join(import.meta.dirname, "fixtures");
const KEY = "kX7qPw3ZtR9mVb2NcY8sLf5Hj";
const TEXT = readFileSync(join(FOLDER, "gateway.yaml"), "utf8").replace(/0sZ2F0\S*/, KEY);

const pieces: readonly string[] = [KEY].flatMap((key) =>
  Array.from({ length: key.length - 9 }, (_, at) => key.slice(at, at + 10)),
);

const SCRAPS = [
  "",
  " ",
  "\n",
  ":",
  ": ",
  "- ",
  "{",
  "}",
  "[",
  "]",
  '"',
  "'",
  "#",
  "&a ",
  "*a",
  "!x ",
  "|\n",
  "0x",
  "\t",
  "@",
  "%",
  "null",
  "\u0000",
  "é",
];

test("mutated files", () => {
  const place = fc.nat(TEXT.length);
  const near = fc.integer({ min: TEXT.indexOf(KEY) - 60, max: TEXT.indexOf(KEY) + 60 });
  const edit = fc.record({ at: fc.oneof(place, near), cut: fc.nat(12), paste: fc.constantFrom(...SCRAPS) });
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
      const text = edits.reduce(
        (whole, { at, cut, paste }) => whole.slice(0, at) + paste + whole.slice(at + cut),
        TEXT,
      );
      const told = refusal(text);
      // Without `psk` before it nobody could know that it is a key.
      if (/psk.{0,8}kX7q/s.test(text)) for (const piece of pieces) expect(told).not.toContain(piece);
    }),
    { numRuns: 600, seed: 7 },
  );
});

const refusal = (text: string): string => {
  try {
    return JSON.stringify(parseConfig(text, join(FOLDER, "mutated.yaml")));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message;
  }
};
