// HOT PATH
/** Whether a packet has all that selectors ask of it in common with the one before it: then it has its policy too. */
import type { Fields } from "../ipsec/ip.ts";

const ADDRESS_WORDS = 8;

export class FlowKey {
  readonly #addresses = new Uint32Array(ADDRESS_WORDS);
  #addressLength = 0;
  #protocol = 0;
  #sourcePort = 0;
  #destinationPort = 0;
  #isLaterFragment = false;

  /** The next packet repeats nothing. */
  forget(): void {
    this.#addressLength = 0;
  }

  /** True for a packet that is like the one before; false: now it is the one that others are compared with. */
  repeats(view: DataView, fields: Fields): boolean {
    const { addressLength, protocol, sourcePort, destinationPort, sourceAt, destinationAt } = fields;
    const words = this.#addresses;
    const each = addressLength >>> 2;
    let same =
      addressLength === this.#addressLength &&
      protocol === this.#protocol &&
      sourcePort === this.#sourcePort &&
      destinationPort === this.#destinationPort &&
      fields.isLaterFragment === this.#isLaterFragment;
    for (let i = 0; same && i < each; i++)
      same = words[i] === view.getUint32(sourceAt + i * 4) && words[each + i] === view.getUint32(destinationAt + i * 4);
    if (same) return true;
    for (let i = 0; i < each; i++) {
      words[i] = view.getUint32(sourceAt + i * 4);
      words[each + i] = view.getUint32(destinationAt + i * 4);
    }
    this.#addressLength = addressLength;
    this.#protocol = protocol;
    this.#sourcePort = sourcePort;
    this.#destinationPort = destinationPort;
    this.#isLaterFragment = fields.isLaterFragment;
    return false;
  }
}
