/** The rule that keeps a gateway's own packets out of the routes into its tunnels, and sockets that bear the mark. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { compileFixtures, type Fixtures, netnsUnavailable } from "../support/in-netns.ts";
import { internetChecksum } from "../support/internet-checksum.ts";

const reason = netnsUnavailable();
let fixtures: Fixtures | undefined;

beforeAll(() => {
  if (reason === undefined) fixtures = compileFixtures("test/linux/fixtures");
});
afterAll(() => fixtures?.remove());

for (const family of [4, 6] as const) {
  test(`who bears the mark does not meet the routes of its table, IPv${family}`, async (context) => {
    if (reason !== undefined) context.skip(reason);
    expect(await fixtures!.run("marks.ts", `rule${family}`)).toEqual({
      before: ["inside", "outside"],
      removed: [true, false],
      after: ["outside", "outside"],
      gone: true,
    });
  });

  test(`a packet that bypasses leaves as it came, once, past those routes, IPv${family}`, async (context) => {
    if (reason !== undefined) context.skip(reason);
    interface Seen {
      readonly sent: number;
      readonly inside: number;
      readonly outside: number[][];
      readonly packet: number[];
    }
    const seen = (await fixtures!.run("marks.ts", `bypass${family}`)) as Seen;
    expect(seen).toMatchObject({ sent: 1, inside: 0 });
    expect(seen.outside).toHaveLength(1);
    const arrived = seen.outside[0]!;
    if (family === 4) {
      expect(internetChecksum(Uint8Array.from(arrived.slice(0, 20)))).toBe(0); // the kernel has completed it
      arrived.splice(10, 2, 0, 0);
      arrived.splice(4, 2, 0, 0); // and has given it an identification
    }
    expect(arrived).toEqual(seen.packet);
  });
}
