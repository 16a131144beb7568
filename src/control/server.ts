/**
 * The gateway's end of the control socket. The socket has mode 0600 from the moment it exists; one that a dead process
 * left is replaced, one that somebody listens on is not.
 */
import { lstatSync, mkdirSync, rmdirSync, unlinkSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { EspalierError } from "../errors.ts";
import { readLines } from "./lines.ts";
import {
  type ControlAnswer,
  type ControlHandlers,
  type ControlRequest,
  failureOf,
  MAX_REQUEST,
  request,
} from "./protocol.ts";

/** Callers at once; the others wait in the kernel's queue or are turned away. */
const MAX_CALLERS = 64;
/** A caller that says nothing for so long is let go, ms. */
const IDLE = 60_000;

export interface ControlServer {
  readonly path: string;
  /** Ends all calls, removes the socket, and the folder if it was made here and is empty. */
  close(): Promise<void>;
}

/**
 * Listen at `path`. Throws EspalierError: ESPALIER_IN_USE when another process listens there or it is no socket,
 * ESPALIER_PRIVILEGE when the folder may not be written to.
 */
export const serveControl = async (path: string, handlers: ControlHandlers): Promise<ControlServer> => {
  const madeFolder = makeFolder(path);
  await removeStale(path);
  const callers = new Set<Socket>();
  const server = createServer((socket) => {
    callers.add(socket);
    socket.on("close", () => callers.delete(socket));
    serveCaller(socket, handlers);
  });
  server.maxConnections = MAX_CALLERS;
  await listen(server, path);
  return {
    path,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of callers) socket.destroy();
      await closed; // the path is unlinked with the handle
      if (madeFolder !== undefined) removeIfEmpty(madeFolder);
    },
  };
};

const serveCaller = (socket: Socket, handlers: ControlHandlers): void => {
  const reply = (answer: ControlAnswer): void => {
    if (socket.writable) socket.write(`${JSON.stringify(answer)}\n`);
  };
  const refuse = (id: ControlAnswer["id"], message: string): void =>
    reply({ id, ok: false, error: { code: "ESPALIER_USAGE", message } });

  socket.setTimeout(IDLE, () => socket.destroy());
  socket.on("error", () => socket.destroy()); // the caller went away: nothing is owed to it
  readLines(
    socket,
    MAX_REQUEST,
    (line) => {
      const asked = readRequest(line);
      if ("refused" in asked) return refuse(asked.id, asked.refused);
      perform(asked.request, handlers).then(
        (result) => reply({ id: asked.request.id, ok: true, result }),
        (error: unknown) => reply({ id: asked.request.id, ok: false, error: failureOf(error) }),
      );
    },
    () => {
      refuse(null, `a request is at most ${MAX_REQUEST} octets`);
      socket.end();
    },
  );
};

type Asked = { request: ControlRequest } | { id: ControlAnswer["id"]; refused: string };

const readRequest = (line: string): Asked => {
  const value = parseJson(line);
  if (value === undefined) return { id: null, refused: "a request is one line of JSON" };
  const parsed = request.safeParse(value);
  if (parsed.success) return { request: parsed.data };
  const issue = parsed.error.issues[0];
  return { id: idOf(value), refused: `bad request: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "unknown"}` };
};

const parseJson = (line: string): unknown => {
  try {
    return JSON.parse(line);
  } catch {
    return undefined; // JSON has no undefined: it means that the line is none
  }
};

const idOf = (value: unknown): ControlAnswer["id"] => {
  const id = typeof value === "object" && value !== null && "id" in value ? value.id : null;
  return typeof id === "number" || (typeof id === "string" && id.length <= 64) ? id : null;
};

const perform = async (asked: ControlRequest, handlers: ControlHandlers): Promise<unknown> => {
  switch (asked.command) {
    case "status":
      return handlers.status();
    case "initiate":
      await handlers.initiate(asked.args.name);
      return null;
    case "terminate":
      await handlers.terminate(asked.args.name);
      return null;
    case "rekey":
      await handlers.rekey(asked.args.name, { ike: asked.args.ike });
      return null;
  }
};

/** The folder that was made, or undefined when there was one. */
const makeFolder = (path: string): string | undefined => {
  try {
    return mkdirSync(dirname(path), { recursive: true, mode: 0o700 }) === undefined ? undefined : dirname(path);
  } catch (error) {
    throw refusedBySystem(path, error);
  }
};

const removeIfEmpty = (folder: string): void => {
  try {
    rmdirSync(folder);
  } catch (error) {
    if (codeOf(error) !== "ENOTEMPTY" && codeOf(error) !== "ENOENT") throw error;
  }
};

const removeStale = async (path: string): Promise<void> => {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket())
    throw new EspalierError("ESPALIER_IN_USE", `${path} exists and is not a socket`, {
      remedy: "remove it or set another path with `control:`",
    });
  if (await isAlive(path))
    throw new EspalierError("ESPALIER_IN_USE", `another gateway listens on ${path}`, {
      remedy: "stop it, or set another path with `control:`",
    });
  unlinkSync(path);
};

/** Only a refused connection proves that nobody listens; any doubt leaves the socket alone. */
const isAlive = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = createConnection(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", (error) => resolve(codeOf(error) !== "ECONNREFUSED" && codeOf(error) !== "ENOENT"));
  });

const listen = (server: Server, path: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once("error", (error) => reject(refusedBySystem(path, error)));
    server.once("listening", resolve);
    const before = process.umask(0o177); // bind(2) happens inside listen(): the socket is never wider than 0600
    try {
      server.listen(path);
    } finally {
      process.umask(before);
    }
  });

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;

const refusedBySystem = (path: string, cause: unknown): EspalierError => {
  const code = codeOf(cause);
  if (code === "EADDRINUSE") return new EspalierError("ESPALIER_IN_USE", `control socket ${path} is taken`, { cause });
  if (code === "EACCES" || code === "EPERM" || code === "EROFS")
    return new EspalierError("ESPALIER_PRIVILEGE", `cannot make the control socket ${path} (${code})`, {
      cause,
      remedy: "run as root, or set a path that you may write to with `control:`",
    });
  return new EspalierError("ESPALIER_CONTROL", `cannot make the control socket ${path} (${code ?? "unknown"})`, {
    cause,
  });
};
