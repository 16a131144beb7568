import { defineConfig } from "vitest/config";

/**
 * unit:    no privileges, no network, no build needed; runs anywhere in seconds
 * interop: real peers, real TUN devices, in namespaces that each test makes; one file at a time, skips aloud
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/interop/**"],
          setupFiles: ["test/support/say-skips.ts"],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: "interop",
          include: ["test/interop/**/*.test.ts"],
          setupFiles: ["test/support/say-skips.ts"],
          fileParallelism: false,
          sequence: { groupOrder: 1 }, // after the unit tests: packets are counted here, and need the processors
          testTimeout: 180_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
