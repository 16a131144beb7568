/**
 * Set up for tests that run programs and kernels on a machine that others may be busy on: one that fails is run once more, and
 * that it had to be, with what it said the first time, goes into the report, and scripts/test prints it.
 */
import { afterEach } from "vitest";

declare module "vitest" {
  interface TaskMeta {
    /** What the first attempt failed with. */
    failedFirst?: string;
  }
}

afterEach(({ task }) => {
  const first = task.result?.errors?.[0]?.message;
  if (first !== undefined) task.meta.failedFirst ??= first.split("\n")[0] ?? first;
});
