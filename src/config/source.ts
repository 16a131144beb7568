/** The YAML text of a configuration: its values, and the line on which each of them stands. */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  type YAMLParseError,
} from "yaml";
import type { Complaint } from "./config.ts";

export type Path = readonly PropertyKey[];

export interface Source {
  readonly value: unknown;
  /** What is wrong with the text as YAML; `value` is worth reading only when this is empty. */
  readonly complaints: readonly Complaint[];
  /** Line of the key or the list item at `path`, or of the nearest thing around it that exists. */
  lineOf(path: Path): number;
}

/** Keys whose values are text however they look: a plain `0x…`, `1234` or `yes` must not become a number. */
const TEXT_KEYS = new Set(["psk", "psk_file", "id", "name"]);

/** Errors whose words are the parser's alone. The others quote the file, and that may be a part of a key. */
const SAFE_ERRORS: ReadonlySet<string> = new Set([
  "BAD_INDENT",
  "BLOCK_AS_IMPLICIT_KEY",
  "BLOCK_IN_FLOW",
  "KEY_OVER_1024_CHARS",
  "MISSING_CHAR",
  "MULTILINE_IMPLICIT_KEY",
  "MULTIPLE_ANCHORS",
  "MULTIPLE_DOCS",
  "MULTIPLE_TAGS",
  "TAB_AS_INDENT",
]);

const inSafeWords = ({ code, message }: YAMLParseError): string =>
  SAFE_ERRORS.has(code) ? message : "what begins here cannot stand here; text with special characters needs quotes";

export const readSource = (text: string): Source => {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: false, prettyErrors: false });
  const lineAt = (offset: number): number => Math.max(1, lines.linePos(offset).line);

  // What the parser says after its first error is mostly a consequence of that.
  const [error] = [...document.errors].sort((one, other) => one.pos[0] - other.pos[0]);
  const complaints: Complaint[] = [];
  if (error !== undefined)
    complaints.push({ line: lineAt(error.pos[0]), path: "", message: `expected YAML: ${inSafeWords(error)}` });
  if (complaints.length === 0) complaints.push(...wrongKeys(document.contents, [], lineAt));
  keepText(document.contents);
  return {
    value: complaints.length === 0 ? plainValue(document, complaints) : undefined,
    complaints,
    lineOf: (path) => lineAt(offsetOf(document, path)),
  };
};

/** Aliases may ask for more memory than there is: the parser refuses by throwing. Copies, so that no two places are one. */
const plainValue = (document: Document, complaints: Complaint[]): unknown => {
  try {
    return JSON.parse(JSON.stringify(document.toJS({ maxAliasCount: 10_000 })) ?? "null");
  } catch (error) {
    if (!(error instanceof ReferenceError || error instanceof TypeError)) throw error;
    complaints.push({ line: 1, path: "", message: "expected YAML whose aliases neither multiply nor hold themselves" });
    return undefined;
  }
};

const pairs = (node: unknown): readonly Pair[] => (isMap(node) ? node.items : []);

const keyText = ({ key }: Pair): string => String(isScalar(key) ? key.value : key);

const startOf = (node: unknown): number =>
  typeof node === "object" && node !== null && "range" in node && Array.isArray(node.range) ? Number(node.range[0]) : 0;

const wrongKeys = (node: unknown, path: Path, lineAt: (offset: number) => number): Complaint[] => {
  if (isSeq(node)) return node.items.flatMap((item, index) => wrongKeys(item, [...path, index], lineAt));
  const seen = new Map<string, number>();
  return pairs(node).flatMap((pair) => {
    const key = keyText(pair);
    const here = [...path, key];
    const line = lineAt(startOf(pair.key));
    // JavaScript has a meaning of its own for it: it would vanish without a word.
    if (key === "__proto__") return [{ line, path: formatPath(here), message: "expected another name" }];
    const first = seen.get(key);
    seen.set(key, first ?? line);
    const inside = wrongKeys(pair.value, here, lineAt);
    if (first === undefined) return inside;
    return [{ line, path: formatPath(here), message: `expected once, found again: it is on line ${first}` }, ...inside];
  });
};

const keepText = (node: unknown): void => {
  if (isSeq(node)) for (const item of node.items) keepText(item);
  for (const pair of pairs(node)) {
    const { value } = pair;
    if (!isScalar(value)) keepText(value);
    else if (
      TEXT_KEYS.has(keyText(pair)) &&
      value.type === "PLAIN" &&
      value.value !== null &&
      value.source !== undefined
    )
      value.value = value.source;
  }
};

const offsetOf = (document: Document, path: Path): number => {
  let node: unknown = document.contents;
  let offset = startOf(node);
  for (const step of path) {
    const whole: unknown = isAlias(node) ? (node.resolve(document) as Node | undefined) : node;
    const pair = pairs(whole).find((candidate) => keyText(candidate) === String(step));
    const item = isSeq(whole) ? whole.items[Number(step)] : undefined;
    if (pair === undefined && item === undefined) break;
    offset = startOf(pair === undefined ? item : pair.key);
    node = pair === undefined ? item : pair.value;
  }
  return offset;
};

/** `connections.branch.children.net.local[1]`; a name that is no plain word is quoted. */
export const formatPath = (path: Path): string =>
  path.reduce<string>((text, step) => {
    if (typeof step === "number") return `${text}[${step}]`;
    return text === "" ? formatKey(step) : `${text}.${formatKey(step)}`;
  }, "");

/** A key as it may be shown: without the blank after its colon, `psk:secret` is one word, and a secret. */
export const formatKey = (key: PropertyKey): string => {
  const text = String(key);
  if (/^psk\W/i.test(text)) return '"psk:…"';
  return /^[\w-]+$/.test(text) ? text : JSON.stringify(text);
};
