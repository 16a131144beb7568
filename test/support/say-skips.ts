/** Set up for every test file: the reason that a test gives to `context.skip` goes into the report, and scripts/test prints it. */
import { beforeEach } from "vitest";

declare module "vitest" {
  interface TaskMeta {
    /** Why this test was skipped. */
    skipped?: string;
  }
}

beforeEach((context) => {
  const skip = context.skip.bind(context) as (...reason: unknown[]) => never;
  const saying = (...given: unknown[]): void => {
    const reason = given.findLast((each) => typeof each === "string");
    if (typeof reason === "string") context.task.meta.skipped ??= reason;
    skip(...given);
  };
  Object.defineProperty(context, "skip", { value: saying, configurable: true });
});
