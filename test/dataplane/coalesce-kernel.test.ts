/** Coalescing with the kernel as the judge: it cuts the groups up again. In a namespace of its own. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { compileFixtures, type Fixtures, netnsUnavailable } from "../support/in-netns.ts";

const reason = netnsUnavailable();
let fixtures: Fixtures | undefined;

beforeAll(() => {
  if (reason === undefined) fixtures = compileFixtures("test/dataplane/fixtures");
});
afterAll(() => fixtures?.remove());

test("what the kernel forwards of written groups is what came in, octet for octet, every flow in order", async (ctx) => {
  if (reason !== undefined) ctx.skip(reason);
  const seen = (await fixtures!.run("coalesce.ts", "forwarded")) as {
    sent: number;
    refused: number;
    wrong: number;
    writes: number;
  };
  expect(seen).toMatchObject({ refused: 0, wrong: 0 });
  expect(seen.writes).toBeLessThan(seen.sent / 2);
});
