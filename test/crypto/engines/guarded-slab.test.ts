/**
 * A slab with no memory on either side of it: an engine that reads or writes one octet too far ends its process, which is
 * not ours. It runs the build in dist/, so this needs `npm run build` first.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { ENGINE_DRIVERS } from "../../../src/crypto/select-engine.ts";

const DIST = resolve(import.meta.dirname, "../../../dist");
const CHILD = join(import.meta.dirname, "guarded-slab.child.mjs");
const ROUNDS = 120;
const SEED = 20_260;

const runChild = (...args: readonly string[]): Promise<{ end: string | number | null; out: string; err: string }> =>
  new Promise((settle, reject) => {
    const child = spawn(process.execPath, [CHILD, DIST, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    let [out, err] = ["", ""];
    child.stdout.on("data", (chunk: Buffer) => {
      out += chunk.toString();
    });
    child.stderr.on("data", (chunk: Buffer) => {
      err += chunk.toString();
    });
    child.on("error", reject);
    child.on("close", (code, signal) => settle({ end: signal ?? code, out, err }));
  });

const reasonToSkip = (): string | undefined => {
  if (process.platform !== "linux") return "pages are mapped as on Linux";
  return existsSync(join(DIST, "crypto/engine.js")) ? undefined : "dist/ is not built";
};

describe("a slab between forbidden pages", () => {
  test.for([
    ["read", "before"],
    ["read", "behind"],
    ["write", "before"],
    ["write", "behind"],
  ] as const)("ends a process that would %s the octet %s it", async ([how, where], context) => {
    const why = reasonToSkip();
    if (why !== undefined) context.skip(why);
    expect(await runChild(how, where)).toMatchObject({ end: "SIGSEGV", out: "" });
  });

  test.for(ENGINE_DRIVERS.map(({ name, unavailable }) => ({ name, reason: unavailable() })))(
    "is all that $name touches, and of it only texts, ICVs and scratch",
    { timeout: 120_000 },
    async ({ name, reason }, context) => {
      const why = reason ?? reasonToSkip();
      if (why !== undefined) context.skip(`${name}: ${why}`);
      const { end, out, err } = await runChild(name, `${SEED}`, `${name === "noble" ? ROUNDS / 8 : ROUNDS}`);
      expect(err).toBe("");
      expect(end).toBe(0);
      expect(out).toMatch(/^[1-9]\d+ packets of [1-9]\d* suites\n$/);
    },
  );
});
