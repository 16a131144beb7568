/** What is said of a configuration file that cannot be used. Beside the loader, so that who only shows it needs no schema. */
import { EspalierError } from "../errors.ts";
import type { Complaint } from "./config.ts";

/** A configuration file that cannot be used, with what is wrong where. */
export class ConfigError extends EspalierError {
  override readonly name = "ConfigError";
  readonly file: string;
  /** Sorted by line; never empty. */
  readonly complaints: readonly Complaint[];

  constructor(file: string, complaints: readonly Complaint[]) {
    super("ESPALIER_CONFIG", complaints.map((complaint) => formatComplaint(file, complaint)).join("\n"));
    this.file = file;
    this.complaints = complaints;
  }
}

/** `file:line: path: message`. */
export const formatComplaint = (file: string, { line, path, message }: Complaint): string =>
  `${file}:${line}: ${path === "" ? "" : `${path}: `}${message}`;
