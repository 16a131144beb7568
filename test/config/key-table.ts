/** The table of all keys, from the schema itself: for the reference, and for the test that holds the two together. */
import { z } from "zod";
import { unwrapped } from "../../src/config/complaints.ts";
import { metas } from "../../src/config/leaf.ts";
import { settings } from "../../src/config/schema.ts";

export interface KeyRow {
  readonly key: string;
  readonly expected: string;
  readonly fallback: string;
  readonly about: string;
}

const rowsOf = (schema: z.core.$ZodType, key: string, fallback = ""): KeyRow[] => {
  const inside = unwrapped(schema);
  const given = schema instanceof z.ZodPrefault ? shown(schema.def.defaultValue) : fallback;
  if (inside instanceof z.ZodObject)
    return Object.entries(inside.shape as Record<string, z.core.$ZodType>).flatMap(([name, value]) =>
      rowsOf(value, key === "" ? name : `${key}.${name}`),
    );
  if (inside instanceof z.ZodRecord) return rowsOf(inside.valueType, `${key}.NAME`);
  if (inside instanceof z.ZodArray) return rowsOf(inside.element, `${key}[]`, given);
  const meta = metas.get(inside);
  if (meta === undefined) throw new Error(`${key}: a value without a description`);
  return [{ key, expected: meta.expected, fallback: given, about: meta.about }];
};

const shown = (value: unknown): string => {
  const texts = Array.isArray(value) ? value : [value];
  return texts.length === 0 ? "none" : texts.map((text) => `\`${String(text)}\``).join(", ");
};

const cell = (text: string): string => text.replaceAll("|", "\\|");

/** Every key of a configuration: `connections.NAME.lifetime`, and `[]` behind lists. */
export const keyRows = (): KeyRow[] => rowsOf(settings, "");

/** In Markdown. Throws when a key has no description. */
export const keyTable = (): string =>
  [
    "| key | expected | default | what it is |",
    "| --- | --- | --- | --- |",
    ...keyRows().map(
      ({ key, expected, fallback, about }) => `| \`${key}\` | ${cell(expected)} | ${cell(fallback)} | ${cell(about)} |`,
    ),
  ].join("\n");
