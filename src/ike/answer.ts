/** What a handler of the peer's request gives back. */
import type { Payload } from "./message.ts";

/** The payloads of an answer, and what is to happen once it was sent. */
export interface Answer {
  readonly payloads: readonly Payload[];
  readonly after?: () => void;
}
