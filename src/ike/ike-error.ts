/**
 * A peer's mistake as IKE sees it: the error that RFC 7296 §2.21 has a notify for. It stays within src/ike: whoever reads
 * a message catches it, counts it, and answers where the RFC allows an answer.
 */
import { MalformedError } from "../bytes.ts";
import { Notify, notifyName } from "./notify.ts";

export class IkeError extends Error {
  override readonly name = "IkeError";
  /** Notify message type to answer with. */
  readonly notify: number;
  /** Notification data that belongs to it, such as the type of an unsupported critical payload. */
  readonly data: Uint8Array | undefined;
  /** What was offered and what was expected, for the log; undefined where the message says it all. */
  readonly context: string | undefined;

  constructor(notify: number, message: string, options: { data?: Uint8Array; context?: string; cause?: unknown } = {}) {
    super(`${notifyName(notify)}: ${message}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.notify = notify;
    this.data = options.data;
    this.context = options.context;
  }
}

export const invalidSyntax = (message: string): IkeError => new IkeError(Notify.INVALID_SYNTAX, message);

/** Run a parser over a peer's octets: what they break in the format becomes INVALID_SYNTAX. */
export const readingPeer = <T>(read: () => T): T => {
  try {
    return read();
  } catch (error) {
    if (error instanceof MalformedError) throw new IkeError(Notify.INVALID_SYNTAX, error.message, { cause: error });
    throw error;
  }
};
