import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigError } from "../../src/config/config-error.ts";
import { toConnections } from "../../src/config/connections.ts";
import { loadConfig, parseConfig } from "../../src/config/load.ts";
import { parseIdentity } from "../../src/ike/identity.ts";

const SMALLEST = `
connections:
  branch:
    local: { address: 192.0.2.1 }
    remote: { address: 192.0.2.2 }
    psk: "p4~Xk!9vZ$w2Lq#mR7&t"
    children:
      net:
        interface: { name: esp0 }
`;

const complaintsOf = (text: string): string[] => {
  try {
    parseConfig(text, "gw.yaml");
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split("\n");
    throw error;
  }
  return [];
};

/** `SMALLEST` with one thing changed. */
const edited = (from: string | RegExp, to: string): string => {
  const text = SMALLEST.replace(from, () => to);
  expect(text).not.toBe(SMALLEST);
  return text;
};

test("the defaults of the smallest configuration", () => {
  expect(parseConfig(SMALLEST, "/etc/espalier/gw.yaml")).toMatchInlineSnapshot(`
    {
      "affinity": [],
      "batch": 128,
      "connections": [
        {
          "childless": "allow",
          "children": [
            {
              "df": "copy",
              "dscp": {
                "kind": "copy",
              },
              "dummies": undefined,
              "ecn": "normal",
              "esn": "either",
              "fragment": "before",
              "icmpErrors": true,
              "interface": {
                "addresses": [],
                "mss": "auto",
                "mtu": "auto",
                "name": "esp0",
                "routes": [],
              },
              "lifebytes": undefined,
              "lifepackets": undefined,
              "lifetime": 3600000,
              "local": [
                "0.0.0.0/0",
                "::/0",
              ],
              "manual": undefined,
              "mode": "tunnel",
              "name": "net",
              "proposals": [
                "aes256gcm16-aes128gcm16",
                "aes256-aes128-sha256",
              ],
              "refuseTfc": false,
              "remote": [
                "0.0.0.0/0",
                "::/0",
              ],
              "replayWindow": 1024,
              "sas": "auto",
              "start": "connection",
              "tfc": {
                "kind": "none",
              },
            },
          ],
          "duplicates": "contact",
          "encap": "auto",
          "fragmentSize": undefined,
          "fragmentation": "yes",
          "keyring": undefined,
          "lifetime": 86400000,
          "liveness": {
            "interval": 30000,
            "mode": "silence",
            "retry": undefined,
          },
          "local": {
            "address": "192.0.2.1",
            "id": undefined,
          },
          "name": "branch",
          "proposals": [
            "aes256gcm16-aes128gcm16-prfsha384-prfsha256-ecp384-x25519-ecp256-modp3072",
            "aes256-aes128-sha384-sha256-ecp384-x25519-ecp256-modp3072-modp2048",
          ],
          "psk": {
            "local": "<redacted>",
            "remote": "<redacted>",
          },
          "remote": {
            "address": "192.0.2.2",
            "backups": [],
            "id": undefined,
            "port": 500,
          },
          "retransmit": {
            "factor": 2,
            "first": 500,
            "jitter": 0.1,
            "tries": 7,
          },
          "start": "none",
        },
      ],
      "control": "/run/espalier/control.sock",
      "engine": "auto",
      "file": "/etc/espalier/gw.yaml",
      "ike": {
        "cookieThreshold": 10,
        "decryptFailures": 30,
        "dscp": 48,
        "halfOpenLimit": 40,
        "halfOpenOutLimit": 400,
        "halfOpenPerSource": 10,
        "halfOpenTimeout": 60000,
        "queueLimit": 20,
        "rekeyRate": 5,
        "sasLimit": 0,
        "sasPerPeer": 10,
      },
      "interfaces": [],
      "keyrings": [],
      "log": {
        "format": "text",
        "level": "info",
      },
      "mark": undefined,
      "poll": "adaptive",
      "ports": {
        "ike": 500,
        "natt": 4500,
      },
      "warnings": [],
      "workers": 1,
    }
  `);
});

test("the fixture is read without a complaint or a warning", () => {
  const path = join(import.meta.dirname, "fixtures/gateway.yaml");
  chmodSync(path, 0o600);
  chmodSync(join(import.meta.dirname, "fixtures/branch.psk"), 0o600);
  const config = loadConfig(path);
  expect(config.warnings).toEqual([]);
  expect(config.connections.map(({ name, children }) => [name, children.length])).toEqual([
    ["branch", 2],
    ["roaming", 1],
  ]);
  const [branch, roaming] = config.connections;
  expect(Buffer.from(branch?.psk?.local.reveal() ?? []).toString()).toBe(
    "Qm9yaW5nIHJhbmRvbSBsb29raW5nIGtleSBvZiAzMg==",
  );
  expect(branch?.psk?.remote).toBe(branch?.psk?.local);
  expect(Buffer.from(roaming?.psk?.local.reveal() ?? []).toString()).toBe("gateway-proves-itself-with-this");
  expect(roaming?.psk?.remote.length).toBe(20);
  expect(roaming?.remote.address).toBeUndefined();
  expect(roaming?.liveness).toBeUndefined();
});

describe("complaints name file, line, path and what was expected", () => {
  test.each([
    ["workers: 0", "gw.yaml:10: workers: expected a whole number from 1 to 64, found 0"],
    ["workers: many", 'gw.yaml:10: workers: expected a whole number from 1 to 64, found "many"'],
    ["batch: 0", "gw.yaml:10: batch: expected a whole number from 1 to 256, found 0"],
    ["batch: 257", "gw.yaml:10: batch: expected a whole number from 1 to 256, found 257"],
    ["engine: fast", 'gw.yaml:10: engine: expected one of auto, ipsec-mb, openssl, node, noble, found "fast"'],
    ["engin: auto", "gw.yaml:10: engin: expected a known key: did you mean engine?"],
    [
      "banana: 1",
      "gw.yaml:10: banana: expected one of workers, affinity, poll, batch, engine, control, log, ports, ike, mark, interfaces, keyrings, connections",
    ],
    ["log: loud", "gw.yaml:10: log: expected a mapping, found text"],
    ["log:\n  level: loud", 'gw.yaml:11: log.level: expected one of debug, info, warn, error, found "loud"'],
    ["ports: { ike: 4500 }", "gw.yaml:10: ports.natt: expected another port than ports.ike, found 4500 for both"],
    ["ports: { ike: 70000 }", "gw.yaml:10: ports.ike: expected a whole number from 1 to 65535, found 70000"],
    [`control: /${"x".repeat(107)}`, /^gw.yaml:10: control: expected a path of at most 107 octets, found "\/x+…"$/],
  ])("%s", (line, complaint) => {
    const complaints = complaintsOf(`${SMALLEST}${line}\n`);
    expect(complaints).toHaveLength(1);
    expect(complaints[0]).toEqual(typeof complaint === "string" ? complaint : expect.stringMatching(complaint));
  });

  test.each([
    ["192.0.2.2 }", "any }\n    start: initiate", "start: expected none: a peer of any address cannot be called"],
    ["192.0.2.2", "peer", 'remote.address: expected an IPv4 or IPv6 address, a domain name or any, found "peer"'],
    [
      "192.0.2.2",
      "192.0.2.256",
      'remote.address: expected an IPv4 or IPv6 address, a domain name or any, found "192.0.2.256"',
    ],
    ["192.0.2.2", '"2001:db8::2"', "remote.address: expected an IPv4 address as local.address is one"],
    ["192.0.2.2", "192.0.2.1", "remote.address: expected another address than local.address"],
    ["{ address: 192.0.2.2 }", "{ port: 500 }", "remote.address: expected the address of the peer, or any"],
    ["192.0.2.2 }", "192.0.2.2, port: 0 }", "remote.port: expected a whole number from 1 to 65535, found 0"],
    ["192.0.2.1", "any", 'local.address: expected an IPv4 or IPv6 address, found "any"'],
    [/psk: .*/, "start: none", "psk: expected a key: psk or psk_file"],
    [/psk: .*/, "psk:", "psk: expected a key: text, 0x and hex digits, or 0s and base64, found nothing"],
    [/psk: .*/, 'psk: ""', "psk: expected a key: text, 0x and hex digits, or 0s and base64, found empty text"],
    [/psk: .*/, "psk: 0x123", "psk: expected a key: text, 0x and hex digits, or 0s and base64, found text"],
    [/psk: .*/, "psk: abc\n    psk_file: key", "psk_file: expected psk or psk_file, found both"],
    ["192.0.2.2 }\n", "192.0.2.2 }\n    lifetime: 5y\n", /lifetime: expected a duration from 1s to 30d .*, found "5y"/],
    ["192.0.2.2 }\n", "192.0.2.2 }\n    lifetime: 0\n", /lifetime: expected a duration from 1s to 30d .*, found 0/],
    ["192.0.2.2 }\n", "192.0.2.2 }\n    liveness: never\n", /liveness: expected off or a duration .*, found "never"/],
    ["192.0.2.2 }\n", "192.0.2.2 }\n    proposals: 5\n", "proposals: expected a list, found a number"],
    ["192.0.2.2 }\n", "192.0.2.2 }\n    proposals: []\n", "proposals: expected at least one"],
    ["192.0.2.2 }\n", "192.0.2.2 }\n    proposals: [aes256gcm16-prfsha384-ecp384, 3des]\n", /proposals\[1\]: .*3des/],
    ["192.0.2.1 }", "192.0.2.1, id: a b }", /local.id: expected an identity: .*, found "a b"/],
    [/ +net:\n.*\n/, "      {}\n", "children: expected at least one child"],
    [/ +interface.*\n/, "        esn: no\n", "children.net.interface.name: expected the name of the interface to make"],
    ["esp0", "a-name-of-16-oct", /children.net.interface.name: expected an interface name of 1 to 15 letters/],
    ["esp0", "esp 0", /children.net.interface.name: expected an interface name/],
    [
      "esp0 }",
      "esp0, mss: 87 }",
      "children.net.interface.mss: expected auto, off or a whole number from 88 to 65495, found 87",
    ],
    [
      "esp0 }",
      "esp0, mtu: 575 }",
      "children.net.interface.mtu: expected auto or a whole number from 576 to 65535, found 575",
    ],
    [
      "esp0 }",
      'esp0, mtu: 1279, addresses: ["2001:db8::1/64"] }',
      "children.net.interface.mtu: expected auto or at least 1280, as 2001:db8::1/64 is IPv6, found 1279",
    ],
    [
      "esp0 }",
      "esp0, addresses: [10.0.0.1/33] }",
      /interface.addresses\[0\]: expected an address with a prefix length/,
    ],
    ["esp0 }", "esp0, routes: [10.0.0.1/24] }", /interface.routes\[0\]: expected a prefix without host bits/],
    ["esp0 }", "esp0, routes: [10.0.0.0/24, 10.0.0.0/24] }", /routes\[1\]: expected a route of its own/],
    [
      "net:\n",
      "net:\n        replay_window: 31\n",
      /net.replay_window: expected off or a whole number from 32 to 4096, found 31/,
    ],
    ["net:\n", "net:\n        esn: yes\n        replay_window: off\n", /net.esn: expected no or either .*, found yes/],
    [
      "net:\n",
      `net:\n        remote: [${Array.from({ length: 33 }, (_, n) => `10.0.${n}.0/24`).join(", ")}]\n`,
      /net.remote: expected at most 32/,
    ],
    ["net:\n", "net:\n        dscp: 64\n", /net.dscp: expected copy, a DSCP from 0 to 63, or a map .*, found 64/],
    ["net:\n", "net:\n        dscp: { 46: 64 }\n", /net.dscp: expected copy, a DSCP from 0 to 63, or a map/],
    ["net:\n", "net:\n        dscp: { ef: 34 }\n", /net.dscp: expected copy, a DSCP from 0 to 63, or a map/],
    ["net:\n", "net:\n        ecn: no\n", /net.ecn: expected one of normal, compatibility, found "no"/],
    ["net:\n", "net:\n        esn: maybe\n", /net.esn: expected one of yes, no, either, found "maybe"/],
    [
      "net:\n",
      "net:\n        local: [10.0.0.0/24, 10.0.0.0/40]\n",
      /net.local\[1\]: expected a selector .*, found "10.0.0.0\/40"/,
    ],
    [
      "net:\n",
      'net:\n        local: 10.0.0.0/8\n        remote: "2001:db8::/32"\n',
      "children.net.remote: expected a selector of a family that local has too",
    ],
    ["branch:", '"my branch":', /^gw.yaml:3: connections."my branch": expected a name of at most 64 letters/],
  ])("%s -> %s", (from, to, complaint) => {
    const complaints = complaintsOf(edited(from, to));
    expect(complaints).toHaveLength(1);
    const expected =
      typeof complaint === "string"
        ? expect.stringContaining(`: connections.branch.${complaint}`)
        : expect.stringMatching(complaint);
    expect(complaints[0]).toEqual(expected);
  });

  test("no connection at all", () => {
    expect(complaintsOf("")).toEqual(["gw.yaml:1: connections: expected at least one connection"]);
    expect(complaintsOf("connections: {}")).toEqual(["gw.yaml:1: connections: expected at least one connection"]);
    expect(complaintsOf("- 1")).toEqual(["gw.yaml:1: expected a mapping, found a list"]);
  });
});

const twice = (second: string): string =>
  `${SMALLEST}  second:
    local: { address: 192.0.2.1 }
    remote: { address: 192.0.2.3 }
    psk: "p4~Xk!9vZ$w2Lq#mR7&t"
    children:
      net:
        interface: { name: esp1 }
`.replace(...(second.split(" => ") as [string, string]));

test("what two connections may not share", () => {
  expect(complaintsOf(twice("esp1 => esp0"))).toEqual([
    "gw.yaml:16: connections.second.children.net.interface.name: expected an interface name of its own, " +
      "esp0 is that of connections.branch.children.net.interface.name",
  ]);
  expect(complaintsOf(twice("192.0.2.3 => 192.0.2.2"))).toEqual([
    "gw.yaml:12: connections.second.remote: expected an address or an id that differs from connection branch: " +
      "the two could not be told apart",
  ]);
  expect(complaintsOf(twice("second => branch"))).toEqual([
    "gw.yaml:10: connections.branch: expected once, found again: it is on line 3",
  ]);
  expect(complaintsOf(twice("esp1 => esp1"))).toEqual([]);
});

test("all complaints at once, by line", () => {
  const text = `workers: 99
connections:
  a:
    remote: { adress: 192.0.2.9 }
    start: yes
    children: { net: { interface: { name: way-too-long-a-name, mtu: 9 } } }
  b:
    local: { address: 192.0.2.1 }
    remote: { address: any }
    start: initiate
    psk: short
    children: { net: { interface: { name: esp0, routes: [10.0.0.1/8] } } }
`;
  expect(complaintsOf(text)).toMatchInlineSnapshot(`
    [
      "gw.yaml:1: workers: expected a whole number from 1 to 64, found 99",
      "gw.yaml:3: connections.a.psk: expected a key: psk or psk_file",
      "gw.yaml:4: connections.a.remote.address: expected the address of the peer, or any",
      "gw.yaml:4: connections.a.remote.adress: expected a known key: did you mean address?",
      "gw.yaml:5: connections.a.start: expected one of initiate, trap, none, found "yes"",
      "gw.yaml:6: connections.a.children.net.interface.mtu: expected auto or a whole number from 576 to 65535, found 9",
      "gw.yaml:6: connections.a.children.net.interface.name: expected an interface name of 1 to 15 letters, digits, dots, dashes or underscores, found "way-too-long-a-name"",
      "gw.yaml:10: connections.b.start: expected none: a peer of any address cannot be called",
      "gw.yaml:12: connections.b.children.net.interface.routes[0]: expected a prefix without host bits such as 10.2.0.0/24, found "10.0.0.1/8"",
    ]
  `);
});

test("what is no YAML is told with its line", () => {
  expect(complaintsOf("workers: 1\nlog: { level: info\nports: [")[0]).toMatch(/^gw.yaml:\d: expected YAML: /);
  expect(complaintsOf("a: &a { b: *a }")).toEqual([
    "gw.yaml:1: expected YAML whose aliases neither multiply nor hold themselves",
  ]);
});

test("no key is lost because of what it is called", () => {
  expect(complaintsOf(edited("branch:", "__proto__:"))[0]).toBe(
    "gw.yaml:3: connections.__proto__: expected another name",
  );
  expect(complaintsOf(edited("branch:", "constructor:"))).toEqual([]);
});

test("an alias is as good as the text it stands for", () => {
  const shared = edited("psk:", "proposals: &ike [aes256gcm16-prfsha384-ecp384]\n    psk:");
  expect(
    complaintsOf(`${shared}  second:
    remote: { address: 192.0.2.7 }
    psk: "p4~Xk!9vZ$w2Lq#mR7&t"
    proposals: *ike
    children: { net: { interface: { name: esp7 } } }
`),
  ).toEqual([]);
});

test("a key that looks like a number is text to YAML too", () => {
  const key = (text: string): string =>
    Buffer.from(parseConfig(edited(/psk: .*/, `psk: ${text}`)).connections[0]?.psk?.local.reveal() ?? []).toString(
      "latin1",
    );
  expect(key("12345")).toBe("12345");
  expect(key("0x6f70656e")).toBe("open");
  expect(key("1e3")).toBe("1e3");
  expect(key("true")).toBe("true");
});

describe("keys are shown nowhere", () => {
  const KEY = "correcthorsebattery";

  test("not by a Config that is printed", () => {
    const config = parseConfig(edited(/psk: .*/, `psk: ${KEY}`));
    expect(JSON.stringify(config)).not.toContain(KEY);
    expect(inspect(config, { depth: 99, showHidden: true })).not.toContain(KEY);
    expect(JSON.stringify(config)).toContain("<redacted>");
  });

  test.each([
    `psk: 0x${KEY}`,
    `psk: [${KEY}]`,
    `psk: { ${KEY}: 1 }`,
    `psk: *${KEY}`,
    `psk: @${KEY}`,
    `psk: "\\q${KEY}`,
    `psk:${KEY}`,
    `psk: a: ${KEY}`,
    `{psk:${KEY}}`,
    `pks: ${KEY}`,
    `local: ${KEY}`,
    `local: { psk:${KEY} }`,
    `psk: ${KEY}\n    psk: ${KEY}`,
  ])("not by complaints on %s", (line) => {
    const complaints = complaintsOf(edited(/psk: .*/, line));
    expect(complaints.length).toBeGreaterThan(0);
    expect(complaints.join("\n")).not.toContain(KEY);
  });
});

describe("files", () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "espalier-config-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const saved = (name: string, text: string, mode = 0o600): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    chmodSync(path, mode);
    return path;
  };

  test("a key file is found beside the configuration", () => {
    saved("key", "p4~Xk!9vZ$w2Lq#mR7&t\n");
    const config = loadConfig(saved("gw.yaml", edited(/psk: .*/, "psk_file: key"), 0o644));
    expect(config.connections[0]?.psk?.local.length).toBe(20);
    expect(config.warnings).toEqual([]);
  });

  test("a key file that is not there or empty is told at its line", () => {
    const path = saved("gw.yaml", edited(/psk: .*/, "psk_file: nokey"));
    expect(() => loadConfig(path)).toThrow(
      `${path}:6: connections.branch.psk_file: expected a file that holds a key, ${folder}/nokey: ENOENT`,
    );
    saved("nokey", "\n");
    expect(() => loadConfig(path)).toThrow(`${folder}/nokey: it is empty`);
  });

  test("what others may read is warned of", () => {
    saved("key", "p4~Xk!9vZ$w2Lq#mR7&t\n", 0o640);
    const byFile = loadConfig(saved("gw.yaml", edited(/psk: .*/, "psk_file: key"), 0o644));
    expect(byFile.warnings).toEqual([
      { line: 6, path: "connections.branch.psk_file", message: "group or others may read key: chmod 600 it" },
    ]);
    const itself = loadConfig(saved("gw.yaml", SMALLEST, 0o644));
    expect(itself.warnings).toEqual([
      { line: 2, path: "", message: "group or others may read this file, which holds a key: chmod 600 it" },
    ]);
  });

  test("a configuration that cannot be read is one clear line", () => {
    expect(() => loadConfig(join(folder, "none"))).toThrow(/^cannot read .*none: there is no such file$/);
    expect(() => loadConfig(folder)).toThrow(/: it is a folder$/);
  });
});

test("the control socket's path is relative to the file", () => {
  expect(parseConfig(`${SMALLEST}control: ctl.sock\n`, "/etc/espalier/gw.yaml").control).toBe("/etc/espalier/ctl.sock");
});

describe("warnings", () => {
  const warnings = (text: string): string[] =>
    parseConfig(text).warnings.map(({ line, path, message }) => `${line}: ${path}: ${message}`);

  test("a weak key", () => {
    expect(warnings(edited(/psk: .*/, "psk: sesame"))).toEqual([
      "6: connections.branch.psk: the key has at most 12 bits and 128 are wanted: take `openssl rand -base64 32`",
    ]);
  });

  test("SHA-1", () => {
    expect(warnings(edited("net:\n", "net:\n        proposals: [aes256gcm16, aes128-sha1]\n"))).toEqual([
      "9: connections.branch.children.net.proposals[1]: SHA-1 in aes128-sha1: only for a peer that has nothing better",
    ]);
  });

  test("anybody with the key", () => {
    expect(warnings(edited("192.0.2.2", "any"))[0]).toMatch(/^5: connections.branch.remote: whoever has the key/);
  });

  test.each([
    ["{ cookie_threshold: 39 }", []],
    ["{ cookie_threshold: 40 }", ["10: ike.cookie_threshold: 40 is not below ike.half_open.incoming, 40"]],
    ["{ half_open: { incoming: 11 } }", []],
    ["{ half_open: { incoming: 10 } }", ["10: ike.cookie_threshold: 10 is not below ike.half_open.incoming, 10"]],
    ["{ cookie_threshold: 1000, half_open: { incoming: 1001 } }", []],
  ])("cookies that nobody would be asked for, %s", (written, expected) => {
    const found = warnings(`${SMALLEST}ike: ${written}\n`);
    expect(found.map((warning) => warning.replace(/: forged .*/, ""))).toEqual(expected);
  });

  test("a route that no selector holds", () => {
    const text = edited("net:\n", "net:\n        remote: [10.2.0.0/16]\n");
    expect(warnings(text.replace("esp0 }", "esp0, routes: [10.2.3.0/24, 10.3.0.0/24] }"))).toEqual([
      "10: connections.branch.children.net.interface.routes[1]: " +
        "no remote selector holds any of it: what takes this route is dropped",
    ]);
  });

  test("a route that holds the peer", () => {
    expect(warnings(edited("esp0 }", "esp0, routes: [10.0.0.0/8, 192.0.0.0/8] }"))[0]).toMatch(
      /^9: .*routes\[1\]: this route holds the peer 192.0.2.2 itself/,
    );
  });
});

test.each([
  ["[0, 1]", [0, 1]],
  ["3", [3]],
  ["none", []],
])("affinity: %s", (written, cpus) => {
  expect(parseConfig(`${SMALLEST}affinity: ${written}\n`).affinity).toEqual(cpus);
});

test.each(["[]", "[0, x]", "-1", "any", "[1.5]"])("affinity: %s is refused", (written) => {
  expect(complaintsOf(`${SMALLEST}affinity: ${written}\n`)[0]).toContain(
    "none or a list of CPU numbers such as [0, 1]",
  );
});

test("a peer may be a name, have backups, and be begun by its first packet", () => {
  const text = SMALLEST.replace(
    "remote: { address: 192.0.2.2 }",
    "start: trap\n    remote: { address: Gw.Example, backups: [192.0.2.3, gw2.example], id: gw.example }",
  );
  expect(parseConfig(text).connections[0]).toMatchObject({
    start: "trap",
    remote: { address: "gw.example", backups: ["192.0.2.3", "gw2.example"], id: "gw.example" },
  });
});

test.each([
  [
    "{ address: 192.0.2.2, backups: [192.0.2.3] }",
    "remote.id: expected an identity: with backups it is not an address",
  ],
  ["{ address: any, backups: 192.0.2.3, id: x.y }", "backups: expected none: a peer of any address cannot be called"],
  ["{ address: 192.0.2.2, backups: [a.b, '2001:db8::1'], id: x.y }", "backups[1]: expected an IPv4 address"],
  ["{ address: 192.0.2.2, backups: 192.0.2.1, id: x.y }", "backups[0]: expected another address than local.address"],
])("backups that cannot be are refused: %s", (remote, why) => {
  expect(complaintsOf(edited("{ address: 192.0.2.2 }", remote))).toEqual([expect.stringContaining(why)]);
});

test("a peer known by name needs a local address", () => {
  const text = SMALLEST.replace("{ address: 192.0.2.1 }", "{ id: a.example }").replace("192.0.2.2", "gw.example");
  expect(complaintsOf(text)).toEqual([
    expect.stringContaining("local.address: expected an address: where the peer is a name"),
  ]);
});

test.each([
  ["copy", { kind: "copy" }],
  ["10", { kind: "set", dscp: 10 }],
  ["{ 46: 34, 0: 8 }", { kind: "map", map: { 46: 34, 0: 8 } }],
])("dscp: %s", (text, policy) => {
  const config = parseConfig(edited("net:\n", `net:\n        dscp: ${text}\n`), "gw.yaml");
  expect(config.connections[0]?.children[0]?.dscp).toEqual(policy);
});

test.each([
  ["off", "either", 0, "no"],
  ["32", "yes", 32, "yes"],
  ["33", "either", 64, "either"],
  ["4096", "no", 4096, "no"],
])("replay_window: %s with esn: %s", (text, wanted, replayWindow, esn) => {
  const config = parseConfig(
    edited("net:\n", `net:\n        replay_window: ${text}\n        esn: ${wanted}\n`),
    "gw.yaml",
  );
  expect(config.connections[0]?.children[0]).toMatchObject({ replayWindow, esn });
});

test("what holds for all IKE SAs has defaults and limits", () => {
  expect(parseConfig(SMALLEST).ike).toMatchObject({
    dscp: 48,
    cookieThreshold: 10,
    halfOpenLimit: 40,
    halfOpenOutLimit: 400,
  });
  const text = `${SMALLEST}ike: { dscp: 0, cookie_threshold: 0, half_open: { incoming: 100, timeout: 30m }, limit: { all: 9999, per_peer: off } }\n`;
  expect(parseConfig(text).ike).toMatchObject({
    dscp: 0,
    cookieThreshold: 0,
    halfOpenLimit: 100,
    halfOpenTimeout: 1_800_000,
    sasLimit: 9_999,
    sasPerPeer: 0,
  });
  for (const wrong of [
    "dscp: 64",
    "cookie_threshold: 1001",
    "decrypt_failures: 0",
    "rekey_rate: 51",
    "queue: 0",
    "queue: 51",
    "limit: { all: 0 }",
    "limit: { per_peer: 10000 }",
  ])
    expect(complaintsOf(`${SMALLEST}ike: { ${wrong} }\n`)).toEqual([
      expect.stringMatching(/expected (off or )?a whole number/),
    ]);
});

describe("keyrings", () => {
  const WITH_RING = `
keyrings:
  branches:
    - { id: gw-c.example, psk: "0x${"a1b2c3d4e5f60718".repeat(4)}" }
    - id: "*.example"
      local: { psk: "0x${"18071605f4e3d2c1".repeat(4)}" }
      remote: { psk: "0x${"0f1e2d3c4b5a6978".repeat(4)}" }
${SMALLEST.replace(/psk: .*/, "keyring: branches")}`;

  test("hold keys by peer, for connections that have none", () => {
    const config = parseConfig(WITH_RING);
    expect(config.connections[0]).toMatchObject({ psk: undefined, keyring: "branches" });
    expect(config.keyrings[0]?.entries.map(({ id }) => id)).toEqual(["gw-c.example", "*.example"]);
    expect(config.keyrings[0]?.entries[1]?.psk.local.length).toBe(32);
    expect(config.warnings).toEqual([]);
    expect(inspect(config, { depth: 9 })).not.toContain("a1b2");
    const keyring = toConnections(config)[0]?.keyring;
    expect(keyring?.find(parseIdentity("x.example"), "192.0.2.2")?.remote).toEqual(
      new Uint8Array(Buffer.from("0f1e2d3c4b5a6978".repeat(4), "hex")),
    );
  });

  test.each([
    [
      "keyring: branches",
      "keyring: branch",
      "connections.branch.keyring: expected the name of a keyring, there is none",
    ],
    ["id: gw-c.example, ", "", "keyrings.branches[0].id: expected an identity or a pattern"],
    [/, psk: "0xa[^"]*"/, "", "keyrings.branches[0].psk: expected a key: psk or psk_file"],
    [/ +remote: \{ psk.*\n/, "", "keyrings.branches[1].remote.psk: expected a key"],
    ["branches:", "_branches/:", "expected a name"],
    ['"*.example"', '"*.*"', "keyrings.branches[1].id: expected an identity, or a pattern such as"],
  ])("%s -> %s", (from, to, why) => {
    const text = WITH_RING.replace(from, () => to);
    expect(text).not.toBe(WITH_RING);
    expect(complaintsOf(text)[0]).toContain(why);
  });

  test("have at most a thousand entries", () => {
    const ring = (entries: number): string =>
      WITH_RING.replace(/keyrings:[\s\S]*?connections:/, () => {
        const lines = Array.from(
          { length: entries },
          (_, n) => `    - { id: g${n}.example, psk: "k${n}p4~Xk!9vZ$w2Lq#mR7&t" }`,
        );
        return `keyrings:\n  branches:\n${lines.join("\n")}\nconnections:`;
      });
    expect(parseConfig(ring(1_000)).keyrings[0]?.entries).toHaveLength(1_000);
    expect(complaintsOf(ring(1_001))).toEqual([
      expect.stringContaining("keyrings.branches: expected at most 1000 entries"),
    ]);
  });

  test("are not used where the connection has a key, which is said", () => {
    const text = WITH_RING.replace(
      "keyring: branches",
      `keyring: branches\n    psk: "0x${"77665544332211ab".repeat(4)}"`,
    );
    expect(parseConfig(text).warnings).toMatchObject([
      { path: "connections.branch.keyring", message: "not used: the connection has keys of its own" },
    ]);
  });
});

test("a key weaker than every suite that it is for is warned of", () => {
  const strong = "proposals: aes256gcm16-prfsha384-ecp384\n    psk:";
  expect(parseConfig(edited("psk:", strong)).warnings.map(({ message }) => message)).toEqual([
    "the key has at most 131 bits, fewer than the 256 of every suite: take `openssl rand -base64 32`",
  ]);
  expect(parseConfig(edited("psk:", strong.replace("aes256gcm16", "aes256gcm16-aes128gcm16"))).warnings).toEqual([]);
});
