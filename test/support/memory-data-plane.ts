/** What a data plane keeps of the Child SAs that IKE tells it about, and the SPIs it has given away. */

import type { ChildSaParams, Effect } from "../../src/ike/effect.ts";
import type { Usage } from "../../src/ike/environment.ts";

export interface Installed extends ChildSaParams {
  readonly use: "now" | "when-told";
}

/** A child's name; of what a resource beyond the first sends, with its number: `net 1`. */
export const flowOf = ({ child, resource }: Pick<ChildSaParams, "child" | "resource">): string =>
  resource === 0 ? child : `${child} ${resource}`;

export class MemoryDataPlane {
  readonly pairs = new Map<number, Installed>();
  /** `spiIn` of the pair on which packets are sent, by `flowOf`. */
  readonly sendingOn = new Map<string, number>();
  readonly reserved = new Set<number>();
  readonly packets = new Map<number, Partial<Usage>>();
  capacity = 1000;
  #next: number;

  constructor(firstSpi: number) {
    this.#next = firstSpi;
  }

  reserveSpi(): number {
    if (this.reserved.size + this.pairs.size >= this.capacity) return 0;
    this.reserved.add(this.#next);
    return this.#next++;
  }

  releaseSpi(spi: number): void {
    if (!this.reserved.delete(spi)) throw new Error(`SPI ${spi} was not reserved`);
  }

  usage(spiIn: number): Usage | undefined {
    const counted = this.packets.get(spiIn);
    if (counted === undefined) return undefined;
    const { packetsIn = 0, packetsOut = 0 } = counted; // each packet takes a sequence number
    return { packetsIn, packetsOut, bytesIn: 0, bytesOut: 0, seqIn: packetsIn, seqOut: packetsOut, ...counted };
  }

  apply(effect: Effect): void {
    if (effect.kind === "install") {
      const { child, use } = effect;
      if (!this.reserved.delete(child.spiIn)) throw new Error(`SPI ${child.spiIn} was not reserved`);
      this.pairs.set(child.spiIn, { ...child, keyIn: child.keyIn.slice(), keyOut: child.keyOut.slice(), use });
      if (use === "now") this.sendingOn.set(flowOf(child), child.spiIn);
    } else if (effect.kind === "use") {
      this.sendingOn.set(flowOf(this.#pair(effect.spiIn)), effect.spiIn);
    } else if (effect.kind === "remove") {
      const flow = flowOf(this.#pair(effect.spiIn));
      if (this.sendingOn.get(flow) === effect.spiIn) this.sendingOn.delete(flow);
      this.pairs.delete(effect.spiIn);
    } else if (effect.kind === "move") {
      this.pairs.set(effect.spiIn, { ...this.#pair(effect.spiIn), path: effect.path });
    }
  }

  /** The pair that a child's packets leave on, or those of one of its resources. */
  sending(child: string, resource = 0): Installed | undefined {
    const spiIn = this.sendingOn.get(flowOf({ child, resource }));
    return spiIn === undefined ? undefined : this.pairs.get(spiIn);
  }

  /** As `sending`, for a flow: a resource without a pair sends on the fallback, and without that on any other. */
  sendingFor(flow: string): Installed | undefined {
    const own = this.pairs.get(this.sendingOn.get(flow) ?? 0);
    if (own !== undefined) return own;
    const child = flow.replace(/ \d+$/, "");
    const others = [...this.sendingOn.values()].map((spiIn) => this.pairs.get(spiIn));
    return this.sending(child) ?? others.find((pair) => pair?.child === child);
  }

  #pair(spiIn: number): Installed {
    const pair = this.pairs.get(spiIn);
    if (pair === undefined) throw new Error(`no pair ${spiIn} is installed`);
    return pair;
  }
}
