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
  readonly #context: string | (() => string) | undefined;

  /** `context` may be made when it is read: who can provoke an error may provoke many, of which few are logged. */
  constructor(
    notify: number,
    message: string,
    options: { data?: Uint8Array; context?: string | (() => string); cause?: unknown } = {},
  ) {
    super(`${notifyName(notify)}: ${message}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.notify = notify;
    this.data = options.data;
    this.#context = options.context;
  }

  /** What was offered and what was expected, for the log; undefined where the message says it all. */
  get context(): string | undefined {
    return typeof this.#context === "function" ? this.#context() : this.#context;
  }

  /** All that there is to say. */
  get text(): string {
    const { message, context } = this;
    return context === undefined ? message : `${message} (${context})`;
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
