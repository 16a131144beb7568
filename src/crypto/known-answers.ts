/**
 * Known answers: whole ESP packets whose protected form is known (`known-packets.ts`), which an engine must reproduce before
 * it is used.
 */
import { equalBytes, fromHex, wipe } from "../bytes.ts";
import { type Engine, type EngineDriver, Ops } from "./engine.ts";
import { ESP_HEADER } from "./esp-inputs.ts";
import { KNOWN_ANSWERS, type KnownAnswer } from "./known-packets.ts";
import type { Suite } from "./suites.ts";

export const knownAnswers = (suite: Suite): KnownAnswer[] =>
  KNOWN_ANSWERS.filter((known) => known.suite === suite.name);

/** What an engine is found to be: able to do these suites, or not to be used. */
export type Examination = { readonly suites: readonly Suite[] } | { readonly wrong: string };

/**
 * Have an engine seal, open and refuse the known packets of those of `suites` that it supports. Says which they are, or
 * what it got wrong. Never throws: an engine that does is wrong.
 */
export const examine = (driver: EngineDriver, suites: readonly Suite[]): Examination => {
  const ops = new Ops(new Uint8Array(new SharedArrayBuffer(1024)), 512, 1);
  let engine: Engine | undefined;
  try {
    engine = driver.open(ops.slab, ops.capacity);
    const done: Suite[] = [];
    for (const suite of suites) {
      if (!engine.supports(suite)) continue;
      const known = knownAnswers(suite);
      if (known.length === 0) return { wrong: `there is no known answer for ${suite.name}` };
      for (const answer of known) {
        const wrong = wrongAnswer(engine, ops, suite, answer);
        if (wrong !== undefined)
          return { wrong: `${suite.name}${answer.seqHigh === undefined ? "" : " with ESN"}: ${wrong}` };
      }
      done.push(suite);
    }
    return { suites: done };
  } catch (error) {
    return { wrong: `failed in its self test: ${error instanceof Error ? error.message : String(error)}` };
  } finally {
    engine?.close();
  }
};

/** The same for an engine that must do them all: what is wrong with it, or undefined. */
export const failedAnswer = (driver: EngineDriver, suites: readonly Suite[]): string | undefined => {
  const examined = examine(driver, suites);
  if ("wrong" in examined) return examined.wrong;
  const missing = suites.filter((suite) => !examined.suites.includes(suite));
  return missing.length === 0 ? undefined : `does not support ${missing.map(({ name }) => name).join(", ")}`;
};

const wrongAnswer = (engine: Engine, ops: Ops, suite: Suite, known: KnownAnswer): string | undefined => {
  const plain = fromHex(known.head + known.plaintext);
  const sealed = fromHex(known.head + known.ciphertext + known.icv);
  const rawKey = fromHex(known.key);
  const key = engine.expand(suite, rawKey, known.seqHigh !== undefined);
  wipe(rawKey);
  const { slab } = ops;
  ops.count = 1;
  ops.keys[0] = key.handle;
  ops.headAt[0] = 0;
  ops.textAt[0] = ESP_HEADER + suite.ivLength;
  ops.textLength[0] = sealed.length - suite.icvLength - ops.textAt[0];
  ops.seqHigh[0] = known.seqHigh ?? 0;

  slab.set(plain);
  engine.seal(ops);
  if (ops.ok[0] !== 1 || !equalBytes(slab.subarray(0, sealed.length), sealed)) return "a sealed packet differs";

  if (!opens(engine, ops) || !equalBytes(slab.subarray(0, plain.length), plain)) return "a good packet was not opened";

  slab.set(sealed);
  slab[sealed.length - 1] = slab[sealed.length - 1]! ^ 1;
  if (opens(engine, ops)) return "a forged packet was opened";

  engine.release(key);
  return undefined;
};

const opens = (engine: Engine, ops: Ops): boolean => {
  engine.open(ops);
  return ops.ok[0] === 1;
};
