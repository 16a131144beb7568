import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCommand } from "../../src/cli/program.ts";
import { exitStatusOf, explain, type Terminal } from "../../src/cli/terminal.ts";
import { type ControlServer, serveControl } from "../../src/control/server.ts";
import { EspalierError } from "../../src/errors.ts";
import { statusOf } from "../support/status.ts";

const GOOD = `control: control.sock
connections:
  branch:
    local: { address: 192.0.2.1 }
    remote: { address: 192.0.2.2 }
    psk: "p4~Xk!9vZ$w2Lq#mR7&t"
    children: { net: { interface: { name: esp0 } } }
`;

let folder = "";
let good = "";
let bad = "";
let server: ControlServer | undefined;
const heard: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "espalier-cli-"));
  good = join(folder, "good.yaml");
  bad = join(folder, "bad.yaml");
  writeFileSync(good, GOOD, { mode: 0o600 });
  writeFileSync(bad, GOOD.replace("192.0.2.2", "nowhere").replace("esp0", "way-too-long-a-name"), { mode: 0o600 });
  server = await serveControl(join(folder, "control.sock"), {
    status: () => statusOf(),
    initiate: (name) => {
      heard.push(`initiate ${name}`);
      if (name === "nobody")
        throw new EspalierError("ESPALIER_USAGE", "no connection nobody", { remedy: "there is: branch" });
      if (name === "busy") throw new EspalierError("ESPALIER_CONTROL", "branch is busy");
    },
    terminate: (name) => void heard.push(`terminate ${name}`),
    rekey: (name, { ike }) => void heard.push(`rekey ${name} ${ike}`),
  });
});

afterAll(async () => {
  await server?.close();
  rmSync(folder, { recursive: true });
});

const run = async (words: readonly string[], environment: Terminal["environment"] = {}) => {
  let out = "";
  let err = "";
  const status = await runCommand(words, {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    columns: undefined,
    colour: false,
    environment,
  });
  return { status, out, err };
};

describe("wrong usage ends with status 2", () => {
  test.each([
    [[], /^Usage: espalier/],
    [["stauts"], /^espalier: unknown command 'stauts'\n\(Did you mean status\?\)\n/],
    [["run"], /^espalier: required option '-c, --config <file>' not specified\n/],
    [["check"], /^espalier: required option '-c, --config <file>'/],
    [["check", "-c"], /^espalier: option '-c, --config <file>' argument missing\n/],
    [["check", "-c", "a", "b"], /^espalier: too many arguments for 'check'/],
    [["status", "--jsn"], /^espalier: unknown option '--jsn'\n\(Did you mean --json\?\)/],
    [["status", "--watch", "0"], /^espalier: option '--watch \[seconds\]' argument '0' is invalid/],
    [["initiate"], /^espalier: missing required argument 'name'\n/],
    [["terminate"], /^espalier: missing required argument 'name'\n/],
    [["rekey", "a", "--child"], /^espalier: unknown option '--child'/],
  ])("espalier %j", async (words, message) => {
    const { status, out, err } = await run(words);
    expect({ status, out }).toEqual({ status: 2, out: "" });
    expect(err).toMatch(message);
  });
});

test("--version and --help are no failures", async () => {
  expect(await run(["--version"])).toEqual({ status: 0, out: "0.1.0\n", err: "" });
  const help = await run(["--help"]);
  expect(help).toMatchObject({ status: 0, err: "" });
  for (const word of ["run", "check", "status", "initiate", "terminate", "rekey", "Examples:", "Exit status:"])
    expect(help.out).toContain(word);
  expect((await run(["rekey", "--help"])).out).toContain("--ike");
});

describe("check", () => {
  test("says what would run", async () => {
    const { status, out, err } = await run(["check", "-c", good]);
    expect({ status, err }).toEqual({ status: 0, err: "" });
    expect(out).toContain("branch: 192.0.2.1 -> 192.0.2.2\n");
    expect(await run(["check", "-q", "-c", good])).toEqual({ status: 0, out: "", err: "" });
  });

  test("lists all mistakes", async () => {
    expect(await run(["check", "-c", bad])).toEqual({
      status: 2,
      out: "",
      err: `espalier: 2 mistakes in ${bad}
${bad}:5: connections.branch.remote.address: expected an IPv4 or IPv6 address, a domain name or any, found "nowhere"
${bad}:7: connections.branch.children.net.interface.name: expected an interface name of 1 to 15 letters, digits, dots, dashes or underscores, found "way-too-long-a-name"
`,
    });
  });

  test("of a file that is not there is one line", async () => {
    expect(await run(["check", "-c", "/no/such/file"])).toEqual({
      status: 2,
      out: "",
      err: "espalier: cannot read /no/such/file: there is no such file\n",
    });
  });
});

test("run of a wrong configuration ends with status 2", async () => {
  expect((await run(["run", "-c", bad])).status).toBe(2);
});

describe("commands for a running gateway", () => {
  test("status as JSON is what the gateway says", async () => {
    const { status, out } = await run(["status", "--json", "-c", good]);
    expect(status).toBe(0);
    expect(JSON.parse(out)).toEqual(statusOf());
  });

  test("the socket is found by option, by configuration or by environment", async () => {
    const path = join(folder, "control.sock");
    for (const found of [
      await run(["status", "--control", path]),
      await run(["--control", path, "status"], { ESPALIER_CONTROL: "/elsewhere" }),
      await run(["status"], { ESPALIER_CONTROL: path }),
      await run(["status", "-c", good], { ESPALIER_CONTROL: "/elsewhere" }),
    ]) {
      expect(found.err).toBe("");
      expect(found.out).toMatch(/^espalier 0\.1\.0, up 2 h 3 min, 2 of 3 connections up/);
    }
  });

  test("initiate, terminate and rekey name a connection", async () => {
    heard.length = 0;
    expect(await run(["initiate", "branch", "-c", good])).toEqual({ status: 0, out: "branch: connecting\n", err: "" });
    expect(await run(["terminate", "branch", "-c", good])).toMatchObject({ status: 0, out: "branch: closing\n" });
    expect((await run(["rekey", "branch", "-c", good])).out).toBe("branch: rekeying its Child SAs\n");
    expect((await run(["rekey", "--ike", "branch", "-c", good])).out).toBe("branch: rekeying the IKE SA\n");
    expect(heard).toEqual(["initiate branch", "terminate branch", "rekey branch false", "rekey branch true"]);
  });

  test("the gateway's refusal is told with its remedy", async () => {
    expect(await run(["initiate", "nobody", "-c", good])).toEqual({
      status: 2,
      out: "",
      err: "espalier: no connection nobody\n  there is: branch\n",
    });
    expect((await run(["initiate", "busy", "-c", good])).status).toBe(1);
  });

  test("no gateway is a failure at run time", async () => {
    const { status, err } = await run(["status", "--control", join(folder, "none")]);
    expect(status).toBe(1);
    expect(err).toMatch(/^espalier: no gateway listens on .*none\n {2}start one with `espalier run -c FILE`/);
  });
});

test("the stack is shown only to who asked for it", () => {
  const error = new EspalierError("ESPALIER_IN_USE", "UDP port 500 is taken", { remedy: "stop the other daemon" });
  expect(explain(error, { environment: {} })).toBe("espalier: UDP port 500 is taken\n  stop the other daemon\n");
  expect(explain(error, { environment: { ESPALIER_DEBUG: "1" } })).toContain("program.test.ts:");
  expect(explain(new TypeError("x is not a function"), { environment: {} })).toBe(
    "espalier: unexpected: x is not a function\n",
  );
});

test("each kind of error has its exit status", () => {
  const of = (code: EspalierError["code"]) => exitStatusOf(new EspalierError(code, ""));
  expect([of("ESPALIER_CONFIG"), of("ESPALIER_USAGE")]).toEqual([2, 2]);
  expect([of("ESPALIER_PRIVILEGE"), of("ESPALIER_IN_USE"), of("ESPALIER_PLATFORM"), of("ESPALIER_CONTROL")]).toEqual([
    1, 1, 1, 1,
  ]);
  expect(exitStatusOf(new Error("a bug"))).toBe(1);
});
