/**
 * Running a fixture in a network namespace of its own: a child process with interfaces that nobody else sees, gone when
 * it ends. The fixture is TypeScript, compiled once per test file to a temporary folder.
 */
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

const REPOSITORY = resolve(import.meta.dirname, "../..");
const isRoot = process.getuid?.() === 0;
/** Without root the kernel may still allow a namespace in which we are. */
const UNSHARE = isRoot ? ["-n"] : ["-Urn"];

/** Why no namespace can be made here, or undefined. */
export const netnsUnavailable = (): string | undefined => {
  try {
    execFileSync("unshare", [...UNSHARE, "sh", "-c", "test -w /dev/net/tun"], { stdio: "pipe" });
    return undefined;
  } catch (error) {
    return `needs a network namespace of its own and /dev/net/tun: ${error instanceof Error ? error.message : error}`;
  }
};

export interface Fixtures {
  /** Run a scenario of a fixture file; resolves to what it reported. A failure in it rejects with its words. */
  run(file: string, scenario: string): Promise<unknown>;
  remove(): void;
}

/** Compile the folder of fixtures (from the root of the repository) and what it imports. */
export const compileFixtures = (folder: string): Fixtures => {
  const out = mkdtempSync(join(tmpdir(), "espalier-fixtures-"));
  symlinkSync(join(REPOSITORY, "node_modules"), join(out, "node_modules"));
  writeFileSync(join(out, "package.json"), '{ "type": "module" }');
  writeFileSync(
    join(out, "tsconfig.json"),
    JSON.stringify({
      extends: join(REPOSITORY, "tsconfig.json"),
      compilerOptions: {
        noEmit: false,
        noCheck: true, // the type check is another test
        allowImportingTsExtensions: false,
        rootDir: REPOSITORY,
        outDir: out,
        typeRoots: [join(REPOSITORY, "node_modules/@types")],
      },
      include: [join(REPOSITORY, folder)],
    }),
  );
  execFileSync(join(REPOSITORY, "node_modules/.bin/tsc"), ["-p", out], { stdio: "pipe" });
  return {
    async run(file, scenario) {
      const script = join(out, folder, file.replace(/\.ts$/, ".js"));
      const { stdout } = await promisify(execFile)("unshare", [...UNSHARE, process.execPath, script, scenario], {
        timeout: 25_000,
      });
      return JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
    },
    remove: () => rmSync(out, { recursive: true, force: true }),
  };
};

/** In a fixture: run the scenario that the command line names, and report what it returns. */
export const serveScenarios = async (scenarios: Record<string, () => unknown>): Promise<void> => {
  const scenario = scenarios[process.argv[2] ?? ""];
  if (scenario === undefined) throw new RangeError(`no scenario ${process.argv[2]}`);
  process.stdout.write(`${JSON.stringify(await scenario())}\n`);
};

/** In a fixture: the code of the error that `action` throws, or "none". */
export const codeOf = (action: () => unknown): string => {
  try {
    action();
    return "none";
  } catch (error) {
    return error instanceof Error && "code" in error ? String(error.code) : String(error);
  }
};
