import { expect, test } from "vitest";
import { versionsFor } from "../../src/bench/versions.ts";
import { VERSION } from "../../src/control/version.ts";

const OURS = {
  espalier: VERSION,
  build: expect.stringMatching(/^[0-9a-f]{12}$/),
  node: process.versions.node,
  openssl: process.versions.openssl,
  linux: expect.stringMatching(/^\d+\./),
};

test("a result names the build, and only what took part", () => {
  expect(versionsFor("spd")).toEqual(OURS);
  expect(versionsFor("esp")).toMatchObject(OURS);
  for (const [kind, names] of [
    ["esp", ["ipsec-mb"]],
    ["tunnel", ["ipsec-mb", "iperf3"]],
  ] as const)
    for (const [name, version] of Object.entries(versionsFor(kind))) {
      if (!(name in OURS)) expect(names).toContain(name);
      expect(version).toMatch(/^[0-9a-f]{12}$|\d+\.\d+/);
    }
});

test("a folder that is not there has no build", () => {
  expect(versionsFor("spd", "/nonexistent/dist")).toMatchObject({ espalier: "unknown", build: "unknown" });
});
