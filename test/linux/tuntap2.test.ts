/** The API of the tuntap2 package over our own TUN, in a namespace of the test's own. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { compileFixtures, type Fixtures, netnsUnavailable } from "../support/in-netns.ts";

const reason = netnsUnavailable();
let fixtures: Fixtures | undefined;

beforeAll(() => {
  if (reason === undefined) fixtures = compileFixtures("test/linux/fixtures");
});
afterAll(() => fixtures?.remove());

const scenario = (name: string, behaviour: string, expected: unknown): void =>
  test(behaviour, async (ctx) => {
    if (reason !== undefined) ctx.skip(reason);
    expect(await fixtures!.run("tuntap2.ts", name)).toEqual(expected);
  });

scenario("properties", "properties read and set the interface, and say what is wrong with a value", {
  before: { name: "tun0", isTun: true, isTap: false, isUp: false, mtu: 1500, mac: "00:00:00:00:00:00" },
  none: [null, null],
  after: { isUp: true, mtu: 1400, ipv4: "10.1.0.2/24", ipv6: "2001:db8::1/64" },
  downAgain: false,
  tap: { name: "tap0", isTun: false, isTap: true, mac: "02:00:00:00:00:07" },
  refused: {
    ipv4: "ESPALIER_USAGE",
    ipv6: "ESPALIER_USAGE",
    mac: "ESPALIER_USAGE",
    mtu: "ESPALIER_USAGE",
    name: "ESPALIER_IN_USE",
  },
  events: ["open", "ready"],
});

scenario("ping", "a program that answers pings packet by packet is pinged without loss", "20");
scenario("pipe", "packets flow through pipes", "5");
scenario("burst", "a burst keeps its packets apart and in order, calls each callback, and takes few turns", {
  replies: 400,
  inOrder: true,
  callbacks: 400,
  fewTurns: true,
});
scenario("iterate", "packets can be iterated over, and leaving the loop releases the device", {
  sequences: [0, 1, 2],
  closed: true,
  gone: true,
});
scenario("release", "idle devices leave the thread pool free and are released at once", {
  pool: true,
  again: "called",
  gone: true,
  readable: false,
});
scenario("interfaceRemoved", "an interface that is taken away is an error event", {
  code: "ESPALIER_PLATFORM",
  destroyed: true,
});
scenario("writeWhileDown", "a packet that the kernel refuses is an error of its callback", "writing a packet: EIO");
scenario("tuntap", "tuntap() makes and sets up a device, or leaves none behind", {
  seen: { mtu: 1300, ipv4: "10.7.0.1/22", isUp: true, isTun: true },
  type: "ESPALIER_USAGE",
  mask: "ESPALIER_USAGE",
  left: null,
});
scenario("unref", "a device that is not referenced lets the process end", "ended");
scenario("exit", "a process may end while packets come", "exited");
scenario("worker", "a worker thread is told to use the main thread", {
  message: "Tun and Tap work in the main thread only",
  left: null,
});
