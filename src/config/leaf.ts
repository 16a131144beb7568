/** One value of a configuration: how it is read, and what the reference says of it. */
import { z } from "zod";
import { EspalierError } from "../errors.ts";

/** What the reference tells of a key. */
export interface LeafMeta {
  /** What is expected, after "expected ": `a duration from 1s to 30d`. */
  readonly expected: string;
  readonly about: string;
}

export const metas = z.registry<LeafMeta>();

interface Leaf<T> extends LeafMeta {
  /** The value, or undefined when it is not what is expected. An EspalierError says more exactly what is wrong. */
  readonly read: (value: unknown) => T | undefined;
  /** Never shown in a complaint. */
  readonly secret?: boolean;
}

export const leaf = <T>({ expected, about, read, secret = false }: Leaf<T>) => {
  const schema = z.unknown().transform((value, context): T => {
    const result = readOrExplain(read, value);
    if (result.value !== undefined) return result.value;
    const found = secret ? kindOf(value) : shown(value);
    const message = result.why ?? `expected ${expected}, found ${found}`;
    context.issues.push({ code: "custom", message, input: undefined });
    return z.NEVER;
  });
  metas.add(schema, { expected, about });
  return schema;
};

const readOrExplain = <T>(
  read: (value: unknown) => T | undefined,
  value: unknown,
): { value?: T | undefined; why?: string } => {
  try {
    return { value: read(value) };
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    return { why: error.message };
  }
};

/** Briefly what a user wrote. */
const shown = (value: unknown): string => {
  if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean") return kindOf(value);
  const text = JSON.stringify(value);
  return text.length <= 60 ? text : `${text.slice(0, 57)}…"`;
};

export const kindOf = (value: unknown): string => {
  if (value === undefined || value === null) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "string") return value === "" ? "empty text" : "text";
  if (typeof value === "object") return "a mapping";
  return `a ${typeof value}`;
};
