/**
 * The last answers of IKE SAs that are gone: a peer whose Delete or failed IKE_AUTH we answered, and who missed the
 * answer, sends the request again and must hear the same octets (RFC 7296 §2.1). Holds no keys.
 */
import { equalBytes } from "../bytes.ts";
import type { Outgoing } from "./outgoing.ts";

interface LastAnswer {
  readonly request: Uint8Array;
  readonly answer: Pick<Outgoing, "datagrams">;
  readonly until: number;
}

/** A little longer than a requester keeps trying. */
const KEPT = 70_000;
const MOST = 256;

export class LastAnswers {
  readonly #bySpi = new Map<string, LastAnswer>();

  keep(spi: string, request: Uint8Array, { datagrams }: Pick<Outgoing, "datagrams">, now: number): void {
    for (const [known, { until }] of this.#bySpi) {
      if (until > now && this.#bySpi.size < MOST) break; // oldest first
      this.#bySpi.delete(known);
    }
    this.#bySpi.set(spi, { request, answer: { datagrams }, until: now + KEPT });
  }

  /** The answer to this very request, or undefined. */
  find(spi: string, request: Uint8Array, now: number): Pick<Outgoing, "datagrams"> | undefined {
    const last = this.#bySpi.get(spi);
    return last !== undefined && last.until > now && equalBytes(last.request, request) ? last.answer : undefined;
  }
}
