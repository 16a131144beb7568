// HOT PATH
/**
 * The last check on what the SAs of an interface with policies brought (RFC 4301 §5.2): its own SA let it in by the selectors
 * that were negotiated for that; here the first policy that selects it must be one that the SA's child protects. So a peer
 * cannot send through one child what only another may carry, or what a policy before it discards. An ICMP error that no policy
 * gives to its child is one of its child's if the answer to what it quotes is (RFC 4301 §6.2).
 */
import { Fields, readFields } from "../ipsec/ip.ts";
import { NO_POLICY, PolicyAction } from "../ipsec/policy.ts";
import { readTriggering } from "../ipsec/triggering-packet.ts";
import { Verdict } from "../ipsec/verdict.ts";
import { FlowKey } from "./flow-key.ts";
import type { InboundBatch } from "./inbound.ts";
import type { PlaneMemory } from "./plane-memory.ts";
import type { PolicyList } from "./policy-memory.ts";

export class InboundPolicy {
  readonly #slab: Uint8Array;
  readonly #view: DataView;
  readonly #tables: PlaneMemory;
  readonly #fields = new Fields();
  readonly #flow = new FlowKey();

  constructor(slab: Uint8Array, tables: PlaneMemory) {
    this.#slab = slab;
    this.#view = new DataView(slab.buffer, slab.byteOffset, slab.byteLength);
    this.#tables = tables;
  }

  /** Packets that were opened and let in by their SA. */
  apply(batch: InboundBatch): void {
    const { policies, sad } = this.#tables;
    const fields = this.#fields;
    let slot = -1;
    let tunnel = -1;
    let list: PolicyList | undefined;
    let verdict: number = Verdict.PASS;
    for (let n = 0; n < batch.count; n++) {
      if (batch.verdict[n] !== Verdict.PASS) continue;
      if (batch.slot[n] !== slot) {
        slot = batch.slot[n]!;
        tunnel = sad.tunnel(slot);
        list = policies.inbound(tunnel);
        this.#flow.forget();
      }
      if (list === undefined) continue;
      readFields(this.#view, batch.innerAt[n]!, batch.innerLength[n]!, fields);
      if (!this.#flow.repeats(this.#view, fields)) verdict = this.#judge(list, tunnel);
      const isRefused = verdict !== Verdict.PASS && verdict !== Verdict.POLICY_DISCARD;
      batch.verdict[n] = isRefused && this.#isErrorAboutIt(list, tunnel, batch, n) ? Verdict.PASS : verdict;
    }
  }

  /** Whether it is an ICMP error about a packet whose answers this child protects: each of a flow may quote another. */
  #isErrorAboutIt(list: PolicyList, tunnel: number, batch: InboundBatch, n: number): boolean {
    const fields = this.#fields;
    if (!this.#tables.tunnels.takesErrors(tunnel)) return false;
    if (!readTriggering(this.#view, batch.innerAt[n]!, batch.innerLength[n]!, fields)) return false;
    const policy = list.table.findInbound(this.#slab, fields);
    return policy !== NO_POLICY && list.action(policy) === PolicyAction.PROTECT && list.tunnel(policy) === tunnel;
  }

  #judge(list: PolicyList, tunnel: number): number {
    const policy = list.table.findInbound(this.#slab, this.#fields);
    if (policy === NO_POLICY) return this.#fields.isLaterFragment ? Verdict.POLICY_FRAGMENT : Verdict.NO_POLICY;
    const action = list.action(policy);
    if (action === PolicyAction.DISCARD) return Verdict.POLICY_DISCARD;
    const isItsOwn = action === PolicyAction.PROTECT && list.tunnel(policy) === tunnel;
    return isItsOwn ? Verdict.PASS : Verdict.POLICY_MISMATCH;
  }
}
