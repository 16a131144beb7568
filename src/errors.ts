/**
 * Errors that a caller may see. A caller's mistake throws one of these, with a stable `code` to match on and a `remedy`
 * to print; a peer's mistake is data (a verdict, a notify, a counter) and never an exception that leaves its module.
 */

/** What went wrong, as a stable word: safe to match on, part of the public API. */
export type ErrorCode =
  | "ESPALIER_CONFIG" // a configuration file or option is wrong
  | "ESPALIER_USAGE" // an API or command was called wrongly
  | "ESPALIER_PRIVILEGE" // the kernel refused: CAP_NET_ADMIN, CAP_NET_RAW, a device node
  | "ESPALIER_IN_USE" // a port, an interface name or a socket path is taken
  | "ESPALIER_PLATFORM" // this machine lacks something: a library, a kernel feature
  | "ESPALIER_CONTROL"; // the control socket answered with an error, or nobody listens there

export class EspalierError extends Error {
  override readonly name: string = "EspalierError";
  readonly code: ErrorCode;
  /** What to do about it, one sentence, or undefined where the message says it all. */
  readonly remedy: string | undefined;

  constructor(code: ErrorCode, message: string, options: { remedy?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.remedy = options.remedy;
  }
}
