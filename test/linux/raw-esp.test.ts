/** Raw ESP sockets, in a namespace of the test's own. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { compileFixtures, type Fixtures, netnsUnavailable } from "../support/in-netns.ts";

const reason = netnsUnavailable();
let fixtures: Fixtures | undefined;

beforeAll(() => {
  if (reason === undefined) fixtures = compileFixtures("test/linux/fixtures");
});
afterAll(() => fixtures?.remove());

for (const family of ["v4", "v6"])
  test(`each worker's raw socket gets the packets of its own SPIs and no others, IP${family}`, async (ctx) => {
    if (reason !== undefined) ctx.skip(reason);
    const seen = (await fixtures!.run("raw-esp.ts", family)) as { wanted: number[] };
    expect(seen).toEqual({ wanted: seen.wanted, got: seen.wanted, strangers: 0, wrongLength: 0, wrongPeer: 0 });
    expect(Math.min(...seen.wanted)).toBeGreaterThan(500);
  });

test("an address that this machine has not is refused", async (ctx) => {
  if (reason !== undefined) ctx.skip(reason);
  expect(await fixtures!.run("raw-esp.ts", "notOurs")).toBe("ESPALIER_CONFIG");
});
