/** The SAs of `espalier bench esp`. */
import { randomBytes } from "node:crypto";
import type { Suite } from "../crypto/suites.ts";
import { saPath } from "../dataplane/child-sa.ts";
import { PlaneMemory } from "../dataplane/plane-memory.ts";
import { parseSelector } from "../ipsec/selector.ts";
import { INNER_NET } from "./inner-packets.ts";

export interface EspTablesOptions {
  readonly suite: Suite;
  readonly esn: boolean;
  /** Packets. */
  readonly window: number;
  /** Slots that are used, from 0 on. */
  readonly pairs: number;
}

const PATH = saPath({ local: { address: "192.0.2.1", port: 0 }, remote: { address: "192.0.2.2", port: 0 } }, -1);
const SPIS = 0x4000_0000; // an SPI's low bits are its slot

/** Every slot has an inbound SA and its other end: what the outbound SA seals, the inbound one opens. */
export const tablesOf = ({ suite, esn, window, pairs }: EspTablesOptions): PlaneMemory => {
  const tables = PlaneMemory.create(2 ** Math.ceil(Math.log2(pairs)));
  const net = [parseSelector(INNER_NET)!];
  for (let slot = 0; slot < pairs; slot++) {
    const key = randomBytes(suite.keyLength);
    const sa = { spi: SPIS + slot, suite, esn, encap: false, tunnel: 0, window, key, path: PATH };
    tables.spd.set(slot, net, net);
    tables.sad.publish(slot, sa);
    tables.sad.publish(tables.sad.outbound(slot), sa);
  }
  return tables;
};
