/** Key exchanges in threads: they run the build in dist/, so this needs `npm run build` first. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { afterEach, expect, test } from "vitest";
import { KEX_METHODS, kexByName } from "../../src/crypto/kex.ts";
import { doKeyWork, type KeyResult, MadeKeyPair } from "../../src/crypto/key-work.ts";
import type * as KeyPoolModule from "../../src/gateway/key-pool.ts";
import { KeyPool } from "../../src/gateway/key-pool.ts";
import { slowKeyExchanges } from "../../src/gateway/slow-key-exchanges.ts";
import { child, connection, esp, ike } from "../support/two-peers.ts";

const BUILT = resolve(import.meta.dirname, "../../dist/gateway/key-pool.js");
const isBuilt = existsSync(BUILT);
const reason = isBuilt ? "" : " (skipped: dist/ is not built)";
const builtPool = async () => ((await import(BUILT)) as typeof KeyPoolModule).KeyPool;

const pools: KeyPool[] = [];

afterEach(async () => {
  for (const pool of pools.splice(0)) await pool.close();
});

const start = async (Pool: typeof KeyPool, threads: number) => {
  const results = new Map<number, KeyResult>();
  const troubles: string[] = [];
  let wake = (): void => {};
  const pool = new Pool({
    threads,
    onDone: (id, result) => {
      results.set(id, result);
      wake();
    },
    onTrouble: (message) => troubles.push(message),
  });
  pools.push(pool);
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition())
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
  };
  return { pool, results, troubles, until };
};

test.skipIf(!isBuilt)(`every method comes to the same secret in a thread and here${reason}`, async () => {
  const { pool, results, until } = await start(await builtPool(), 1);
  expect(pool.threads).toBe(0);
  for (const { id } of KEX_METHODS) pool.do(id, { what: "generate", method: id });
  await until(() => results.size === KEX_METHODS.length);
  expect(pool.threads).toBe(1);
  const ours = KEX_METHODS.map((method) => new MadeKeyPair(method, results.get(method.id)!));
  results.clear();
  for (const { method, publicValue } of ours)
    pool.do(method.id, { what: "answer", method: method.id, peer: publicValue });
  await until(() => results.size === KEX_METHODS.length);
  const theirs = new Map(results);
  results.clear();
  for (const keyPair of ours) pool.do(keyPair.method.id, keyPair.workFor(theirs.get(keyPair.method.id)!.publicValue)!);
  await until(() => results.size === KEX_METHODS.length);
  for (const keyPair of ours) {
    const { publicValue, shared } = theirs.get(keyPair.method.id)!;
    expect(shared).toBeDefined();
    expect(keyPair.agree(publicValue)).toEqual(shared);
    expect(results.get(keyPair.method.id)?.shared).toEqual(shared);
  }
});

test.skipIf(!isBuilt)(`what is forgotten is not told, and what waited is not done${reason}`, async () => {
  const { pool, results, until } = await start(await builtPool(), 1);
  const { id: method } = kexByName("ecp384")!;
  for (let id = 1; id <= 5; id++) pool.do(id, { what: "generate", method });
  expect(pool.waiting).toBe(4); // one is being done
  for (const id of [1, 2, 4]) pool.forget(id);
  expect(pool.waiting).toBe(2);
  await until(() => results.size === 2);
  expect([...results.keys()]).toEqual([3, 5]);
});

test.skipIf(!isBuilt)(`an invalid value has no secret${reason}`, async () => {
  const { pool, results, until } = await start(await builtPool(), 2);
  const { id: method } = kexByName("ecp256")!;
  pool.do(1, { what: "answer", method, peer: new Uint8Array(64) });
  await until(() => results.size === 1);
  expect(results.get(1)?.shared).toBeUndefined();
  expect(results.get(1)?.publicValue).toHaveLength(64);
});

test("where threads cannot run, the work is done all the same, and it is said", async () => {
  const { pool, results, troubles, until } = await start(KeyPool, 1); // there is no JavaScript beside the TypeScript
  const { id: method } = kexByName("x25519")!;
  const peer = doKeyWork({ what: "generate", method }).publicValue;
  pool.do(1, { what: "answer", method, peer });
  pool.do(2, { what: "answer", method, peer });
  await until(() => results.size === 2);
  expect(results.get(2)?.shared).toHaveLength(32);
  expect(troubles).toHaveLength(1);
});

test("methods that take longer than others may wait are slow, of those that connections use", () => {
  const connections = [
    connection("a", {
      proposals: ike("aes256gcm16-prfsha256-x25519-modp4096"),
      children: [child({ proposals: esp("aes256gcm16-ecp521-modp2048") })],
    }),
  ];
  const asked: string[] = [];
  const slow = slowKeyExchanges(connections, 5, ({ name }) => {
    asked.push(name);
    return name === "modp2048" ? 5 : 5.1;
  });
  expect(asked.sort()).toEqual(["ecp521", "modp2048", "modp4096"]);
  expect([...slow].sort()).toEqual([16, 21]);
});
