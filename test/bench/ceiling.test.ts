import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { EspTask } from "../../src/bench/esp-rows.ts";
import { suiteByName } from "../../src/crypto/suites.ts";

/** Says its arguments instead of being fast: the octets of a packet a second for each process that it was asked for. */
const OPENSSL = `#!/bin/sh
[ "$1" = version ] && echo "OpenSSL 3.9.9 some day" && exit
processes=1
while [ $# -gt 0 ]; do
  [ "$1" = -multi ] && processes=$2
  [ "$1" = -bytes ] && bytes=$2
  shift
done
echo "Got: +F:25:AES-256-GCM:1.00 from 0"
echo "+F:25:AES-256-GCM:$((processes * bytes * 1000)).00"
`;

const { PATH = "" } = process.env;
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "espalier-openssl-"));
  writeFileSync(join(folder, "openssl"), OPENSSL, { mode: 0o755 });
  process.env["PATH"] = `${folder}${delimiter}${PATH}`;
});

afterAll(() => {
  process.env["PATH"] = PATH;
  rmSync(folder, { recursive: true, force: true });
});

const TASK: EspTask = {
  ...{ suite: suiteByName("aes256gcm16")!, direction: "seal", size: 64, engine: "openssl" },
  ...{ workers: 1, sas: 1, train: 1, esn: false, window: 1024, batch: 64, seconds: 1 },
};

test.each([1, 2, 7])("openssl speed runs in %i processes at once, as there are workers", async (workers) => {
  const { ceilingOf } = await import("../../src/bench/ceiling.ts"); // it keeps the path that it finds
  const ceiling = await ceilingOf({ ...TASK, workers });
  if (ceiling instanceof Error) throw ceiling;
  expect(ceiling.name).toBe("openssl speed of OpenSSL 3.9.9");
  expect(await ceiling.measure(1)).toBe(1000 * workers);
  expect(await ceiling.measure(1)).toBe(1000 * workers);
  ceiling.close();
});
