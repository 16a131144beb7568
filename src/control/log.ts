/**
 * The gateway's log, by pino, to standard error: one JSON object a line, or one readable line for people. A line begins
 * with a stable event word in kebab-case, so that both can be searched.
 */
import pc from "picocolors";
import { type DestinationStream, pino } from "pino";

export type Level = "debug" | "info" | "warn" | "error";

export interface LogEntry {
  readonly level: Level;
  /** Stable word in kebab-case: `child-sa-installed`. */
  readonly event: string;
  readonly connection?: string;
  readonly message: string;
  readonly fields?: Readonly<Record<string, string | number | boolean>>;
}

export interface Log {
  write(entry: LogEntry): void;
}

export interface LogOptions {
  /** What is less than this is not written. */
  readonly level: Level;
  readonly format: "text" | "json";
  /** Default: standard error. */
  readonly stream?: DestinationStream;
  /** Colours in text; default: when standard error is a terminal that has them. */
  readonly colour?: boolean;
}

/** A log to `stream`. Every line is written when `write` returns, so none is lost when the process ends. */
export const createLog = ({ level, format, stream, colour }: LogOptions): Log => {
  const destination = stream ?? pino.destination({ fd: 2, sync: true });
  const paint = pc.createColors(
    colour ?? (stream === undefined && pc.isColorSupported && process.stderr.isTTY === true),
  );
  const lines = format === "json" ? destination : { write: (line: string) => destination.write(readable(line, paint)) };
  const logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      messageKey: "message",
    },
    lines,
  );
  return {
    write: ({ level, event, connection, message, fields }) =>
      logger[level]({ event, ...(connection === undefined ? {} : { connection }), ...reserved(fields) }, message),
  };
};

const OWN = new Set(["level", "time", "event", "connection", "message"]);

/** Fields with names that the line itself uses move aside, so that no peer's data can pose as them. */
const reserved = (fields: LogEntry["fields"] = {}): Record<string, string | number | boolean> =>
  Object.fromEntries(Object.entries(fields).map(([key, value]) => [OWN.has(key) ? `${key}_` : key, value]));

type Paint = ReturnType<typeof pc.createColors>;

/** `12:34:56.789 info  branch: Child SA is up  suite=aes256gcm16` of a line of JSON. */
const readable = (line: string, paint: Paint): string => {
  const { level, time, event, connection, message, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const shown = Object.entries({ event, ...fields }).map(([key, value]) => paint.dim(`${key}=${quoted(value)}`));
  const who = typeof connection === "string" ? `${paint.bold(printable(connection))}: ` : "";
  const clock = String(time).slice(11, 23);
  const what = `${who}${printable(String(message))}`;
  return `${paint.dim(clock)} ${painted(String(level), paint)} ${what}  ${shown.join(" ")}\n`;
};

const quoted = (value: unknown): string => {
  const text = printable(String(value));
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
};

const painted = (level: string, paint: Paint): string => {
  const text = level.padEnd(5);
  if (level === "error") return paint.red(text);
  if (level === "warn") return paint.yellow(text);
  return level === "debug" ? paint.dim(text) : paint.green(text);
};

/** Identities and names come from peers: a control character must not reach a terminal or begin a new line. */
const printable = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (bad) => `\\u{${bad.codePointAt(0)?.toString(16) ?? ""}}`);
