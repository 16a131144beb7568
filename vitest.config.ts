import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defineConfig } from "vitest/config";

const { PROVE_FILES_MB } = process.env;

/** What a busy machine measures of engines during tests is no use to anybody afterwards. */
const CACHE = mkdtempSync(join(tmpdir(), "espalier-cache-"));

/**
 * unit:    no privileges, no network, no build needed; runs anywhere in seconds
 * interop: real peers, real TUN devices, in namespaces that each test makes; one file at a time, skips aloud; what fails is
 *          run once more, as a busy machine may starve a peer, and the summary says of which tests that is true
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          env: { XDG_CACHE_HOME: CACHE },
          include: ["test/**/*.test.ts"],
          exclude: ["test/interop/**"],
          setupFiles: ["test/support/say-skips.ts"],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: "interop",
          env: { XDG_CACHE_HOME: CACHE },
          include: ["test/interop/**/*.test.ts"],
          setupFiles: ["test/support/say-skips.ts", "test/support/say-attempts.ts"],
          retry: PROVE_FILES_MB === undefined ? 1 : 0, // a proof is not tried twice
          fileParallelism: false,
          sequence: { groupOrder: 1 }, // after the unit tests: packets are counted here, and need the processors
          testTimeout: 180_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
