/** What the schema refuses, in the words of a configuration file. */
import { z } from "zod";
import type { Complaint } from "./config.ts";
import { kindOf } from "./leaf.ts";
import { formatPath, type Path, type Source } from "./source.ts";
import { nearest } from "./suggest.ts";

type Issue = z.core.$ZodIssue;

/** One place that is wrong. */
export interface Fault {
  readonly path: Path;
  readonly message: string;
}

/** The faults that the schema finds in `value`. */
export const faultsOf = (issues: readonly Issue[], value: unknown, schema: z.ZodType): Fault[] =>
  issues.flatMap((issue) => {
    if (issue.code !== "unrecognized_keys") return [{ path: issue.path, message: wordsOf(issue, value) }];
    const known = keysAt(schema, issue.path);
    return issue.keys.map((key) => ({ path: [...issue.path, key], message: unknownKey(key, known) }));
  });

const wordsOf = (issue: Issue, value: unknown): string => {
  if (issue.code !== "invalid_type") return issue.message;
  const expected = issue.expected === "array" ? "a list" : "a mapping";
  return `expected ${expected}, found ${kindOf(at(value, issue.path))}`;
};

const unknownKey = (key: string, known: readonly string[]): string => {
  const meant = nearest(key, known);
  return meant === undefined ? `expected one of ${known.join(", ")}` : `expected a known key: did you mean ${meant}?`;
};

const at = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>(
    (inside, step) => (typeof inside === "object" && inside !== null ? Reflect.get(inside, step) : undefined),
    value,
  );

/** The keys that a mapping at `path` may have. */
const keysAt = (schema: z.ZodType, path: Path): readonly string[] => {
  const inside = path.reduce<z.core.$ZodType>((outer, step) => stepInto(unwrapped(outer), step), schema);
  const whole = unwrapped(inside);
  return whole instanceof z.ZodObject ? Object.keys(whole.shape) : [];
};

const stepInto = (schema: z.core.$ZodType, step: PropertyKey): z.core.$ZodType => {
  if (schema instanceof z.ZodObject)
    return (schema.shape as Record<string, z.core.$ZodType>)[String(step)] ?? z.never();
  if (schema instanceof z.ZodRecord) return schema.valueType;
  return schema instanceof z.ZodArray ? schema.element : z.never();
};

/** Without what makes it optional, gives it a default, or lets a single value be a list. */
export const unwrapped = (schema: z.core.$ZodType): z.core.$ZodType => {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault) return unwrapped(schema.def.innerType);
  if (schema instanceof z.ZodPipe && schema.def.out instanceof z.ZodArray) return schema.def.out;
  return schema;
};

/** `value` without what is at `paths`: what is left can still be looked at. */
export const without = (value: unknown, paths: readonly Path[]): unknown => {
  const copy = structuredClone(value);
  // Last items of lists first, so that the places of the others stay.
  for (const path of [...paths].reverse()) {
    const inside = at(copy, path.slice(0, -1));
    const last = path.at(-1);
    if (Array.isArray(inside)) inside.splice(Number(last), 1);
    else if (typeof inside === "object" && inside !== null && last !== undefined) Reflect.deleteProperty(inside, last);
  }
  return copy;
};

/** True when `path` is `other` or lies in it. */
export const isWithin = (path: Path, other: Path): boolean =>
  other.length <= path.length && other.every((step, index) => String(step) === String(path[index]));

export const locate = (faults: readonly Fault[], source: Source): Complaint[] =>
  faults
    .map(({ path, message }) => ({ line: source.lineOf(path), path: formatPath(path), message }))
    .sort((a, b) => a.line - b.line || a.path.localeCompare(b.path));
