/**
 * Several pairs of SAs for one child, one for each resource that is to carry its packets, RFC 9611. The first pair is the
 * fallback, resource 0. Each end numbers its resources by itself; what the other calls a pair is for logs alone (§4).
 *
 *   HDR, SK {N(SA_RESOURCE_INFO), SA, Ni, [KEi,] TSi, TSr} -->
 *                                                          <-- HDR, SK {N(SA_RESOURCE_INFO), SA, Nr, [KEr,] TSi, TSr}
 *                                                          <-- HDR, SK {N(TS_MAX_QUEUE)}
 *
 * Further pairs are asked for only when the peer has used the notification for this child: others are free to take a second
 * pair for the successor of the first.
 */
import type { ChildSa } from "./child-sa.ts";
import { samePeer } from "./children.ts";
import type { ChildConfig } from "./connection.ts";
import { IkeError } from "./ike-error.ts";
import type { IkeSa } from "./ike-sa.ts";
import type { Payload } from "./message.ts";
import { Notify } from "./notify.ts";
import { hasNotify, notifyPayload } from "./payloads.ts";

/** SA_RESOURCE_INFO for a child that may have several pairs: without data for the fallback, else our number (§5.1). */
export const resourcePayloads = ({ sas }: ChildConfig, resource: number): Payload[] => {
  if (sas === 1) return [];
  return [notifyPayload(Notify.SA_RESOURCE_INFO, resource === 0 ? undefined : resourceId(resource))];
};

const resourceId = (resource: number): Uint8Array => {
  const octets = new Uint8Array(4);
  new DataView(octets.buffer).setUint32(0, resource);
  return octets;
};

/** The peer's message made a pair of this child: does it know of resources? */
export const noteResources = (sa: IkeSa, { name, sas }: ChildConfig, payloads: readonly Payload[]): void => {
  if (sas > 1 && hasNotify(payloads, Notify.SA_RESOURCE_INFO)) sa.resources.welcomes(name);
};

/** Pairs of a child on this IKE SA that carry traffic. */
export const livePairs = (sa: IkeSa, child: ChildConfig): ChildSa[] =>
  [...sa.children.values()].filter(({ config, isLive }) => config === child && isLive);

/** Pairs that the peer may count against its limit: those that we are deleting, too. */
export const countedPairs = (sa: IkeSa, child: ChildConfig): number =>
  [...sa.children.values()].filter(({ config }) => config === child).length;

/** Whether a pair may be asked for on this IKE SA: the first one always, others where the peer takes them. */
export const mayAskFor = (sa: IkeSa, child: ChildConfig, resource: number): boolean => {
  const pairs = livePairs(sa, child).length;
  return pairs === 0 ? resource === 0 : sa.resources.takesMore(child.name, pairs);
};

/**
 * The resource for a pair that the peer asks for as one of several: the lowest without one. Any other pair is a duplicate
 * of the fallback, which a peer is free to make (RFC 7296 §2.8). Throws IkeError TS_MAX_QUEUE.
 */
export const resourceFor = (sa: IkeSa, child: ChildConfig, isOneOfSeveral: boolean): number => {
  if (!isOneOfSeveral) return 0;
  const resource = freeResource(sa, child);
  if (resource === undefined) throw noMore(child);
  return resource;
};

/** Pairs that a peer may have beyond twice those that are configured, for each of its IKE SAs. */
const SPARE = 64;

/** Pairs that the connection is to have. */
export const configuredPairs = ({ peering }: IkeSa): number =>
  peering?.config.children.reduce((sum, { sas }) => sum + sas, 0) ?? 0;

/** Whether the peer has made so many pairs that it gets no more: the room is that of all peers. */
export const isFull = (sa: IkeSa): boolean => {
  const all = samePeer(sa);
  const pairs = all.reduce((sum, { children }) => sum + children.size, 0);
  return pairs >= SPARE + 2 * configuredPairs(sa) * all.length;
};

/** There is no SPI. Never NO_ADDITIONAL_SAS for a further pair: a peer would take it for all its children (RFC 9611 §6). */
export const noRoom = (sa: IkeSa, child: ChildConfig, isOneOfSeveral: boolean): IkeError =>
  isOneOfSeveral && livePairs(sa, child).length > 0
    ? noMore(child)
    : new IkeError(Notify.NO_ADDITIONAL_SAS, "no room for another Child SA");

const noMore = ({ name, sas }: ChildConfig): IkeError =>
  new IkeError(Notify.TS_MAX_QUEUE, `child ${name} has as many pairs as it may: ${sas}`);

/** One that we are asking for ourselves at this moment comes last: of the two, the nonces decide. */
const freeResource = (sa: IkeSa, child: ChildConfig): number | undefined => {
  const taken = new Set(livePairs(sa, child).map(({ resource }) => resource));
  const { task } = sa.requests;
  const asked = task?.kind === "create-child-sa" && task.childName === child.name ? task.resource : undefined;
  const free = Array.from({ length: child.sas }, (_, resource) => resource).filter((resource) => !taken.has(resource));
  return free.find((resource) => resource !== asked) ?? free[0];
};
