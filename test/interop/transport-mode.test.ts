/** Transport mode between the hosts themselves: two gateways of ours, and one of ours with a Linux kernel, GRE above it. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { capture } from "./support/capture.ts";
import { configuration, INTERFACE, PEER, type Side, swanConnection } from "./support/configurations.ts";
import { type Configuration, Espalier } from "./support/espalier.ts";
import { OUTER, Sites } from "./support/namespaces.ts";
import { until } from "./support/run.ts";
import { testBed } from "./support/test-bed.ts";
import { ping } from "./support/traffic.ts";
import { allOf } from "./support/tunnel-checks.ts";
import { Uml } from "./support/uml.ts";

const other = (side: Side): Side => (side === "a" ? "b" : "a");

const hosts = (side: Side, outer: 4 | 6): Configuration => ({
  ...configuration({
    side,
    outer,
    child: {
      mode: "transport",
      interface: { name: INTERFACE, routes: [`${OUTER[outer][other(side)]}/${outer === 4 ? 32 : 128}`] },
    },
  }),
  mark: 4712,
});

/** Nothing but ESP and IKE passes between the two, and what the link itself needs: neighbors, and groups. */
const NEIGHBORS = "icmp6 and ip6[40] >= 133 and ip6[40] <= 137";
const IN_CLEAR = `(ip or ip6) and not esp and not udp port 500 and not (${NEIGHBORS}) and not src net fe80::/10`;

describe.each([4, 6] as const)("two gateways of ours, IPv%i", (outer) => {
  const lab = testBed(["build", "namespaces", "tun"], async (bed) => {
    const sites = new Sites();
    bed.defer(() => sites.remove());
    const there = await Espalier.start(bed, sites.gatewayB, hosts("b", outer));
    const here = await Espalier.start(bed, sites.gatewayA, hosts("a", outer));
    await here.initiate(PEER);
    await here.up(PEER);
    await there.up(PEER);
    return { sites, here, there };
  });

  test("they ping each other, and carry TCP, and nothing of it is in the clear", async () => {
    const { sites, here, bed } = lab();
    const { a, b } = OUTER[outer];
    const seen = await capture(bed, sites.internet, "to-a", IN_CLEAR, async () => {
      expect(await ping(sites.gatewayA, b)).toEqual(allOf(10));
      expect(await ping(sites.gatewayB, a, { size: 1200 })).toEqual(allOf(10));
      expect(await ping(sites.gatewayA, b, { size: 8000 })).toEqual(allOf(10)); // in fragments, on either side of ESP
      const file = join(bed.directory, `file-${outer}`);
      writeFileSync(file, new Uint8Array(3_000_000).fill(7));
      const listener = sites.gatewayB.runAsync([
        "sh",
        "-c",
        `timeout 20 socat -u TCP${outer}-LISTEN:7001,reuseaddr - | sha256sum`,
      ]);
      const to = outer === 4 ? b : `[${b}]`;
      await until("the listener is there", () =>
        sites.gatewayB.run(["ss", "-ltn"]).stdout.includes(":7001") ? true : undefined,
      );
      await sites.gatewayA.runAsync(["socat", "-u", `OPEN:${file}`, `TCP${outer}:${to}:7001`]);
      expect((await listener).stdout).toBe(sites.gatewayA.run(["sh", "-c", `sha256sum <${file}`]).stdout);
    });
    expect(seen).toEqual([]);
    const [child] = (await here.connection(PEER))!.childSas;
    expect(child).toMatchObject({ mode: "transport", encap: false });
    expect([child!.local, child!.remote]).toEqual([[a], [b]]);
    expect(child!.packetsOut).toBeGreaterThan(20);
  });
});

/** An echo request in GRE to the guest's inner address, and the answer: this host has no GRE of its own. */
const GRE_PING = `
import socket, struct, sys
local, remote, inner, theirs = sys.argv[1:]
def checksum(octets):
    total = sum(struct.unpack("!%dH" % (len(octets) // 2), octets))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
gre = socket.socket(socket.AF_INET, socket.SOCK_RAW, 47)
gre.settimeout(2)
answered = 0
for number in range(1, 6):
    echo = struct.pack("!BBHHH", 8, 0, 0, 77, number) + b"espalier" * 20
    echo = echo[:2] + struct.pack("!H", checksum(echo)) + echo[4:]
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(echo), 0, 0, 64, 1, 0, socket.inet_aton(inner), socket.inet_aton(theirs))
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    gre.sendto(b"\\0\\0\\x08\\0" + head + echo, (remote, 0))
    try:
        packet, source = gre.recvfrom(4096)
    except socket.timeout:
        continue
    if source[0] == remote and packet[20:24] == b"\\0\\0\\x08\\0" and packet[44] == 0 and packet[52:] == echo[8:]: answered += 1
print(answered, "answered")
`;

describe("a Linux kernel", () => {
  const lab = testBed(["build", "namespaces", "tun", "uml"], async (bed) => {
    const sites = new Sites({ far: "tap" });
    bed.defer(() => sites.remove());
    const peer = await Uml.start(bed, sites.internet);
    await peer.load(
      swanConnection({
        localSelectors: ["dynamic"],
        remoteSelectors: ["dynamic"],
        childLines: ["mode = transport"],
      }),
    );
    await peer.runAsync(["ip", "link", "del", "vti0"]); // it would take all ESP between the two for its own
    const here = await Espalier.start(bed, sites.gatewayA, hosts("a", 4));
    return { sites, peer, here };
  });

  test.each(["we initiate", "the peer initiates"])(
    "%s: its SAs are of transport mode, pings pass both ways",
    async (who) => {
      const { sites, peer, here, bed } = lab();
      if (who === "we initiate") await here.initiate(PEER);
      else expect(await peer.initiate()).toMatchObject({ status: 0 });
      await here.up(PEER);
      const states = await until("the kernel has its SAs", async () => {
        const text = await peer.states();
        return text.match(/proto esp/g)?.length === 2 ? text : undefined;
      });
      expect(states.match(/mode transport/g)).toHaveLength(2);
      const seen = await capture(bed, sites.internet, "to-a", `icmp or proto 47`, async () => {
        expect(await ping(sites.gatewayA, OUTER[4].b)).toEqual(allOf(10));
        expect(await ping(peer, OUTER[4].a, { size: 1200 })).toEqual(allOf(10));
        expect(await ping(sites.gatewayA, OUTER[4].b, { size: 4000 })).toEqual(allOf(10));
      });
      expect(seen).toEqual([]);
      if (who === "the peer initiates") return;
      await here.terminate(PEER);
      await here.down(PEER);
    },
  );

  test("GRE between the two is protected as any other protocol", async () => {
    const { sites, peer, here, bed } = lab();
    const run = async (...command: string[]) => expect(await peer.runAsync(command)).toMatchObject({ status: 0 });
    await run("ip", "link", "add", "gre1", "type", "gre", "local", OUTER[4].b, "remote", OUTER[4].a);
    await run("ip", "addr", "add", "10.99.0.2/30", "dev", "gre1");
    await run("ip", "link", "set", "gre1", "up");
    const script = join(bed.directory, "gre-ping.py");
    writeFileSync(script, GRE_PING);
    const before = (await here.connection(PEER))!.childSas[0]!.packetsOut;
    const seen = await capture(bed, sites.internet, "to-a", "proto 47", async () => {
      const arguments_ = [OUTER[4].a, OUTER[4].b, "10.99.0.1", "10.99.0.2"];
      const { stdout } = await sites.gatewayA.runAsync(["python3", script, ...arguments_]);
      expect(stdout).toContain("5 answered");
    });
    expect(seen).toEqual([]);
    expect((await here.connection(PEER))!.childSas[0]!.packetsOut).toBeGreaterThanOrEqual(before + 5);
  });
});
