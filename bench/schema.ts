/** Writes the JSON Schema of results anew, after `src/bench/result.ts` has changed: `npm run bench:schema`. */
import { writeFileSync } from "node:fs";
import { resultJsonSchema } from "../src/bench/result.ts";

writeFileSync("src/bench/result.schema.json", `${JSON.stringify(resultJsonSchema(), null, 2)}\n`);
