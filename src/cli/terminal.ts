/** Where a command writes, and how it ends. Tests give their own. */
import { ConfigError, formatComplaint } from "../config/config-error.ts";
import { type ErrorCode, EspalierError } from "../errors.ts";

export interface Terminal {
  out(text: string): void;
  err(text: string): void;
  /** Columns of the screen, or undefined where it is none. */
  readonly columns: number | undefined;
  readonly colour: boolean;
  readonly environment: {
    readonly ESPALIER_CONTROL?: string | undefined;
    /** `1`: show stacks. */
    readonly ESPALIER_DEBUG?: string | undefined;
  };
}

/** 0: done. 1: failed at run time. 2: wrong usage or configuration. */
export type ExitStatus = 0 | 1 | 2;

const WRONG_USE: readonly ErrorCode[] = ["ESPALIER_CONFIG", "ESPALIER_USAGE"];

export const exitStatusOf = (error: unknown): ExitStatus =>
  error instanceof EspalierError && WRONG_USE.includes(error.code) ? 2 : 1;

/** One clear line and its remedy; the stack only for who asked with ESPALIER_DEBUG=1. */
export const explain = (error: unknown, { environment }: Pick<Terminal, "environment">): string => {
  const known = error instanceof EspalierError;
  const message =
    error instanceof ConfigError ? mistakes(error) : error instanceof Error ? error.message : String(error);
  const lines = [`espalier: ${known || !(error instanceof Error) ? message : `unexpected: ${message}`}`];
  if (known && error.remedy !== undefined) lines.push(`  ${error.remedy}`);
  if (environment.ESPALIER_DEBUG === "1" && error instanceof Error) lines.push(String(error.stack));
  return `${lines.join("\n")}\n`;
};

/** One mistake is told at once; many are listed below their number. */
const mistakes = ({ file, complaints, message }: ConfigError): string =>
  complaints.length === 1
    ? message
    : [
        `${complaints.length} mistakes in ${file}`,
        ...complaints.map((complaint) => formatComplaint(file, complaint)),
      ].join("\n");
