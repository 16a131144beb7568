import { join } from "node:path";
import { inspect } from "node:util";
import { expect, test } from "vitest";
import { toConnections } from "../../src/config/connections.ts";
import { describeConfig } from "../../src/config/describe.ts";
import { loadConfig, parseConfig } from "../../src/config/load.ts";
import { formatIdentity } from "../../src/ike/identity.ts";
import { formatPeerId } from "../../src/ike/peer-id.ts";
import { formatSelector } from "../../src/ipsec/selector.ts";

const fixture = () => loadConfig(join(import.meta.dirname, "fixtures/gateway.yaml"));

const ROUTED = `
connections:
  branch:
    remote: { address: "2001:db8::2" }
    psk: "p4~Xk!9vZ$w2Lq#mR7&t"
    children: { net: { esn: "no", interface: { name: esp0 } } }
`;

test("IKE gets each connection with its texts parsed", () => {
  const [branch, roaming] = toConnections(fixture());
  expect(branch).toMatchObject({
    name: "branch",
    local: { address: "192.0.2.1" },
    remote: { address: "192.0.2.2", port: 500 },
    start: "initiate",
    encap: "auto",
    lifetime: 86_400_000,
    liveness: { interval: 30_000 },
    retransmit: { first: 500, factor: 2, tries: 7 },
  });
  expect(branch && formatIdentity(branch.local.id)).toBe("gw-a.example");
  expect(formatPeerId(branch?.remote.id)).toBe("gw-b.example");
  expect(branch?.proposals.map(({ text }) => text)).toEqual(["aes256gcm16-prfsha384-ecp384", "aes256-sha256-modp2048"]);
  expect(
    branch?.children.map(({ name, lifetime, local, remote }) => [
      name,
      lifetime,
      ...[local, remote].map((side) => side.map(formatSelector).join(" ")),
    ]),
  ).toEqual([
    ["net", 3_600_000, "0.0.0.0/0 ::/0", "0.0.0.0/0 ::/0"],
    ["voice", 3_600_000, "10.1.8.0/24", "10.2.8.0/24"],
  ]);
  expect(roaming).toMatchObject({ remote: { address: undefined }, liveness: undefined, start: "none" });
  expect(Buffer.from(roaming?.psk?.local ?? []).toString()).toBe("gateway-proves-itself-with-this");
  expect(roaming?.psk?.remote.length).toBe(20);
});

test("identities default to the addresses, and the local address to that of the route", () => {
  const [branch] = toConnections(parseConfig(ROUTED), (remote) => {
    expect(remote).toBe("2001:db8::2");
    return "2001:db8::1";
  });
  expect(branch?.local.address).toBe("2001:db8::1");
  expect(branch && formatIdentity(branch.local.id)).toBe("2001:db8::1");
  expect(formatPeerId(branch?.remote.id)).toBe("2001:db8::2");
});

test("distinguished names and patterns of them are written as text", () => {
  const ends = `{ address: any, id: "*,o=Example, C=CH" }
    local: { address: 192.0.2.1, id: 'CN=gw\\, 1 , O=Example' }`;
  const [branch] = toConnections(parseConfig(ROUTED.replace('{ address: "2001:db8::2" }', () => ends)));
  expect(branch && formatIdentity(branch.local.id)).toBe("CN=gw\\, 1,O=Example");
  expect(formatPeerId(branch?.remote.id)).toBe("*,O=Example,C=CH");
});

test("without a route to ask, a connection needs its local address", () => {
  expect(() => toConnections(parseConfig(ROUTED))).toThrow("connection branch has no local address");
});

test("a remote of any address and without an identity may be anybody", () => {
  const text = ROUTED.replace('{ address: "2001:db8::2" }', "{ address: any }\n    local: { address: 192.0.2.1 }");
  expect(toConnections(parseConfig(text))[0]?.remote).toEqual({
    address: undefined,
    backups: [],
    port: 500,
    id: undefined,
  });
});

test("the mapped connections show no key", () => {
  const connections = toConnections(fixture());
  const shown = inspect(connections, { depth: 99, showHidden: true }) + JSON.stringify(connections);
  expect(shown).not.toContain("gateway-proves");
  expect(shown).not.toContain(Buffer.from("gateway-proves").join(", "));
  expect(shown).not.toContain('"0":103,"1":97'); // "ga", as JSON has octets
});

test("what would run, for people", () => {
  expect(describeConfig({ ...fixture(), file: "gateway.yaml" })).toMatchInlineSnapshot(`
    "gateway.yaml: 2 connections, 3 tunnels
      workers 2 (adaptive), engine auto, IKE on UDP 500 and 4500
      control /run/espalier/control.sock, log info as text

    branch: 192.0.2.1 (gw-a.example) -> 192.0.2.2 (gw-b.example)
      we connect, ESP in UDP auto, asked whether alive after 30s
      childless allow, duplicates contact
      IKE rekeyed after 1d, protected by
        aes256gcm16-prfsha384-ecp384
        aes256-sha256-modp2048
      net: 0.0.0.0/0, ::/0 === 0.0.0.0/0, ::/0
        ESP rekeyed after 1h, protected by
          aes256gcm16
        ESN either, replay window 1024, DSCP copy, ECN normal, DF copy
        fragmented before sealing, not padded
        pairs of SAs as many as workers
        interface esp0, 10.255.0.1/30, 2001:db8:ff::1/64, MTU auto, MSS auto
        routes 10.2.0.0/24, 2001:db8:2::/48
      voice: 10.1.8.0/24 === 10.2.8.0/24
        ESP rekeyed after 1h, protected by
          aes128gcm16-ecp256
        ESN either, replay window 1024, DSCP copy, ECN normal, DF copy
        fragmented before sealing, not padded
        pairs of SAs as many as workers
        interface esp1, no address, MTU auto, MSS auto
        routes 10.2.8.0/24

    roaming: 192.0.2.1 (gw-a.example) -> any (roaming@example)
      we wait, ESP in UDP auto, never asked whether alive
      childless allow, duplicates contact
      IKE rekeyed after 1d, protected by
        aes256gcm16-aes128gcm16-prfsha384-prfsha256-ecp384-x25519-ecp256-modp3072
        aes256-aes128-sha384-sha256-ecp384-x25519-ecp256-modp3072-modp2048
      net: 0.0.0.0/0, ::/0 === 0.0.0.0/0, ::/0
        ESP rekeyed after 1h, protected by
          aes256gcm16-aes128gcm16
          aes256-aes128-sha256
        ESN either, replay window 1024, DSCP copy, ECN normal, DF copy
        fragmented before sealing, not padded
        pairs of SAs as many as workers
        interface esp2, 10.255.1.1/24, MTU 1360, MSS auto
        routes none"
  `);
});

test.each([
  ["one a worker unless it says otherwise", "", 3],
  ["as many as it says", "sas: 2, ", 2],
])("pairs of SAs of a child: %s", (_, sas, pairs) => {
  const text = `workers: 3\n${ROUTED.replace("net: {", `net: { ${sas}`)}`;
  expect(toConnections(parseConfig(text), () => "2001:db8::1")[0]!.children[0]!.sas).toBe(pairs);
});
