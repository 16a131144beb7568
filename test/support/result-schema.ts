/** The published schema of a result, and whether something holds against it. */
import { readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";

export const published = JSON.parse(
  readFileSync(new URL("../../src/bench/result.schema.json", import.meta.url), "utf8"),
) as object;

const validate = new Ajv2020({ formats: { "date-time": true }, strict: true, allowUnionTypes: true }).compile(
  published,
);

/** What is wrong with it; undefined: nothing. */
export const complaintAbout = (result: unknown): string | undefined =>
  validate(result) ? undefined : JSON.stringify(validate.errors);
