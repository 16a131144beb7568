/** TUN devices, addresses and routes, in a namespace of the test's own. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { compileFixtures, type Fixtures, netnsUnavailable } from "../support/in-netns.ts";

const reason = netnsUnavailable();
let fixtures: Fixtures | undefined;

beforeAll(() => {
  if (reason === undefined) fixtures = compileFixtures("test/linux/fixtures");
});
afterAll(() => fixtures?.remove());

const scenario = (name: string, behaviour: string, check: (seen: unknown) => void): void =>
  test(behaviour, async (ctx) => {
    if (reason !== undefined) ctx.skip(reason);
    check(await fixtures!.run("interfaces.ts", name));
  });

scenario("names", "a TUN device has the name that was asked for, and is gone when it is closed", (seen) => {
  const names = ["esp0", "tun0", "vti0", "tap0"];
  expect(seen).toEqual({ names, before: names, after: [null, null, null, null] });
});

scenario("queues", "a device has one descriptor per queue and takes offloads", (seen) => {
  expect(seen).toEqual({ count: 4, name: "many", offload: 0, asked: true, none: 0 });
});

scenario(
  "detached",
  "a queue that is detached gets no packets and takes them all the same, until it is attached",
  (seen) => {
    expect(seen).toMatchObject({
      alone: [64, 0, 0],
      written: true,
      answered: [true, false, false],
      again: 0,
      notATun: true,
    });
    const { two } = seen as { two: number[] };
    expect([two[0]! + two[1]!, two[2]]).toEqual([64, 0]);
    expect(Math.min(two[0]!, two[1]!)).toBeGreaterThan(0);
  },
);

scenario("taken", "a name that is taken, and one that cannot be, are told apart", (seen) => {
  expect(seen).toEqual({
    same: "ESPALIER_IN_USE",
    queue: "ESPALIER_IN_USE",
    loopback: "ESPALIER_IN_USE",
    long: "ESPALIER_USAGE",
    slash: "ESPALIER_USAGE",
    noInterface: "ESPALIER_USAGE",
  });
});

scenario("settings", "MTU, queue length and state are the kernel's", (seen) => {
  expect(seen).toMatchObject({
    down: { name: "esp0", mtu: 1400, up: false, txQueueLength: 4000 },
    isUp: true,
    downAgain: false,
    tap: null,
    missing: "ESPALIER_USAGE",
    badMtu: "ESPALIER_USAGE",
  });
});

scenario("mac", "a TAP device takes a MAC address", (seen) => {
  expect(seen).toEqual({ mac: "02:00:00:aa:bb:cc", bad: "ESPALIER_USAGE" });
});

scenario("addresses", "addresses of both families are added once and removed", (seen) => {
  expect(seen).toEqual({
    both: ["10.255.0.1/30", "2001:db8::1/64"],
    one: ["2001:db8::1/64"],
    bad: "ESPALIER_USAGE",
    absent: "ESPALIER_USAGE",
    withoutIpv6: "ESPALIER_USAGE",
    disabledIpv6: "ESPALIER_PLATFORM",
  });
});

scenario("routes", "routes lead to the interface, and to nowhere once it has none", (seen) => {
  expect(seen).toEqual({
    found: {
      v4: { interface: "esp0", source: "10.255.0.1", mtu: 1400 },
      v6: { interface: "esp0", source: "2001:db8::1", mtu: 1400 },
      via: { interface: "esp0", source: "10.255.0.1", gateway: "10.255.0.2", mtu: 1400 },
      blackhole: null,
      nowhere: null,
    },
    twice: "ESPALIER_IN_USE",
    direct: null,
    removed: true,
    removed6: true,
    fallback: [null, null],
    again: false,
    last: true,
    bad: "ESPALIER_USAGE",
    nothing: "ESPALIER_USAGE",
  });
});

scenario("packets", "packets are written and read in batches, and a bad one holds up none", (seen) => {
  const { written, results, sequences, empty } = seen as {
    written: number;
    results: number[];
    sequences: number[];
    empty: number;
  };
  expect(written).toBe(20);
  expect(results.map((result, i) => (i === 7 ? result < 0 : result > 0))).toEqual(Array(20).fill(true));
  expect(sequences).toEqual([...Array(20).keys()].filter((i) => i !== 7));
  expect(empty).toBe(-11);
});

scenario("pieces", "one packet is written from pieces of the slab and read into pieces", (seen) => {
  const { written, length, read, sequence, reply } = seen as Record<string, unknown>;
  expect({ written, read, sequence, reply }).toEqual({ written: length, read: length, sequence: 77, reply: true });
});

test("without capabilities each refusal says which privilege is missing", async (ctx) => {
  if (reason !== undefined) ctx.skip(reason);
  if (process.getuid?.() !== 0) ctx.skip("needs root, to lay it down");
  expect(await fixtures!.run("interfaces.ts", "unprivileged")).toEqual({
    tun: "ESPALIER_PRIVILEGE",
    address: "ESPALIER_PRIVILEGE",
    up: "ESPALIER_PRIVILEGE",
    route: "ESPALIER_PRIVILEGE",
    raw: "ESPALIER_PRIVILEGE",
    canAdminister: false,
    canOpenRaw: false,
    missing: "ESPALIER_PRIVILEGE",
    remedy: true,
  });
});
