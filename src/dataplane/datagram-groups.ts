// HOT PATH
/**
 * Whether the kernel takes groups of datagrams (GSO_UDP_L4; before Linux 6.2 it refuses them with EINVAL). Only they tell: what
 * becomes of a TCP group, which every kernel takes, says nothing of them. Once one was taken the kernel knows them for good, and
 * another that it refuses is a matter of that one. Until then a refusal is a reason to make none for some time, which
 * doubles each time: if it was a packet of some peer that the kernel did not like, the next ones are not made to suffer for ever.
 */

/** Batches without groups after the first refusal. */
const REST = 1024;
/** Doublings, at most: more batches than a gateway sees in its life. */
const MOST = 20;

export class DatagramGroups {
  #isTaken = false;
  #isRefused = false;
  #refusals = 0;
  #rest = 0;

  /** A batch begins: whether its datagrams may become groups. */
  begin(): boolean {
    if (this.#isRefused && !this.#isTaken) {
      this.#rest = REST * 2 ** this.#refusals;
      if (this.#refusals < MOST) this.#refusals++;
    }
    this.#isRefused = false;
    if (this.#rest === 0) return true;
    this.#rest--;
    return false;
  }

  /** The kernel has taken a group of datagrams. */
  taken(): void {
    this.#isTaken = true;
    this.#rest = 0;
  }

  /** It has refused one as invalid. */
  refused(): void {
    this.#isRefused = true;
  }
}
