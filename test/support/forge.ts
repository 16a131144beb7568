/** Authentic ESP packets that no proper sender would send: any text, any sequence number, under a valid key. */
import { OP_SCRATCH, Ops } from "../../src/crypto/engine.ts";
import { noble } from "../../src/crypto/engines/noble.ts";
import type { Suite } from "../../src/crypto/suites.ts";

export interface ForgeOptions {
  readonly suite: Suite;
  readonly spi: number;
  readonly key: Uint8Array;
  readonly esn?: boolean;
}

/** Pad `payload` as a sender would, but with these as its last octets: pad length follows from the padding. */
export const trailed = (payload: Uint8Array, alignment: number, nextHeader: number): Uint8Array => {
  const text = new Uint8Array(Math.ceil((payload.length + 2) / alignment) * alignment);
  const padding = text.length - payload.length - 2;
  text.set(payload);
  for (let i = 0; i < padding; i++) text[payload.length + i] = i + 1;
  text[text.length - 2] = padding;
  text[text.length - 1] = nextHeader;
  return text;
};

/** Seal `text`, which must be aligned, as packet number `seq`. Returns SPI to ICV. */
export const forge = ({ suite, spi, key, esn = false }: ForgeOptions, seq: number, text: Uint8Array): Uint8Array => {
  const head = OP_SCRATCH;
  const textAt = head + 8 + suite.ivLength;
  const end = textAt + text.length + suite.icvLength;
  const slab = new Uint8Array(new SharedArrayBuffer(end + 256));
  const view = new DataView(slab.buffer);
  view.setUint32(head, spi);
  view.setUint32(head + 4, seq % 2 ** 32);
  view.setUint32(head + 8 + suite.ivLength - 4, seq % 2 ** 32);
  slab.set(text, textAt);
  const engine = noble.open(slab, 1);
  const ops = new Ops(slab, 0, 1);
  ops.count = 1;
  ops.keys[0] = engine.expand(suite, key, esn).handle;
  ops.headAt[0] = head;
  ops.textAt[0] = textAt;
  ops.textLength[0] = text.length;
  ops.seqHigh[0] = Math.floor(seq / 2 ** 32);
  engine.seal(ops);
  engine.close();
  return slab.slice(head, end);
};
