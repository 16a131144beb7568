import { expect, test } from "vitest";
import { few } from "../../src/ike/few.ts";

const words = (item: string): string => item;

test("five are all named, of more the rest is counted", () => {
  expect(few([], words)).toBe("");
  expect(few(["a", "b", "c", "d", "e"], words)).toBe("a; b; c; d; e");
  expect(few(["a", "b", "c", "d", "e", "f", "g"], words)).toBe("a; b; c; d; e; and 2 more");
});

test("what is not shown is not put into words", () => {
  const seen: number[] = [];
  few([1, 2, 3, 4, 5, 6, 7], (item) => `${seen.push(item)}`);
  expect(seen).toEqual([1, 2, 3, 4, 5]);
});
