/** The command as users start it: built, in a process of its own. */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

const ROOT = resolve(import.meta.dirname, "../..");
const FOLDER = join(ROOT, ".test-results", `cli-${process.pid}`); // inside, so that packages are found
const MAIN = join(FOLDER, "dist", "cli", "main.js");

beforeAll(() => {
  mkdirSync(FOLDER, { recursive: true });
  const tsc = join(ROOT, "node_modules", ".bin", "tsc");
  const built = spawnSync(tsc, ["-p", join(ROOT, "tsconfig.build.json"), "--outDir", join(FOLDER, "dist")]);
  expect(built.stdout.toString()).toBe("");
}, 120_000);

afterAll(() => rmSync(FOLDER, { recursive: true }));

const espalier = (...words: readonly string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...words], { encoding: "utf8" });
  return { status, stdout, stderr };
};

test("exit statuses reach the shell", () => {
  expect(espalier("--version")).toEqual({ status: 0, stdout: "0.1.0\n", stderr: "" });
  expect(espalier("check", "-c", "/no/such/file")).toEqual({
    status: 2,
    stdout: "",
    stderr: "espalier: cannot read /no/such/file: there is no such file\n",
  });
  const unreachable = espalier("status", "--control", join(FOLDER, "none"));
  expect(unreachable.status).toBe(1);
  expect(unreachable.stderr).toMatch(/^espalier: no gateway listens on /);
});

test("a reader that stops reading is no failure", async () => {
  const path = join(FOLDER, "many.yaml");
  const connection = (index: number): string => `  c${index}:
    local: { address: 192.0.2.1 }
    remote: { address: 10.0.${index >> 8}.${index & 255} }
    psk: "p4~Xk!9vZ$w2Lq#mR7&t"
    children: { net: { interface: { name: esp${index} } } }
`;
  writeFileSync(path, `connections:\n${Array.from({ length: 2000 }, (_, index) => connection(index)).join("")}`, {
    mode: 0o600,
  });
  const child = spawn(process.execPath, [MAIN, "check", "-c", path], { stdio: ["ignore", "pipe", "pipe"] });
  let errors = "";
  child.stderr.on("data", (chunk) => {
    errors += String(chunk);
  });
  child.stdout.once("data", () => child.stdout.destroy());
  const status = await new Promise((resolve) => child.on("close", resolve));
  expect({ status, errors }).toEqual({ status: 0, errors: "" });
});
