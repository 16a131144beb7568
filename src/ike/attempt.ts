/**
 * Beginning a connection: which of its peer's addresses is next, by name or as it stands, and what happens when that one
 * fails. A name is resolved anew for each attempt; the shell does it, and says `resolved`. All its addresses are tried before the
 * next peer's.
 */
import { canonicalAddress, familyOf } from "../ip-address.ts";
import { expectedPeer, keysFor } from "./connection.ts";
import { initiateIkeSa } from "./ike-sa-init.ts";
import { exactId, formatPeerId } from "./peer-id.ts";
import type { Peering } from "./peering.ts";
import type { Turn } from "./turn.ts";

/** How long the shell may take to resolve a name, and how long an attempt waits where there are too many, ms. */
const RESOLVER_PATIENCE = 15_000;
const CROWDED = 1_000;

/** Begin with the peer's next address, now or once its name is resolved. The connection must have one. */
export const attempt = (turn: Turn, peering: Peering): void => {
  const { config, host } = peering;
  turn.touch(peering);
  peering.retryAt = undefined;
  if (host === undefined) throw new RangeError(`connection ${config.name} cannot be initiated`);
  const isCrowded = turn.core.halfOpen.outgoing >= turn.core.options.halfOpenOutLimit;
  if (isCrowded || turn.core.isFull) {
    turn.count(isCrowded ? "half-open-out-limit" : "ike-sa-limit");
    peering.retryAt = turn.now + turn.jittered(CROWDED, 0.5);
    return;
  }
  const known = canonicalAddress(host) ?? peering.nextAddress();
  if (known !== undefined) {
    begin(turn, peering, known);
    return;
  }
  peering.resolving = { host, until: turn.now + RESOLVER_PATIENCE };
  turn.effects.push({ kind: "resolve", connection: config.name, host });
};

/** The shell has resolved `host`, to nothing where it could not: begin with an address of our own family. */
export const resolved = (turn: Turn, peering: Peering, host: string, addresses: readonly string[]): void => {
  if (peering.resolving?.host !== host) return; // it took too long, or nobody wants it any more
  peering.resolving = undefined;
  const family = familyOf(peering.config.local.address);
  const usable = addresses
    .map(canonicalAddress)
    .filter((address) => address !== undefined)
    .filter((address) => familyOf(address) === family);
  turn.core.peerings.learn(peering, usable);
  if (peering.wish === "no" || peering.isAlive) return;
  peering.tryAddresses(usable);
  const address = peering.nextAddress();
  if (address === undefined) unresolved(turn, peering, host);
  else begin(turn, peering, address);
};

/** Not a packet leaves without a key to prove ourselves with. */
const begin = (turn: Turn, peering: Peering, address: string): void => {
  const { config } = peering;
  if (keysFor(config, exactId(expectedPeer(config)), address) !== undefined) {
    initiateIkeSa(turn, peering, address);
    return;
  }
  peering.lastError = `the keyring has no key for ${formatPeerId(expectedPeer(config))} at ${address}`;
  turn.log("error", "key-missing", { connection: config.name }, peering.lastError);
  peering.lost(turn);
};

/** No answer, or none that is of use: this attempt has failed. */
export const unresolved = (turn: Turn, peering: Peering, host: string): void => {
  peering.resolving = undefined;
  peering.lastError = `${host} has no IPv${familyOf(peering.config.local.address)} address`;
  turn.log("warn", "peer-unresolved", { connection: peering.config.name }, peering.lastError);
  peering.lost(turn);
};
