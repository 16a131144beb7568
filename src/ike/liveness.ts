/** Liveness, RFC 7296 §2.4: an empty request that any node answers. */
import { LIVENESS_TRIES, type Liveness as LivenessConfig, type Retransmit } from "./connection.ts";
import { Exchange, type Payload } from "./message.ts";
import type { Task } from "./task.ts";

/** Ask whether the peer lives: any answer will do. */
export class Liveness implements Task {
  readonly kind = "liveness";
  readonly exchange = Exchange.INFORMATIONAL;
  readonly patience?: number;
  readonly plan?: Retransmit;

  constructor({ timeout, retry }: Pick<LivenessConfig, "timeout" | "retry">) {
    if (timeout !== undefined) this.patience = timeout;
    if (retry !== undefined) this.plan = { first: retry, factor: 1, tries: LIVENESS_TRIES };
  }

  request(): readonly Payload[] {
    return [];
  }

  answer(): void {
    // That it came is all there is to it.
  }

  abandon(): void {
    // Nothing was taken.
  }
}
