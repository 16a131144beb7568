/** The caller's end of the control socket: one connection, one request, one answer. */
import { createConnection } from "node:net";
import { EspalierError } from "../errors.ts";
import { readLines } from "./lines.ts";
import { answer, type ControlCommand, type ControlCommands, errorOf, MAX_ANSWER } from "./protocol.ts";

export interface CallOptions {
  /** Milliseconds to wait for the answer; default 10,000. */
  readonly timeout?: number;
}

/**
 * Ask the gateway that listens at `path`. Rejects with an EspalierError: the gateway's own, or ESPALIER_CONTROL when
 * nobody answers, or ESPALIER_PRIVILEGE when the socket is another user's.
 */
export const callControl = <C extends ControlCommand>(
  path: string,
  command: C,
  args: ControlCommands[C]["args"],
  { timeout = 10_000 }: CallOptions = {},
): Promise<ControlCommands[C]["result"]> =>
  new Promise((resolve, reject) => {
    const socket = createConnection(path);
    const settle = (finish: () => void): void => {
      socket.destroy();
      finish();
    };
    const fail = (message: string, remedy?: string): void =>
      settle(() => reject(new EspalierError("ESPALIER_CONTROL", message, remedy === undefined ? {} : { remedy })));

    socket.setTimeout(timeout, () => fail(`the gateway at ${path} did not answer within ${timeout / 1000} s`));
    socket.once("error", (error) => settle(() => reject(unreachable(path, error))));
    socket.once("end", () => fail(`the gateway at ${path} closed the connection without an answer`));
    readLines(
      socket,
      MAX_ANSWER,
      (line) => {
        const parsed = answer.safeParse(parseAnswer(line));
        if (!parsed.success) return fail(`${path} does not speak the control protocol of espalier`);
        const { data } = parsed;
        if (!data.ok) return settle(() => reject(errorOf(data.error)));
        settle(() => resolve(data.result as ControlCommands[C]["result"]));
      },
      () => fail(`the answer of ${path} is too long`),
    );
    socket.write(`${JSON.stringify({ id: 1, command, args })}\n`);
  });

const parseAnswer = (line: string): unknown => {
  try {
    return JSON.parse(line);
  } catch {
    return undefined; // refused by the schema
  }
};

const unreachable = (path: string, cause: Error): EspalierError => {
  const code = "code" in cause ? cause.code : undefined;
  if (code === "EACCES" || code === "EPERM")
    return new EspalierError("ESPALIER_PRIVILEGE", `not allowed to use the control socket ${path}`, {
      cause,
      remedy: "run as the user of the gateway",
    });
  if (code === "ENOENT" || code === "ECONNREFUSED")
    return new EspalierError("ESPALIER_CONTROL", `no gateway listens on ${path}`, {
      cause,
      remedy: "start one with `espalier run -c FILE`, or name its socket with --control",
    });
  return new EspalierError("ESPALIER_CONTROL", `control socket ${path}: ${cause.message}`, { cause });
};
