// HOT PATH
/**
 * What the outer header says of a packet's class, of congestion and of fragmentation, and what of it the inner one gets to know (RFC 4301
 * §5.1.2, RFC 6040): a table of the tunnel gives the outer TOS by the inner one before a packet is sealed, and a mark on
 * the outer header is taken over after it was opened.
 */
import { takeCongestion, tosOf } from "../ipsec/ecn.ts";
import { Df, outerMark } from "../ipsec/outer-header.ts";
import { Verdict } from "../ipsec/verdict.ts";
import type { InboundBatch } from "./inbound.ts";
import type { OutboundBatch } from "./outbound.ts";
import type { PlaneMemory } from "./plane-memory.ts";

export class OuterTos {
  readonly #slab: Uint8Array;
  readonly #tables: PlaneMemory;

  constructor(slab: Uint8Array, tables: PlaneMemory) {
    this.#slab = slab;
    this.#tables = tables;
  }

  /** Before packets are sealed. */
  outbound(batch: OutboundBatch): void {
    const { blocks, tunnels } = this.#tables;
    const slab = this.#slab;
    let block = -1;
    let tunnel = 0;
    let df: number = Df.copy;
    for (let n = 0; n < batch.count; n++) {
      if (batch.refused[n] !== Verdict.PASS) continue;
      if (batch.tunnelBlock[n] !== block) {
        block = batch.tunnelBlock[n]!;
        tunnel = blocks.tunnelOf(block);
        df = tunnels.df(tunnel);
      }
      const at = batch.at[n]!;
      batch.mark[n] = outerMark(tunnels.outerTos(tunnel, tosOf(slab, at)), slab, at, df);
    }
  }

  /** After packets were opened. One that was marked, and whose sender does not know ECN, must go (RFC 6040 §4.2). */
  inbound(batch: InboundBatch): void {
    for (let n = 0; n < batch.count; n++) {
      if (batch.outerTos[n] === 0 || batch.verdict[n] !== Verdict.PASS) continue;
      if (!takeCongestion(this.#slab, batch.innerAt[n]!, batch.outerTos[n]!)) batch.verdict[n] = Verdict.ECN_DROP;
    }
  }
}
