import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parsePsk, pskBits, readPskFile } from "../../src/config/psk.ts";
import { Secret } from "../../src/config/secret.ts";

const octets = (text: string): string | undefined => {
  const secret = parsePsk(text);
  return secret && Buffer.from(secret.reveal()).toString("latin1");
};

test("a key is text, hex digits after 0x, or base64 after 0s", () => {
  expect(octets("open sesame")).toBe("open sesame");
  expect(octets("0x6f70656e")).toBe("open");
  expect(octets("0X6F70656E")).toBe("open");
  expect(octets("0sb3Blbg==")).toBe("open");
  expect(octets("0sb3Blbg")).toBe("open");
  expect(octets("ä")).toBe("\xc3\xa4");
});

test.each(["", "0x", "0x123", "0xzz", "0s", "0s!!", "0sA"])("%j is no key", (text) => {
  expect(parsePsk(text)).toBeUndefined();
});

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "espalier-psk-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const fileOf = (content: string | Uint8Array, mode = 0o600): string => {
  const path = join(folder, "key");
  rmSync(path, { force: true });
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
};

test.each([
  ["open\n", "open"],
  ["open\r\n", "open"],
  ["open\n\n", "open\n"],
  [" open", " open"],
  ["0x6f70656e\n", "open"],
  ["0sb3Blbg==\n", "open"],
])("a file of %j holds the key %j", (content, key) => {
  expect(Buffer.from(readPskFile(fileOf(content)).secret.reveal()).toString()).toBe(key);
});

test("a key file that is not text is the key as it is", () => {
  const bytes = Uint8Array.of(0xff, 0xfe, 0, 1, 2);
  expect(readPskFile(fileOf(bytes)).secret.reveal()).toEqual(bytes);
});

test("a key file that others may read is told so", () => {
  expect(readPskFile(fileOf("open", 0o600)).exposed).toBe(false);
  expect(readPskFile(fileOf("open", 0o640)).exposed).toBe(true);
  expect(readPskFile(fileOf("open", 0o604)).exposed).toBe(true);
});

test("files that hold no key are refused, and why", () => {
  expect(() => readPskFile(fileOf(""))).toThrow(/expected a file that holds a key, .*key: it is empty/);
  expect(() => readPskFile(fileOf("\n"))).toThrow(/it is empty/);
  expect(() => readPskFile(fileOf("0xnothex\n"))).toThrow(/neither text, nor 0x/);
  expect(() => readPskFile(fileOf(Buffer.alloc(65_537, "a")))).toThrow(/longer than 65536 octets/);
  expect(() => readPskFile(join(folder, "none"))).toThrow(/ENOENT/);
  mkdirSync(join(folder, "inner"));
  expect(() => readPskFile(join(folder, "inner"))).toThrow(/no regular file/);
});

test("a pipe in place of a key file does not hold us up", () => {
  const path = join(folder, "pipe");
  execFileSync("mkfifo", [path]);
  expect(() => readPskFile(path)).toThrow(/no regular file/);
});

test("the strength of a key is bounded by its characters", () => {
  const bits = (text: string): number => pskBits(parsePsk(text) ?? new Secret(new Uint8Array()));
  expect(bits("secret")).toBeLessThan(30);
  expect(bits("a".repeat(100))).toBe(0);
  expect(bits("12345678901234567890")).toBeLessThan(128);
  expect(bits("0x00112233445566778899aabbccddeeff")).toBe(128);
  expect(bits("p4~Xk!9vZ$w2Lq#mR7&t")).toBeGreaterThanOrEqual(128);
});

test("a secret shows itself to nobody, and is gone when wiped", () => {
  const secret = new Secret(Buffer.from("open sesame"));
  for (const text of [inspect(secret, { depth: 9, showHidden: true }), JSON.stringify({ secret }), `${secret}`])
    expect(text).toMatch(/^(\{"secret":")?<redacted>("\})?$/);
  secret.wipe();
  expect(secret.reveal()).toEqual(new Uint8Array(11));
});
