/**
 * Other values for some settings of a configuration file. Everything else stays as it is, octet for octet: the YAML document
 * tells where things are, and the text is changed there.
 */
import { isMap, isScalar, type Pair, parseDocument, type YAMLMap } from "yaml";
import { EspalierError } from "../errors.ts";

export interface AppliedSettings {
  readonly workers?: number;
  readonly poll?: string;
  readonly batch?: number;
  readonly engine?: string;
  /** Pairs of SAs, for every child of every connection. */
  readonly sas?: number | "auto";
}

/** `text` from `from` to `to` becomes `by`. */
interface Edit {
  readonly from: number;
  readonly to: number;
  readonly by: string;
}

type Value = string | number;

const wrong = (message: string): never => {
  throw new EspalierError("ESPALIER_CONFIG", `no settings can be written into it: ${message}`);
};

/** The text with these settings. Throws ESPALIER_CONFIG when `text` is no YAML mapping. */
export const applySettings = (text: string, { sas, ...top }: AppliedSettings): string => {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error !== undefined) return wrong(error.message);
  const settings = Object.entries(top).filter((entry): entry is [string, Value] => entry[1] !== undefined);
  const root = document.contents;
  if (root === null) return `${text}${settings.map(([name, value]) => `${name}: ${value}\n`).join("")}`;
  if (!isMap(root)) return wrong("it is no mapping");
  const edits = settings.map(([name, value]) => edit(text, root, name, value));
  if (sas !== undefined)
    for (const connection of mapsIn(root.get("connections")))
      for (const child of mapsIn(connection.get("children"))) edits.push(edit(text, child, "sas", sas));
  return edits
    .sort((a, b) => b.from - a.from)
    .reduce((whole, { from, to, by }) => whole.slice(0, from) + by + whole.slice(to), text);
};

/** The mappings that are values of a mapping. */
const mapsIn = (node: unknown): YAMLMap[] =>
  isMap(node) ? node.items.flatMap(({ value }) => (isMap(value) ? [value] : [])) : [];

const startOf = (pair: Pair | undefined): number =>
  isScalar(pair?.key) && pair.key.range ? pair.key.range[0] : wrong("a key in it is no word");

/** The value in the place of the one that is there, else a new pair before the first one of the mapping. */
const edit = (text: string, map: YAMLMap, name: string, value: Value): Edit => {
  const there = map.get(name, true);
  if (isScalar(there) && there.range && there.range[1] > there.range[0])
    return { from: there.range[0], to: there.range[1], by: `${value}` };
  if (map.has(name)) return wrong(`${name} has no plain value`);
  if (map.flow === true) {
    const from = (map.range ?? wrong("a mapping has no place"))[0] + 1;
    return { from, to: from, by: map.items.length === 0 ? ` ${name}: ${value} ` : ` ${name}: ${value},` };
  }
  const from = startOf(map.items[0]);
  const indent = " ".repeat(from - (text.lastIndexOf("\n", from - 1) + 1));
  return { from, to: from, by: `${name}: ${value}\n${indent}` };
};
