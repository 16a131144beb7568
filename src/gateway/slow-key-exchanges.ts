/**
 * Which key exchanges take so long on this machine that they belong into other threads: measured when the gateway starts, by
 * what costs most of it, the responder's key pair and agreement in one.
 */
import { generateKeyPair, type KexMethod, kexById } from "../crypto/kex.ts";
import type { ConnectionConfig } from "../ike/connection.ts";
import { TransformType } from "../ike/proposal.ts";

/** The control thread answers nobody else for so long at most, ms. */
export const LONGEST_STALL = 5;
/** The best of so many counts: the first pays for what is computed once. */
const TRIES = 3;
/** Well below a millisecond on any machine that carries traffic: not worth measuring. */
const QUICK: ReadonlySet<string> = new Set(["x25519", "ecp256"]);

/** Transform IDs of those methods that connections may use and that take longer than `longest` ms. */
export const slowKeyExchanges = (
  connections: readonly ConnectionConfig[],
  longest = LONGEST_STALL,
  measure: (method: KexMethod) => number = measureAnswer,
): Set<number> => {
  const offered = connections.flatMap(({ proposals, children }) =>
    [...proposals, ...children.flatMap((child) => child.proposals)].flatMap(({ transforms }) =>
      transforms.flatMap(({ type, id }) => (type === TransformType.KE ? [id] : [])),
    ),
  );
  const methods = [...new Set(offered)].flatMap((id) => kexById(id) ?? []);
  return new Set(
    methods
      .filter(({ name }) => !QUICK.has(name))
      .filter((one) => measure(one) > longest)
      .map(({ id }) => id),
  );
};

/** ms of the best try. */
export const measureAnswer = (method: KexMethod): number => {
  const peer = generateKeyPair(method).publicValue;
  let best = Number.POSITIVE_INFINITY;
  for (let tries = 0; tries < TRIES; tries++) {
    const began = performance.now();
    const keyPair = generateKeyPair(method);
    keyPair.agree(peer)?.fill(0);
    keyPair.destroy();
    best = Math.min(best, performance.now() - began);
  }
  return best;
};
