import { expect, test } from "vitest";
import { VERDICTS } from "../../src/ipsec/verdict.ts";
import { fuzzEsp } from "../support/esp-fuzz.ts";

/** Of both workers together. */
const PACKETS = 1_000_000;

test("a million packets, right and wrong, both ways: nothing throws, and every one is counted once", {
  timeout: 300_000,
}, async () => {
  const { injected, sent, in: inbound, out, answers } = await fuzzEsp({ seed: 1, packets: PACKETS });
  expect(injected + sent).toBeGreaterThanOrEqual(PACKETS);
  expect(answers).toBeGreaterThan(10);
  // What a stranger or a meddler can bring about has come about.
  const seen = new Set([...Object.keys(inbound.drops), ...Object.keys(out.drops)]);
  for (const name of ["no-sa", "runt", "replay", "integ-error", "keepalive", "bad-inner", "too-big", "dummy", "policy"])
    expect(seen).toContain(name);
  for (const name of ["mtu-exceeded", "unsup-offload"]) expect(Object.keys(out.drops)).toContain(name);
  expect(VERDICTS.map(({ name }) => name)).toEqual(expect.arrayContaining([...seen]));
});

test("a seed repeats a run", async () => {
  const [first, second] = [await fuzzEsp({ seed: 7, packets: 3_000 }), await fuzzEsp({ seed: 7, packets: 3_000 })];
  expect({ ...second, answers: 0 }).toEqual({ ...first, answers: 0 }); // how many are answered is a matter of time
});
