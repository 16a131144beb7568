/**
 * What the tests of one file share: made once before them, removed after them in the reverse order, skipped with its reason
 * where the machine lacks something. When a test fails, the logs of all that takes part are shown.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, onTestFailed } from "vitest";
import { missing, type Requirement } from "./requirements.ts";

/** Something with a log that explains a failure. */
export interface Witness {
  readonly name: string;
  readonly log: string;
}

const LOG_LINES = 60;

export class TestBed {
  /** For files; removed at the end. */
  readonly directory = mkdtempSync(join(tmpdir(), "espalier-interop-"));
  readonly #undo: (() => void | Promise<void>)[] = [];
  readonly #witnesses = new Set<Witness>();

  /** To be done at the end, last first. */
  defer(undo: () => void | Promise<void>): void {
    this.#undo.push(undo);
  }

  /** Shows its log when a test fails. */
  watch(witness: Witness): void {
    this.#witnesses.add(witness);
  }

  forget(witness: Witness): void {
    this.#witnesses.delete(witness);
  }

  show(): void {
    for (const { name, log } of this.#witnesses)
      console.error(`--- ${name} ---\n${log.trimEnd().split("\n").slice(-LOG_LINES).join("\n")}`);
  }

  async remove(): Promise<void> {
    const errors: unknown[] = [];
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) {
      try {
        await undo();
      } catch (error) {
        errors.push(error); // what else was made must go as well
      }
    }
    rmSync(this.directory, { recursive: true, force: true });
    if (errors.length > 0) throw new AggregateError(errors, "the test bed was not removed cleanly");
  }
}

/** Registers the making and removing of what the tests of a file or suite share; the function returned gives it to them. */
export const testBed = <T>(
  requirements: readonly Requirement[],
  make: (bed: TestBed) => T | Promise<T>,
): (() => T & { readonly bed: TestBed }) => {
  const lacking = missing(...requirements);
  let made: (T & { readonly bed: TestBed }) | undefined;
  let bed: TestBed | undefined;
  beforeAll(async () => {
    if (lacking !== undefined) return;
    bed = new TestBed();
    try {
      made = Object.assign((await make(bed)) as object, { bed }) as T & { readonly bed: TestBed };
    } catch (error) {
      bed.show();
      throw error;
    }
  });
  beforeEach((context) => {
    if (lacking !== undefined) {
      context.task.meta.skipped = lacking;
      context.skip(lacking);
    }
    onTestFailed(() => bed?.show());
  });
  afterAll(async () => {
    await bed?.remove();
  });
  return () => made!;
};
