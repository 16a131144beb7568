/**
 * Interfaces that several children share, and the ordered policies that say which packet is whose (RFC 4301 §4.4.1): what of
 * their settings is wrong, and what they are once all is well. Without a list each child protects what its selectors say, in
 * the order of the file.
 */
import { parseSelector } from "../ipsec/selector.ts";
import { type Complain, type Connections, childrenOf } from "./children.ts";
import type { PolicySettings, SharedInterface } from "./config.ts";
import type { ChildSettings, Settings, SharedInterfaceSettings } from "./schema.ts";

type Entry = NonNullable<SharedInterfaceSettings["policies"]>[number];

const ANY_SELECTORS: readonly string[] = ["0.0.0.0/0", "::/0"];

/** Children of an interface, by `connection/child`. */
const sharersOf = (name: string, connections: Connections) =>
  new Map<string, ChildSettings>(
    childrenOf(connections)
      .filter(([, { shares }]) => shares === name)
      .map(([path, child]) => [`${path[1]}/${path[3]}`, child] as const),
  );

export const checkShared = ({ interfaces = {}, connections = {} }: Settings, complain: Complain): void => {
  for (const [path, { shares }] of childrenOf(connections))
    if (shares !== undefined && interfaces[shares] === undefined)
      complain([...path, "shares"], `expected the name of one of interfaces, there is none called ${shares}`);
  for (const [name, { policies }] of Object.entries(interfaces)) {
    if (!/^[A-Za-z0-9_.-]{1,15}$/.test(name) || name === "." || name === "..")
      complain(
        ["interfaces", name],
        "expected an interface name of 1 to 15 letters, digits, dots, dashes or underscores",
      );
    const sharers = sharersOf(name, connections);
    if (sharers.size === 0) complain(["interfaces", name], "expected a child that shares it");
    policies?.forEach((policy, index) => {
      checkPolicy(policy, [...sharers.keys()], (key, message) =>
        complain(["interfaces", name, "policies", index, key], message),
      );
    });
    if (policies === undefined) continue;
    for (const sharer of sharers.keys())
      if (!policies.some(({ child }) => child === sharer))
        complain(
          ["interfaces", name, "policies"],
          `expected a policy that ${sharer} protects: its SAs carried nothing`,
        );
  }
};

const checkPolicy = (
  { action, child, local, remote }: Entry,
  sharers: readonly string[],
  complain: (key: string, message: string) => void,
): void => {
  if (action === undefined) complain("action", "expected one of protect, bypass, discard");
  if (action === "protect" && child === undefined) complain("child", "expected the child that protects");
  if (action !== undefined && action !== "protect" && child !== undefined)
    complain("child", `expected none where the action is ${action}`);
  if (child !== undefined && action === "protect" && !sharers.includes(child))
    complain("child", `expected a child that shares the interface (${sharers.join(", ") || "there is none"})`);
  if (local === undefined || remote === undefined) return;
  const families = new Set(local.map(familyOf));
  if (!remote.some((text) => families.has(familyOf(text))))
    complain("remote", "expected a selector of a family that local has too");
};

/** Octets of its addresses. */
const familyOf = (text: string): number | undefined => parseSelector(text)?.first.length;

/** What goes past the routes into interfaces needs a mark by which it is known. */
export const checkMark = ({ interfaces = {}, connections = {}, mark }: Settings, complain: Complain): void => {
  for (const [path, { mode }] of childrenOf(connections)) {
    if (mode !== "transport") continue;
    if (mark === 0)
      complain(
        [...path, "mode"],
        "expected tunnel where no mark is set: ESP to a host would be routed as what it protects",
      );
    if (connections[path[1]]?.encap === "force")
      complain([...path, "mode"], "expected tunnel where encap is force: transport mode does not go in UDP");
  }
  if (mark !== 0) return;
  for (const [name, { policies }] of Object.entries(interfaces))
    policies?.forEach(({ action }, index) => {
      if (action === "bypass")
        complain(
          ["interfaces", name, "policies", index, "action"],
          "expected protect or discard where no mark is set: what bypasses would be routed into the interface again",
        );
    });
};

/** The rules have seen to it that every policy is whole. */
export const sharedOf = (
  name: string,
  { policies, ...device }: SharedInterfaceSettings,
  connections: Connections,
): SharedInterface => {
  const sharers = sharersOf(name, connections);
  const entries: readonly Entry[] =
    policies ?? [...sharers.keys()].map((child) => ({ action: "protect" as const, child }) as Entry);
  return {
    name,
    ...device,
    policies: entries.map(({ action = "discard", child, local, remote }): PolicySettings => {
      const protector = child === undefined ? undefined : sharers.get(child);
      const [connection = "", childName = ""] = child?.split("/") ?? [];
      return {
        action,
        child: child === undefined ? undefined : { connection, name: childName },
        local: local ?? protector?.local ?? ANY_SELECTORS,
        remote: remote ?? protector?.remote ?? ANY_SELECTORS,
      };
    }),
  };
};
