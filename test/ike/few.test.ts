import { expect, test } from "vitest";
import { few } from "../../src/ike/few.ts";

test("five are all named, of more the rest is counted", () => {
  expect(few([])).toBe("");
  expect(few(["a", "b", "c", "d", "e"])).toBe("a; b; c; d; e");
  expect(few(["a", "b", "c", "d", "e", "f", "g"])).toBe("a; b; c; d; e; and 2 more");
});
