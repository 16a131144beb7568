/** The children of all connections, with where each stands in the file: for the rules that look at all of them. */
import type { ChildSettings, Settings } from "./schema.ts";
import type { Path } from "./source.ts";

export type Complain = (path: Path, message: string) => void;
export type Connections = NonNullable<Settings["connections"]>;

export const childrenOf = (
  connections: Connections,
): (readonly [readonly [string, string, string, string], ChildSettings])[] =>
  Object.entries(connections).flatMap(([name, { children = {} }]) =>
    Object.entries(children).map(([child, value]) => [["connections", name, "children", child], value] as const),
  );
