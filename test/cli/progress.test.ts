import { expect, test } from "vitest";
import { startProgress } from "../../src/cli/progress.ts";

const drawn = (columns: number | undefined, quiet = false): string => {
  let err = "";
  const terminal = {
    out: () => {},
    err: (text: string) => {
      err += text;
    },
    columns,
    colour: false,
    environment: {},
  };
  const progress = startProgress(terminal, quiet);
  progress.at(0, "first");
  progress.at(0.5, "second");
  progress.end();
  return err;
};

test("a bar with the time left, taken away at the end", () => {
  const text = drawn(80);
  expect(text).toMatch(/50 %, \d+ s left {2}second/);
  expect(text).not.toContain("NaN");
  expect(text.slice(text.lastIndexOf("second"))).toContain("\x1b[2K");
});

test("nothing where there is no screen, or nobody wants it", () => {
  expect(drawn(undefined)).toBe("");
  expect(drawn(80, true)).toBe("");
});
