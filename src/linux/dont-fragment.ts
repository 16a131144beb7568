// HOT PATH
/**
 * DF of the IPv4 packets that a socket sends, ip(7) IP_MTU_DISCOVER: UDP and raw alike, as the kernel writes the IP header of
 * both. It has no control message for single datagrams, so it is switched when the next ones want the other.
 *
 *   on    IP_PMTUDISC_WANT   what fits the path, as far as the kernel knows it, has DF; what does not is fragmented here
 *   off   IP_PMTUDISC_DONT   any router may fragment; what does not fit the interface is fragmented here
 *
 * IP_PMTUDISC_DO would drop what does not fit: but what is too big and comes here all the same has no other way.
 */
import * as libc from "./libc.ts";
import { Memory } from "./memory.ts";
import { IPPROTO_IP } from "./socket.ts";

const IP_MTU_DISCOVER = 10;
const IP_PMTUDISC_DONT = 0;
const IP_PMTUDISC_WANT = 1;
/** Descriptors whose state is remembered: those of a gateway are lower. Of another the kernel is told every time. */
const REMEMBERED = 4096;

export class DontFragment {
  /** By descriptor: 0 not known, 1 off, 2 on. They are never closed while a worker sends by them. */
  readonly #state = new Uint8Array(REMEMBERED);
  readonly #value = Memory.allocate(4);

  /** From now on packets of this IPv4 socket have DF, or have it not. */
  set(fd: number, on: boolean): void {
    const state = on ? 2 : 1;
    if (this.#state[fd] === state) return;
    this.#value.view.setInt32(0, on ? IP_PMTUDISC_WANT : IP_PMTUDISC_DONT, true);
    const result = libc.setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, this.#value, 0, 4);
    if (result === 0 && fd < REMEMBERED) this.#state[fd] = state;
  }
}
