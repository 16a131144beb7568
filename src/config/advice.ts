/** What is allowed but unwise: warnings, for `check` and for the log when the gateway starts. */
import { intersect, parseSelector } from "../ipsec/selector.ts";
import { childrenOf } from "./children.ts";
import type { Fault } from "./complaints.ts";
import { holds } from "./rules.ts";
import { ANY } from "./scalars.ts";
import type { Settings } from "./schema.ts";
import type { Path } from "./source.ts";

const MANUAL =
  "for tests and benchmarks alone: nobody is authenticated, keys stay for ever, and their counters begin anew with each start, which breaks counter mode ciphers";

export const adviceOn = ({ connections = {}, ike, mark }: Settings): Fault[] => {
  const advice: Fault[] = [];
  const { cookie_threshold: threshold, half_open } = ike;
  if (threshold >= half_open.incoming)
    advice.push({
      path: ["ike", "cookie_threshold"],
      message: `${threshold} is not below ike.half_open.incoming, ${half_open.incoming}: forged requests keep everybody out before anybody is asked for a cookie`,
    });
  for (const [name, connection] of Object.entries(connections)) {
    const { local, remote, proposals, keyring } = connection;
    const path = ["connections", name];
    if (keyring !== undefined && [connection, local, remote].some((one) => (one.psk ?? one.psk_file) !== undefined))
      advice.push({ path: [...path, "keyring"], message: "not used: the connection has keys of its own" });
    if (remote.address === ANY && remote.id === undefined)
      advice.push({
        path: [...path, "remote"],
        message: "whoever has the key may connect from anywhere under any name: set remote.id",
      });
    if (local.address === undefined && local.id === undefined)
      advice.push({
        path: [...path, "local"],
        message: "address and id both follow the route: a peer that expects a fixed id will refuse it when they change",
      });
    advice.push(...sha1(proposals, [...path, "proposals"]));
  }
  for (const [path, { proposals, remote, manual, interface: settings }] of childrenOf(connections)) {
    if (manual !== undefined) advice.push({ path: [...path, "manual"], message: MANUAL });
    advice.push(...sha1(proposals, [...path, "proposals"]));
    const peer = connections[String(path[1])]?.remote.address;
    settings?.routes.forEach((route, index) => {
      if (!remote.some((selector) => meets(selector, route)))
        advice.push({
          path: [...path, "interface", "routes", index],
          message: "no remote selector holds any of it: what takes this route is dropped",
        });
      if (mark === 0 && peer !== undefined && peer !== ANY && holds(route, peer))
        advice.push({
          path: [...path, "interface", "routes", index],
          message: `this route holds the peer ${peer} itself: without a longer route to it, its own packets would go in circles`,
        });
    });
  }
  return advice;
};

const meets = (a: string, b: string): boolean => {
  const [first, second] = [parseSelector(a), parseSelector(b)];
  return first !== undefined && second !== undefined && intersect(first, second) !== undefined;
};

/** RFC 8247 §2.3 and RFC 8221 §6: still allowed, and on its way out. */
const sha1 = (proposals: readonly string[], path: Path): Fault[] =>
  proposals.flatMap((proposal, index) =>
    /(^|-)(prf)?sha1?($|-)/.test(proposal)
      ? [{ path: [...path, index], message: `SHA-1 in ${proposal}: only for a peer that has nothing better` }]
      : [],
  );
