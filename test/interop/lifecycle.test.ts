/** Beginning and end of a gateway: what stops it from starting, what it leaves behind, what it never lets out in the clear. */
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { capture, INNER_TRAFFIC } from "./support/capture.ts";
import { configuration, INTERFACE, PEER, swanConnection } from "./support/configurations.ts";
import { Espalier, espalier } from "./support/espalier.ts";
import { INNER, type Namespace, OUTER, Sites } from "./support/namespaces.ts";
import { MAIN } from "./support/requirements.ts";
import type { Outcome } from "./support/run.ts";
import { sleep, until } from "./support/run.ts";
import { StrongSwan } from "./support/strongswan.ts";
import { testBed } from "./support/test-bed.ts";
import { ping } from "./support/traffic.ts";

/** Everything of the network that a gateway could leave behind. */
const traces = (space: Namespace): string => {
  const show = (...command: readonly string[]): string => space.run(command).stdout;
  const rules = [show("ip", "rule"), show("ip", "-6", "rule")];
  const routes = [show("ip", "route", "show", "table", "all"), show("ip", "-6", "route", "show", "table", "all")];
  const sockets = ["udp", "udp6", "raw", "raw6"].map((kind) => show("cat", `/proc/net/${kind}`).split("\n").length);
  const lasting = (text: string): string =>
    text
      .split("\n")
      .filter((line) => !line.includes("fe80:")) // the kernel's own, some time after an interface came up
      .join("\n");
  return [space.interfaces().join(" "), ...rules, ...routes.map(lasting), sockets.join(" ")].join("\n");
};

describe("a gateway with strongSwan", () => {
  const lab = testBed(["build", "namespaces", "tun", "strongswan", "capture"], async (bed) => {
    const sites = new Sites();
    bed.defer(() => sites.remove());
    const peer = await StrongSwan.start(bed, sites.gatewayB, swanConnection({ encap: true }));
    await ping(sites.hostA, INNER[4].lanA, { count: 1 });
    return { sites, peer };
  });

  test("shows the same status to the command and at its control socket, which is for its user alone", async () => {
    const { sites, bed } = lab();
    const gateway = await Espalier.startForTest(bed, sites.gatewayA, configuration({ start: "initiate" }));
    await gateway.up(PEER);
    expect(statSync(gateway.controlSocket).mode & 0o777).toBe(0o600);
    expect(await ping(sites.hostA, INNER[4].hostB)).toEqual({ sent: 10, received: 10 });
    const [connection] = (await gateway.printedStatus()).connections;
    expect(connection).toMatchObject({ name: PEER, state: "up", lastError: null });
    const spis = connection?.childSas.map(({ spiIn, spiOut }) => [spiIn, spiOut]);
    const asked = await gateway.connection(PEER);
    expect(spis).toEqual(asked?.childSas.map(({ spiIn, spiOut }) => [spiIn, spiOut]));
    // 20 octets of IPv4, 8 of ICMP, 56 of payload; inner octets alone are counted
    expect(connection?.childSas[0]).toMatchObject({ packetsIn: 10, packetsOut: 10, bytesIn: 840, bytesOut: 840 });
    expect(await gateway.end()).toBe(0);
  });

  test("SIGTERM deletes the SAs at the peer and leaves no interface, route or socket", async () => {
    const { sites, peer, bed } = lab();
    const before = traces(sites.gatewayA);
    const gateway = await Espalier.startForTest(bed, sites.gatewayA, configuration({ start: "initiate" }));
    await gateway.up(PEER);
    expect(sites.gatewayA.interfaces()).toContain(INTERFACE);
    expect(await ping(sites.hostA, INNER[4].hostB)).toEqual({ sent: 10, received: 10 });
    expect(peer.sas()).toHaveLength(1);
    expect(await gateway.end()).toBe(0);
    expect(traces(sites.gatewayA)).toBe(before);
    await until("strongSwan has no SA", () => (peer.sas().length === 0 ? true : undefined));
    expect(peer.log).toContain("received DELETE for IKE_SA");
  });

  test("nothing of the inner networks passes the internet: before, during or after the tunnel", async () => {
    const { sites, peer, bed } = lab();
    const tryIt = (): Promise<unknown> =>
      Promise.all([
        ping(sites.hostA, INNER[4].hostB, { count: 20 }),
        ping(sites.hostA, INNER[6].hostB, { count: 20 }).catch(() => undefined), // no route is an answer too
      ]);
    // The capture itself is proved first: what no gateway protects is seen.
    const unprotected = await capture(bed, sites.internet, "to-a", INNER_TRAFFIC, tryIt);
    expect(unprotected.length).toBeGreaterThan(0);
    const gateway = await Espalier.startForTest(bed, sites.gatewayA, configuration());
    const seen = await capture(bed, sites.internet, "to-a", INNER_TRAFFIC, async () => {
      await tryIt(); // down, never up yet
      await gateway.initiate(PEER);
      await gateway.up(PEER);
      await tryIt();
      await peer.terminate();
      await gateway.down(PEER);
      await tryIt();
      await sleep(200);
    });
    expect(seen).toEqual([]);
    expect(await gateway.end()).toBe(0);
  });
});

describe("a gateway that cannot start", () => {
  const lab = testBed(["build", "namespaces", "tun"], (bed) => {
    const sites = new Sites();
    bed.defer(() => sites.remove());

    return { sites };
  });

  const write = (name: string, text: string): string => {
    const folder = join(lab().bed.directory, name);
    mkdirSync(folder, { recursive: true });
    const file = join(folder, "gateway.yaml");
    writeFileSync(file, text);
    return file;
  };

  const good = (name: string): string =>
    stringify({
      control: join(lab().bed.directory, name, "control.sock"),
      ...configuration(),
      log: { level: "error" },
    });

  /** One line that says what is wrong, at most an indented one with the remedy, no stack trace, and a status that says so. */
  const expectOneClearLine = ({ status, stdout, stderr }: Outcome, ...words: readonly RegExp[]): void => {
    const lines = `${stdout}${stderr}`.split("\n").filter((line) => line.trim() !== "");
    expect(lines.filter((line) => !line.startsWith("  "))).toHaveLength(1);
    expect(lines.length).toBeLessThanOrEqual(2);
    expect(stderr).not.toMatch(/^ +at /m);
    expect([1, 2]).toContain(status);
    for (const word of words) expect(lines[0]).toMatch(word);
  };

  test("because of missing privileges says which", async () => {
    const file = write("unprivileged", good("unprivileged"));

    const outcome = await lab().sites.gatewayA.runAsync(
      ["setpriv", "--bounding-set=-all", "--inh-caps=-all", process.execPath, MAIN, "run", "-c", file],
      { mayFail: true },
    );
    expectOneClearLine(outcome, /CAP_NET|root|permi|privilege/i);
  });

  test("because there is no /dev/net/tun names it", async () => {
    const file = write("tun", good("tun"));
    const hidden = `mount -t tmpfs tmpfs /dev/net && exec ${process.execPath} ${MAIN} run -c ${file}`;
    const command = ["unshare", "-m", "--propagation", "private", "sh", "-c", hidden];
    const outcome = await lab().sites.gatewayA.runAsync(command, { mayFail: true });
    expectOneClearLine(outcome, /\/dev\/net\/tun/);
  });

  test.each([500, 4500])("because UDP port %i is taken names it", async (port) => {
    const { sites, bed } = lab();
    const blocker = sites.gatewayA.background(
      [
        process.execPath,
        "-e",
        `require("node:dgram").createSocket("udp4").bind(${port}, "${OUTER[4].a}", () => console.log("bound"))`,
      ],
      join(bed.directory, `blocker-${port}`),
    );
    await until("the port is taken", () => (blocker.log.includes("bound") ? true : undefined));
    const outcome = await espalier(sites.gatewayA, "run", "-c", write(`port-${port}`, good(`port-${port}`)));
    await blocker.end("SIGKILL");
    expectOneClearLine(outcome, new RegExp(String(port)));
    expect(sites.gatewayA.interfaces()).not.toContain(INTERFACE);
  });

  test("because an interface of that name is there names it", async () => {
    const { sites } = lab();
    sites.gatewayA.run(["ip", "link", "add", INTERFACE, "type", "veth", "peer", "name", "other"]);
    const outcome = await espalier(sites.gatewayA, "run", "-c", write("interface", good("interface")));
    sites.gatewayA.run(["ip", "link", "del", INTERFACE]);
    expectOneClearLine(outcome, new RegExp(INTERFACE));
  });

  test("because of a bad file names file, line, path and what was expected", async () => {
    const text = good("bad").replace("aes256gcm16-prfsha384-ecp384", "aes256gcm16-prfsha384-modp1024");
    const file = write("bad", text);
    expect(text).toContain("modp1024");
    const line = text.split("\n").findIndex((one) => one.includes("modp1024")) + 1;
    const outcome = await espalier(lab().sites.gatewayA, "run", "-c", file);
    expectOneClearLine(outcome, new RegExp(`gateway\\.yaml:${line}:.*connections\\.${PEER}\\.proposals.*modp1024`));
  });

  test("because there is no file names it", async () => {
    expectOneClearLine(
      await espalier(lab().sites.gatewayA, "run", "-c", "/nowhere/gateway.yaml"),
      /\/nowhere\/gateway\.yaml/,
    );
  });
});
