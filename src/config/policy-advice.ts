/** What is allowed in the policies of shared interfaces, and is hardly what was meant. */
import { covers, parseSelector, type TrafficSelector } from "../ipsec/selector.ts";
import type { Fault } from "./complaints.ts";
import { sharedOf } from "./policies.ts";
import type { Settings } from "./schema.ts";

/** In longer lists entries are not held against one another: there are too many pairs. */
const MOST_COMPARED = 1000;

interface Entry {
  readonly local: readonly TrafficSelector[];
  readonly remote: readonly TrafficSelector[];
}

export const adviceOnPolicies = ({ interfaces = {}, connections = {} }: Settings): Fault[] =>
  Object.entries(interfaces).flatMap(([name, settings]) => {
    const shared = sharedOf(name, settings, connections);
    const entries = shared.policies.map(({ local, remote }): Entry => {
      return { local: local.flatMap(parsed), remote: remote.flatMap(parsed) };
    });
    const lost = settings.routes.flatMap((route, index) => {
      const [prefix] = parsed(route);
      const isSelected = entries.some(({ remote }) =>
        remote.some((selector) => prefix !== undefined && overlaps(selector, prefix)),
      );
      const path = ["interfaces", name, "routes", index];
      return isSelected ? [] : [{ path, message: "no policy selects any of it: what takes this route is dropped" }];
    });
    return [...lost, ...(settings.policies === undefined ? [] : hidden(entries, ["interfaces", name, "policies"]))];
  });

const parsed = (text: string): TrafficSelector[] => {
  const selector = parseSelector(text);
  return selector === undefined ? [] : [selector];
};

const overlaps = (a: TrafficSelector, b: TrafficSelector): boolean =>
  a.first.length === b.first.length && Buffer.compare(a.first, b.last) <= 0 && Buffer.compare(b.first, a.last) <= 0;

/** Entries that one before them leaves nothing to. */
const hidden = (entries: readonly Entry[], path: readonly string[]): Fault[] => {
  if (entries.length > MOST_COMPARED) return [];
  return entries.flatMap((entry, index) => {
    const before = entries.findIndex((earlier, place) => place < index && holdsAll(earlier, entry));
    const message = `never met: policy ${before + 1} of the list selects all that it does`;
    return before < 0 ? [] : [{ path: [...path, index], message }];
  });
};

const holdsAll = (wide: Entry, narrow: Entry): boolean =>
  isWithin(narrow.local, wide.local) && isWithin(narrow.remote, wide.remote);

const isWithin = (some: readonly TrafficSelector[], others: readonly TrafficSelector[]): boolean =>
  some.every((one) => others.some((other) => covers(other, one)));
