/** Interfaces that several children share, their policies, and the mark. */
import { expect, test } from "vitest";
import { ConfigError } from "../../src/config/config-error.ts";
import { describeConfig } from "../../src/config/describe.ts";
import { parseConfig } from "../../src/config/load.ts";

const text = (policies: string, { head = "mark: 4711\n", data = "", encap = "auto" } = {}): string => `
${head}interfaces:
  esp0: { routes: [10.2.0.0/16]${policies} }
connections:
  branch:
    local: { address: 192.0.2.1 }
    remote: { address: 192.0.2.2 }
    psk: 0s3k8CF7Y7Nq2yYkQn8kYl9m2E0C8rU5x6vJ9Qz1tW4aM=
    encap: ${encap}
    children:
      voice: { shares: esp0, remote: ["10.2.0.0/16[udp/5000-6000]"] }
      data: { shares: esp0, remote: [10.2.0.0/16]${data} }
`;

const complaintsOf = (source: string): string[] => {
  try {
    parseConfig(source, "gw.yaml");
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.complaints.map(({ path, message }) => `${path}: ${message}`);
  }
};

test("without a list each child protects its own selectors, in the order of the file", () => {
  const { interfaces, connections } = parseConfig(text(""));
  expect(interfaces).toMatchObject([
    {
      name: "esp0",
      mtu: "auto",
      routes: ["10.2.0.0/16"],
      policies: [
        { action: "protect", child: { connection: "branch", name: "voice" }, remote: ["10.2.0.0/16[udp/5000-6000]"] },
        { action: "protect", child: { connection: "branch", name: "data" }, remote: ["10.2.0.0/16"] },
      ],
    },
  ]);
  expect(connections[0]?.children.map((child) => child.interface)).toEqual(["esp0", "esp0"]);
});

const BOTH = "{ action: protect, child: branch/voice }, { action: protect, child: branch/data }";

test("a list is kept in its order, with what it leaves out filled in, and can be read before it runs", () => {
  const config = parseConfig(text(`, policies: [{ action: bypass, remote: "10.2.9.0/24[icmp/8]" }, ${BOTH}]`));
  expect(config.interfaces[0]?.policies[0]).toEqual({
    action: "bypass",
    child: undefined,
    local: ["0.0.0.0/0", "::/0"],
    remote: ["10.2.9.0/24[icmp/8]"],
  });
  const described = describeConfig(config);
  expect(described).toContain("shares interface esp0");
  expect(described).toMatch(/bypass: .* === 10\.2\.9\.0\/24\[icmp\/8\]\n.*protect branch\/voice/);
});

test.each([
  [`, policies: [{ local: any4 }, ${BOTH}]`, "policies[0].action: expected one of protect, bypass, discard"],
  [`, policies: [{ action: protect }, ${BOTH}]`, "policies[0].child: expected the child that protects"],
  [`, policies: [{ action: discard, child: branch/data }, ${BOTH}]`, "policies[0].child: expected none where"],
  [`, policies: [{ action: protect, child: branch/x }, ${BOTH}]`, "child that shares the interface (branch/voice, "],
  [", policies: [{ action: protect, child: branch/data }]", "expected a policy that branch/voice protects"],
  [`, policies: [{ action: discard, local: any4, remote: any6 }, ${BOTH}]`, "policies[0].remote: expected a selector"],
  [`, policies: [{ action: drop }, ${BOTH}]`, "policies[0].action: expected one of protect, bypass, discard"],
  [`, policies: [{ action: discard, local: "any4[udp/70000]" }, ${BOTH}]`, "policies[0].local[0]: expected a selector"],
])("refused: %s", (policies, complaint) => {
  expect(complaintsOf(text(policies)).join("\n")).toContain(complaint);
});

test("bypass and transport mode need a mark, and a mark has its range", () => {
  const bypass = `, policies: [{ action: bypass }, ${BOTH}]`;
  expect(complaintsOf(text(bypass, { head: "" }))).toEqual([
    expect.stringContaining("policies[0].action: expected protect or discard where no mark is set"),
  ]);
  expect(complaintsOf(text("", { head: "", data: ", mode: transport" }))).toEqual([
    expect.stringContaining("data.mode: expected tunnel where no mark is set"),
  ]);
  expect(complaintsOf(text("", { head: "mark: 255\n" }))).toEqual([
    expect.stringContaining("mark: expected off or a whole number from 256 to 2147483647"),
  ]);
  expect(complaintsOf(text("", { data: ", mode: transport", encap: "force" }))).toEqual([
    expect.stringContaining("data.mode: expected tunnel where encap is force"),
  ]);
  expect(complaintsOf(text(bypass))).toEqual([]);
});

test("a child shares an interface that is there, and has none beside it", () => {
  expect(complaintsOf(text("", { data: ", interface: { name: x0 }" }))).toEqual([
    expect.stringContaining("data.shares: expected interface or shares, found both"),
  ]);
  expect(complaintsOf(text("").replace("data: { shares: esp0", "data: { shares: esp1"))).toEqual([
    expect.stringContaining("data.shares: expected the name of one of interfaces, there is none called esp1"),
  ]);
  expect(complaintsOf(text("").replaceAll("shares: esp0", "interface: { name: esp0 }"))).toEqual(
    expect.arrayContaining([
      expect.stringContaining("interfaces.esp0: expected a child that shares it"),
      expect.stringContaining("expected an interface name of its own, esp0 is that of interfaces.esp0"),
    ]),
  );
});

test("an interface with IPv6 has an MTU that IPv6 takes (RFC 8200 §5)", () => {
  const small = text("").replace("routes: [10.2.0.0/16]", "mtu: 1000, routes: [2001:db8::/64]");
  expect(complaintsOf(small)).toEqual([expect.stringContaining("interfaces.esp0.mtu: expected auto or at least 1280")]);
});

test("warned of: policies that are never met, and routes that none selects", () => {
  const warned = (source: string) => parseConfig(source).warnings.map(({ path, message }) => `${path}: ${message}`);
  const list = `, policies: [{ action: discard, remote: 10.2.0.0/15 }, ${BOTH}]`;
  expect(warned(text(list))).toEqual([
    "interfaces.esp0.policies[1]: never met: policy 1 of the list selects all that it does",
    "interfaces.esp0.policies[2]: never met: policy 1 of the list selects all that it does",
  ]);
  const route = text("").replace("routes: [10.2.0.0/16]", "routes: [10.2.0.0/24, 10.9.0.0/16]");
  expect(warned(route)).toEqual([
    "interfaces.esp0.routes[1]: no policy selects any of it: what takes this route is dropped",
  ]);
  expect(warned(text(`, policies: [{ action: discard, remote: "10.2.0.0/16[udp/53]" }, ${BOTH}]`))).toEqual([]);
});

test("a child may wait for its first packet", () => {
  const [connection] = parseConfig(text("", { data: ", start: trap" })).connections;
  expect(connection?.children.map(({ start }) => start)).toEqual(["connection", "trap"]);
});
