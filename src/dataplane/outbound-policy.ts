// HOT PATH
/**
 * Where what was read from an interface with policies goes (RFC 4301 §5.1): the first policy that selects a packet names the
 * child that protects it, or says that it is discarded or goes in the clear. A child is a tunnel without queues of its own: from
 * here on its packets are like those of any tunnel. No policy means discard; but an ICMP error that none selects goes to the
 * child that protects answers to what it quotes, if that has an SA (RFC 4301 §6.2).
 */
import { Fields, readFields, versionOfWhole } from "../ipsec/ip.ts";
import { NO_POLICY, PolicyAction } from "../ipsec/policy.ts";
import { readTriggering } from "../ipsec/triggering-packet.ts";
import { Verdict } from "../ipsec/verdict.ts";
import { MAX_PACKET } from "./arena.ts";
import { FlowKey } from "./flow-key.ts";
import type { OutboundBatch } from "./outbound.ts";
import type { PlaneMemory } from "./plane-memory.ts";
import type { PolicyList } from "./policy-memory.ts";
import type { WaitingPackets } from "./waiting-packets.ts";

export class OutboundPolicy {
  readonly #slab: Uint8Array;
  readonly #view: DataView;
  readonly #tables: PlaneMemory;
  readonly #fields = new Fields();
  /** Of the last packet that was looked up in this batch, and what was found: packets of a flow follow one another. */
  readonly #flow = new FlowKey();
  #found = NO_POLICY;
  readonly #waiting: WaitingPackets;

  constructor(slab: Uint8Array, tables: PlaneMemory, waiting: WaitingPackets) {
    this.#waiting = waiting;
    this.#slab = slab;
    this.#view = new DataView(slab.buffer, slab.byteOffset, slab.byteLength);
    this.#tables = tables;
  }

  /** Give each packet of an interface with policies to its child, or a reason why it is dropped. */
  apply(batch: OutboundBatch): void {
    const { blocks, policies, tunnels } = this.#tables;
    const waiting = this.#waiting;
    let block = -1;
    let list: PolicyList | undefined;
    for (let n = 0; n < batch.count; n++) {
      if (batch.refused[n] !== Verdict.PASS) continue;
      if (batch.tunnelBlock[n] !== block) {
        block = batch.tunnelBlock[n]!;
        list = policies.outbound(blocks.tunnelOf(block));
        this.#flow.forget();
      }
      if (list === undefined) continue;
      const at = batch.at[n]!;
      const length = batch.length[n]!;
      if (length > MAX_PACKET) {
        batch.refused[n] = Verdict.TOO_BIG;
        continue;
      }
      if (versionOfWhole(this.#view, at, length) === 0) {
        batch.refused[n] = Verdict.BAD_INNER;
        continue;
      }
      const policy = this.#find(list, at, length);
      const action = policy === NO_POLICY ? PolicyAction.DISCARD : list.action(policy);
      if (action === PolicyAction.PROTECT) {
        const child = list.tunnel(policy);
        const fallback = tunnels.fallback(child); // first: who is named has a pair already
        const slot = tunnels.current(child);
        batch.tunnelBlock[n] = blocks.tunnelOwn(child);
        batch.slot[n] = slot;
        const isUp = slot >= 0 || fallback >= 0;
        if (waiting.holds(child) || (!isUp && tunnels.want(child)))
          batch.refused[n] = waiting.add(this.#slab, at, length, child) ? Verdict.HANDOFF : Verdict.NO_SA; // counted later
      } else if (action === PolicyAction.BYPASS) batch.refused[n] = Verdict.BYPASS;
      else if (policy !== NO_POLICY) batch.refused[n] = Verdict.POLICY_DISCARD;
      else if (this.#fields.isLaterFragment) batch.refused[n] = Verdict.POLICY_FRAGMENT;
      else if (!this.#carryError(list, batch, n)) batch.refused[n] = Verdict.NO_POLICY;
    }
  }

  /** Give an ICMP error to the child of the packet that it quotes. It brings up no SA, and no other error repeats it. */
  #carryError(list: PolicyList, batch: OutboundBatch, n: number): boolean {
    const fields = this.#fields;
    if (!readTriggering(this.#view, batch.at[n]!, batch.length[n]!, fields)) return false;
    const policy = list.table.findOutbound(this.#slab, fields);
    if (policy === NO_POLICY || list.action(policy) !== PolicyAction.PROTECT) return false;
    const { blocks, tunnels } = this.#tables;
    const child = list.tunnel(policy);
    if (!tunnels.takesErrors(child)) return false;
    batch.tunnelBlock[n] = blocks.tunnelOwn(child);
    batch.slot[n] = tunnels.current(child);
    return true;
  }

  #find(list: PolicyList, at: number, length: number): number {
    const fields = this.#fields;
    readFields(this.#view, at, length, fields);
    if (!this.#flow.repeats(this.#view, fields)) this.#found = list.table.findOutbound(this.#slab, fields);
    return this.#found;
  }
}
