import { expect, test } from "vitest";
import { VERDICTS } from "../../src/ipsec/verdict.ts";
import { fuzzEsp } from "../support/esp-fuzz.ts";

/** Of both planes together. */
const PACKETS = 700_000;
const PACKETS_OF_SEVERAL = 300_000;

test("700,000 packets, right and wrong, both ways: nothing throws, and every one is counted once", {
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

test("300,000 more between planes of three workers, whichever gets a packet first", { timeout: 300_000 }, async () => {
  const options = { seed: 2, packets: PACKETS_OF_SEVERAL, workers: 3 };
  const { injected, sent, genuine, astray, in: inbound, out } = await fuzzEsp(options);
  expect(injected + sent).toBeGreaterThanOrEqual(PACKETS_OF_SEVERAL);
  expect(astray).toBeGreaterThan(genuine / 2); // two of three sockets are not that of the SA
  for (const name of ["no-sa", "replay", "integ-error", "runt", "keepalive", "dummy"])
    expect(Object.keys(inbound.drops)).toContain(name);
  for (const name of ["mtu-exceeded", "too-big", "policy", "bad-inner"]) expect(Object.keys(out.drops)).toContain(name);
});

test("a seed repeats a run", async () => {
  const [first, second] = [await fuzzEsp({ seed: 7, packets: 3_000 }), await fuzzEsp({ seed: 7, packets: 3_000 })];
  expect({ ...second, answers: 0 }).toEqual({ ...first, answers: 0 }); // how many are answered is a matter of time
  const [third, fourth] = [
    await fuzzEsp({ seed: 7, packets: 3_000, workers: 2 }),
    await fuzzEsp({ seed: 7, packets: 3_000, workers: 2 }),
  ];
  expect({ ...fourth, answers: 0 }).toEqual({ ...third, answers: 0 });
});
