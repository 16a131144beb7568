import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { EngineDriver } from "../../src/crypto/engine.ts";
import type { Measurement } from "../../src/crypto/engine-speed.ts";
import { FileProbeCache, machineKey, probeCachePath } from "../../src/crypto/probe-cache.ts";

const folder = mkdtempSync(join(tmpdir(), "espalier-probe-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let next = 0;
const cacheAt = (path = join(folder, `${next++}`, "espalier", "engines.json"), machine = "one"): FileProbeCache =>
  new FileProbeCache(path, machine);

const GCM: Measurement = { engine: "openssl", suite: "aes128gcm16", nsPerPacket: 812.5 };
const CBC: Measurement = { engine: "node", suite: "aes128-sha256", nsPerPacket: 5000 };

describe("the file", () => {
  test("gives back what was written, in a private file, and keeps figures of other suites", () => {
    const cache = cacheAt();
    expect(cache.read()).toEqual([]);
    cache.write([GCM]);
    expect(cache.read()).toEqual([GCM]);
    expect(statSync(cache.path).mode & 0o777).toBe(0o600);
    cache.write([CBC]);
    expect(cache.read()).toEqual([GCM, CBC]);
    cache.write([{ ...GCM, nsPerPacket: 700 }]);
    expect(cache.read()).toEqual([CBC, { ...GCM, nsPerPacket: 700 }]);
    expect(readdirSync(dirname(cache.path))).toEqual(["engines.json"]);
  });

  test("of another machine or version is not believed, and is replaced", () => {
    const old = cacheAt();
    old.write([GCM]);
    const cache = cacheAt(old.path, "two");
    expect(cache.read()).toEqual([]);
    cache.write([CBC]);
    expect(cache.read()).toEqual([CBC]);
    expect(old.read()).toEqual([]);
  });

  test.each([
    ["nothing", ""],
    ["no JSON", "engines"],
    ["half a file", '{"format":1,"machine":"one","measured":[{"engine":"open'],
    ["null", "null"],
    ["another format", '{"format":2,"machine":"one","measured":[]}'],
    ["no list", '{"format":1,"machine":"one","measured":{}}'],
    ["an unknown engine", '{"format":1,"machine":"one","measured":[{"engine":"x","suite":"y","nsPerPacket":1}]}'],
    ["no time", '{"format":1,"machine":"one","measured":[{"engine":"node","suite":"y"}]}'],
    ["a time of 0", '{"format":1,"machine":"one","measured":[{"engine":"node","suite":"y","nsPerPacket":0}]}'],
    ["a negative time", '{"format":1,"machine":"one","measured":[{"engine":"node","suite":"y","nsPerPacket":-1}]}'],
    ["an endless time", '{"format":1,"machine":"one","measured":[{"engine":"node","suite":"y","nsPerPacket":1e999}]}'],
    ["far too much", `{"format":1,"machine":"one","measured":[],"more":"${"x".repeat(70_000)}"}`],
  ])("with %s in it is not believed, and is replaced", (_, text) => {
    const cache = cacheAt();
    mkdirSync(dirname(cache.path), { recursive: true });
    writeFileSync(cache.path, text, { mode: 0o600 });
    expect(cache.read()).toEqual([]);
    cache.write([GCM]);
    expect(cache.read()).toEqual([GCM]);
  });

  test("that others may read or write, or have a second name for, is not believed", () => {
    const cache = cacheAt();
    cache.write([GCM]);
    for (const mode of [0o640, 0o620, 0o604, 0o602, 0o666]) {
      chmodSync(cache.path, mode);
      expect(cache.read(), mode.toString(8)).toEqual([]);
    }
    chmodSync(cache.path, 0o600);
    expect(cache.read()).toEqual([GCM]);
    linkSync(cache.path, `${cache.path}.other`);
    expect(cache.read()).toEqual([]);
  });

  test("of somebody else is not believed, and is replaced", (context) => {
    if (process.geteuid?.() !== 0) context.skip("only root can give a file away");
    const cache = cacheAt();
    cache.write([GCM]);
    chownSync(cache.path, 65_534, 65_534);
    expect(cache.read()).toEqual([]);
    cache.write([CBC]);
    expect(cache.read()).toEqual([CBC]);
  });

  test("behind a link is not followed, and a link is replaced, not written through", () => {
    const cache = cacheAt();
    const target = join(folder, "target");
    writeFileSync(target, "precious", { mode: 0o600 });
    mkdirSync(dirname(cache.path), { recursive: true });
    symlinkSync(target, cache.path);
    expect(cache.read()).toEqual([]);
    cache.write([GCM]);
    expect(cache.read()).toEqual([GCM]);
    expect(readFileSync(target, "utf8")).toBe("precious");
  });

  test("that cannot be written or read is no error", () => {
    const notFolder = join(folder, "file");
    writeFileSync(notFolder, "");
    const cache = cacheAt(join(notFolder, "espalier", "engines.json"));
    expect(() => cache.write([GCM])).not.toThrow();
    expect(cache.read()).toEqual([]);
    const isFolder = cacheAt();
    mkdirSync(isFolder.path, { recursive: true });
    expect(() => isFolder.write([GCM])).not.toThrow();
    expect(isFolder.read()).toEqual([]);
    expect(readdirSync(dirname(isFolder.path))).toEqual(["engines.json"]);
    expect(existsSync(cache.path)).toBe(false);
  });
});

test("lies where caches lie", () => {
  expect(probeCachePath({ XDG_CACHE_HOME: "/x/cache" }, 0)).toBe("/x/cache/espalier/engines.json");
  expect(probeCachePath({ XDG_CACHE_HOME: "relative" }, 0)).toBe("/var/cache/espalier/engines.json");
  expect(probeCachePath({}, 0)).toBe("/var/cache/espalier/engines.json");
  expect(probeCachePath({}, 1000)).toBe(join(homedir(), ".cache/espalier/engines.json"));
});

test("a machine is its processor, Node, the libraries that are there or not, and our version", () => {
  const driver = (description: string, missing?: string): EngineDriver => ({
    name: "ipsec-mb",
    unavailable: () => missing,
    describe: () => description,
    open: () => {
      throw new Error("not opened");
    },
  });
  const key = machineKey([driver("lib 1.3")], "0.1.0");
  expect(key).toContain(`Node ${process.versions.node}`);
  expect(key).toContain("espalier 0.1.0");
  expect(machineKey([driver("lib 1.3")], "0.1.0")).toBe(key);
  expect(machineKey([driver("lib 1.4")], "0.1.0")).not.toBe(key);
  expect(machineKey([driver("lib 1.3", "no such library")], "0.1.0")).not.toBe(key);
  expect(machineKey([driver("lib 1.3")], "0.2.0")).not.toBe(key);
});
