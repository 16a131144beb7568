import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { callControl } from "../../src/control/client.ts";
import type { ControlHandlers } from "../../src/control/protocol.ts";
import { type ControlServer, serveControl } from "../../src/control/server.ts";
import { EspalierError } from "../../src/errors.ts";
import { statusOf } from "../support/status.ts";

let folder = "";
let path = "";
let servers: ControlServer[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "espalier-control-"));
  path = join(folder, "control.sock");
  servers = [];
});

afterEach(async () => {
  for (const server of servers) await server.close();
  rmSync(folder, { recursive: true });
});

const calls: string[] = [];

const HANDLERS: ControlHandlers = {
  status: () => statusOf(),
  initiate: (name) => {
    calls.push(`initiate ${name}`);
    if (name !== "branch")
      throw new EspalierError("ESPALIER_USAGE", `no connection ${name}`, { remedy: "there is: branch" });
  },
  terminate: () => {
    throw new Error("a bug that knows secrets");
  },
  rekey: async (name, { ike }) => {
    calls.push(`rekey ${name} ${ike}`);
  },
};

const serve = async (at = path, handlers = HANDLERS): Promise<ControlServer> => {
  const server = await serveControl(at, handlers);
  servers.push(server);
  return server;
};

/** Sends octets as they are and gives all lines that come back until the end, or until there are `lines`. */
const talk = (octets: string, lines = 1): Promise<unknown[]> =>
  new Promise((resolve, reject) => {
    let heard = "";
    const finish = (): void => {
      socket.destroy();
      resolve(
        heard
          .split("\n")
          .filter(Boolean)
          .map((line) => JSON.parse(line)),
      );
    };
    const socket = createConnection(path, () => socket.write(octets));
    socket.on("data", (chunk) => {
      heard += chunk.toString();
      if (heard.split("\n").length > lines) finish();
    });
    socket.on("end", finish);
    socket.on("error", reject);
  });

describe("the socket", () => {
  test("is its owner's alone, whatever the umask", async () => {
    const before = process.umask(0);
    try {
      await serve();
      expect(process.umask()).toBe(0);
    } finally {
      process.umask(before);
    }
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("is never wider than 0600, not even before it listens", async () => {
    const listening = serve();
    await new Promise((resolve) => setImmediate(resolve));
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await listening;
  });

  test("is gone when closed, and so is the folder made for it", async () => {
    const at = join(folder, "run", "espalier", "control.sock");
    const server = await serve(at);
    expect(statSync(join(folder, "run", "espalier")).mode & 0o777).toBe(0o700);
    servers = [];
    await server.close();
    expect(existsSync(at)).toBe(false);
    expect(existsSync(join(folder, "run", "espalier"))).toBe(false);
  });

  test("leaves a folder that was there before", async () => {
    const server = await serve();
    servers = [];
    await server.close();
    expect(existsSync(path)).toBe(false);
    expect(existsSync(folder)).toBe(true);
  });

  test("of a dead process is replaced", async () => {
    const script = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    expect(spawnSync(process.execPath, ["-e", script]).signal).toBe("SIGKILL");
    expect(lstatSync(path).isSocket()).toBe(true);
    await serve();
    expect((await callControl(path, "status", {})).version).toBe("0.1.0");
  });

  test("of a living process is left alone", async () => {
    await serve();
    await expect(serveControl(path, HANDLERS)).rejects.toMatchObject({
      code: "ESPALIER_IN_USE",
      message: `another gateway listens on ${path}`,
    });
    expect((await callControl(path, "status", {})).version).toBe("0.1.0");
  });

  test("does not replace a file that is no socket", async () => {
    writeFileSync(path, "precious");
    await expect(serveControl(path, HANDLERS)).rejects.toMatchObject({ code: "ESPALIER_IN_USE" });
    expect(statSync(path).size).toBe(8);
  });

  test("that cannot be made is refused with the reason", async () => {
    writeFileSync(join(folder, "file"), "");
    await expect(serveControl(join(folder, "file", "control.sock"), HANDLERS)).rejects.toBeInstanceOf(EspalierError);
  });
});

describe("a request", () => {
  test("is answered by its handler", async () => {
    await serve();
    calls.length = 0;
    expect(await callControl(path, "status", {})).toEqual(statusOf());
    expect(await callControl(path, "initiate", { name: "branch" })).toBeNull();
    expect(await callControl(path, "rekey", { name: "branch", ike: true })).toBeNull();
    expect(calls).toEqual(["initiate branch", "rekey branch true"]);
  });

  test("that fails comes back as the error it was", async () => {
    await serve();
    await expect(callControl(path, "initiate", { name: "nobody" })).rejects.toMatchObject({
      name: "EspalierError",
      code: "ESPALIER_USAGE",
      message: "no connection nobody",
      remedy: "there is: branch",
    });
  });

  test("that meets a bug is told no more than that", async () => {
    await serve();
    const error: unknown = await callControl(path, "terminate", { name: "branch" }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "ESPALIER_CONTROL" });
    expect(String(error)).not.toContain("secrets");
  });

  test.each([
    ["hello", null, "a request is one line of JSON"],
    ["", null, "a request is one line of JSON"],
    ["null", null, "bad request"],
    ["[]", null, "bad request"],
    ['{"id":7,"command":"reboot"}', 7, "bad request"],
    ['{"id":"x","command":"initiate"}', "x", "bad request"],
    ['{"id":1,"command":"initiate","args":{"name":""}}', 1, "bad request"],
    ['{"id":1,"command":"initiate","args":{"name":5}}', 1, "bad request"],
    ['{"id":1,"command":"status","args":{"more":1}}', 1, "bad request"],
    ['{"id":{},"command":"status"}', null, "bad request"],
    ['{"command":"status"}', null, "bad request"],
    ['{"id":1,"command":"__proto__"}', 1, "bad request"],
  ])("%j is refused, and the next one is heard", async (line, id, message) => {
    await serve();
    const [refusal, next] = await talk(`${line}\n{"id":2,"command":"status"}\n`, 2);
    expect(refusal).toMatchObject({ id, ok: false, error: { code: "ESPALIER_USAGE" } });
    expect(JSON.stringify(refusal)).toContain(message);
    expect(next).toMatchObject({ id: 2, ok: true });
  });

  test("that never ends is cut off, and the gateway still answers others", async () => {
    await serve();
    const answers = await talk("x".repeat(100_000), 99);
    expect(answers).toEqual([
      { id: null, ok: false, error: { code: "ESPALIER_USAGE", message: "a request is at most 16384 octets" } },
    ]);
    expect((await callControl(path, "status", {})).version).toBe("0.1.0");
  });

  test("may come in pieces, and many in one", async () => {
    await serve();
    const answers = await talk('{"id":1,"command":"status"}\n{"id":2,"command":"status"}\n{"id":3,"comm', 2);
    expect(answers).toMatchObject([{ id: 1 }, { id: 2 }]);
  });

  test("does not wait for another one", async () => {
    let finish = (): void => {};
    const slow = new Promise<void>((resolve) => {
      finish = resolve;
    });
    await serve(path, { ...HANDLERS, terminate: () => slow });
    const answers = talk('{"id":1,"command":"terminate","args":{"name":"a"}}\n{"id":2,"command":"status"}\n', 2);
    const others = await Promise.all(Array.from({ length: 30 }, () => callControl(path, "status", {})));
    expect(others).toHaveLength(30);
    finish();
    expect(await answers).toMatchObject([{ id: 2 }, { id: 1 }]);
  });

  test("of a caller that has gone does no harm", async () => {
    await serve();
    const socket = createConnection(path, () => {
      socket.write('{"id":1,"command":"status"}\n'.repeat(50));
      socket.destroy();
    });
    await new Promise((resolve) => socket.on("close", resolve));
    expect((await callControl(path, "status", {})).version).toBe("0.1.0");
  });
});

describe("a caller", () => {
  test("is told when nobody listens", async () => {
    await expect(callControl(path, "status", {})).rejects.toMatchObject({
      code: "ESPALIER_CONTROL",
      message: `no gateway listens on ${path}`,
      remedy: expect.stringContaining("espalier run"),
    });
  });

  test("is told when what listens speaks something else", async () => {
    const stranger = createServer((socket) => socket.resume().end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    await new Promise<void>((resolve) => stranger.listen(path, resolve));
    await expect(callControl(path, "status", {})).rejects.toMatchObject({ code: "ESPALIER_CONTROL" });
    await new Promise((resolve) => stranger.close(resolve));
  });

  test("does not wait for ever", async () => {
    await serve(path, { ...HANDLERS, status: () => new Promise(() => {}) });
    await expect(callControl(path, "status", {}, { timeout: 50 })).rejects.toThrow("did not answer within 0.05 s");
  });

  test("is told when the gateway ends before it answers", async () => {
    const server = await serve(path, { ...HANDLERS, status: () => new Promise(() => {}) });
    const call = expect(callControl(path, "status", {})).rejects.toMatchObject({ code: "ESPALIER_CONTROL" });
    await new Promise((resolve) => setTimeout(resolve, 50));
    servers = [];
    await server.close();
    await call;
  });
});

test("folders that exist keep their mode", async () => {
  mkdirSync(join(folder, "wide"));
  chmodSync(join(folder, "wide"), 0o755);
  await serve(join(folder, "wide", "control.sock"));
  expect(statSync(join(folder, "wide")).mode & 0o777).toBe(0o755);
});
