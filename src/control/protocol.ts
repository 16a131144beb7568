/**
 * The control protocol: newline-delimited JSON over a Unix socket, `{id, command, args}` to the gateway and
 * `{id, ok: true, result}` or `{id, ok: false, error: {code, message, remedy}}` back, matched by `id`.
 */
import { z } from "zod";
import { type ErrorCode, EspalierError } from "../errors.ts";
import type { GatewayStatus } from "./status.ts";

/** Octets of one request line: a name and little more. */
export const MAX_REQUEST = 16 * 1024;
/** Octets of one answer line: the status of some ten thousand connections. */
export const MAX_ANSWER = 64 * 1024 * 1024;

/** What each command takes and gives. */
export interface ControlCommands {
  status: { args: Record<string, never>; result: GatewayStatus };
  initiate: { args: { name: string }; result: null };
  terminate: { args: { name: string }; result: null };
  rekey: { args: { name: string; ike: boolean }; result: null };
}

export type ControlCommand = keyof ControlCommands;

/** What a server does for each command. An EspalierError goes to the caller as it is; any other error only as a note. */
export interface ControlHandlers {
  status(): GatewayStatus | Promise<GatewayStatus>;
  initiate(name: string): void | Promise<void>;
  terminate(name: string): void | Promise<void>;
  rekey(name: string, options: { ike: boolean }): void | Promise<void>;
}

const id = z.union([z.int(), z.string().max(64)]);
const name = z.string().min(1).max(256);

export const request = z.discriminatedUnion("command", [
  z.strictObject({ id, command: z.literal("status"), args: z.strictObject({}).default({}) }),
  z.strictObject({ id, command: z.literal("initiate"), args: z.strictObject({ name }) }),
  z.strictObject({ id, command: z.literal("terminate"), args: z.strictObject({ name }) }),
  z.strictObject({ id, command: z.literal("rekey"), args: z.strictObject({ name, ike: z.boolean().default(false) }) }),
]);

export type ControlRequest = z.infer<typeof request>;

const failure = z.object({ code: z.string(), message: z.string(), remedy: z.string().optional() });

export const answer = z.discriminatedUnion("ok", [
  z.object({ id: id.nullable(), ok: z.literal(true), result: z.unknown() }),
  z.object({ id: id.nullable(), ok: z.literal(false), error: failure }),
]);

export type ControlAnswer = z.infer<typeof answer>;

/** How an error travels. What is not ours may hold anything, so only its kind is told. */
export const failureOf = (error: unknown): z.infer<typeof failure> => {
  if (!(error instanceof EspalierError))
    return { code: "ESPALIER_CONTROL", message: "the gateway failed at this command; its log says more" };
  const { code, message, remedy } = error;
  return remedy === undefined ? { code, message } : { code, message, remedy };
};

const CODES: readonly ErrorCode[] = [
  "ESPALIER_CONFIG",
  "ESPALIER_USAGE",
  "ESPALIER_PRIVILEGE",
  "ESPALIER_IN_USE",
  "ESPALIER_PLATFORM",
  "ESPALIER_CONTROL",
];

/** The error at the caller's end. */
export const errorOf = ({ code, message, remedy }: z.infer<typeof failure>): EspalierError =>
  new EspalierError(
    CODES.find((known) => known === code) ?? "ESPALIER_CONTROL",
    message,
    remedy === undefined ? {} : { remedy },
  );
