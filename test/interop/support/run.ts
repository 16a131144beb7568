/** Programs, run to their end or kept in the background with a log. Ended by their pid alone. */
import { type ChildProcess, type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** A status other than 0 is an answer, not an error. */
  readonly mayFail?: boolean;
  readonly input?: string;
  /** ms; default 60 s. */
  readonly timeout?: number;
}

const LARGEST_OUTPUT = 64 * 1024 * 1024;

const failure = (command: readonly string[], outcome: Outcome): Error =>
  new Error(`${command.join(" ")}: status ${outcome.status}\n${outcome.stdout}${outcome.stderr}`);

/** Runs a program to its end; throws when it fails, unless it may. */
export const run = (command: readonly string[], options: RunOptions = {}): Outcome => {
  const result: SpawnSyncReturns<string> = spawnSync(command[0]!, command.slice(1), {
    encoding: "utf8",
    input: options.input ?? "",
    timeout: options.timeout ?? 60_000,
    maxBuffer: LARGEST_OUTPUT,
  });
  if (result.error !== undefined && options.mayFail !== true) throw result.error;
  const outcome = { status: result.status, stdout: result.stdout ?? "", stderr: result.stderr ?? "" };
  if (outcome.status !== 0 && options.mayFail !== true) throw failure(command, outcome);
  return outcome;
};

/** The same without blocking this thread, so that several may run at once. */
export const runAsync = async (command: readonly string[], options: RunOptions = {}): Promise<Outcome> => {
  const child = spawn(command[0]!, command.slice(1), { stdio: ["pipe", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  child.stdin.on("error", () => undefined); // a program may end without having read its input
  child.stdin.end(options.input ?? "");
  const timer = setTimeout(() => child.kill("SIGKILL"), options.timeout ?? 60_000);
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  clearTimeout(timer);
  const outcome = { status, stdout, stderr };
  if (status !== 0 && options.mayFail !== true) throw failure(command, outcome);
  return outcome;
};

/** A program that runs until it is ended. Its output goes to a file. */
export class Background {
  readonly pid: number;
  readonly logFile: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  #status: number | null | undefined;

  constructor(command: readonly string[], logFile: string) {
    const log = openSync(logFile, "a");
    this.#child = spawn(command[0]!, command.slice(1), { stdio: ["ignore", log, log] });
    closeSync(log);
    this.logFile = logFile;
    this.pid = this.#child.pid ?? 0;
    this.#ended = new Promise((resolve) => {
      const end = (status: number | null): void => {
        this.#status = status;
        resolve(status);
      };
      this.#child.once("exit", end);
      this.#child.once("error", () => end(127));
    });
  }

  get isRunning(): boolean {
    return this.#status === undefined;
  }

  get log(): string {
    return readFileSync(this.logFile, "utf8");
  }

  /** Its exit status, or null when a signal ended it. */
  ended(): Promise<number | null> {
    return this.#ended;
  }

  /** Asks it to end, and makes it end when it does not within `patience` ms. */
  async end(signal: NodeJS.Signals = "SIGTERM", patience = 10_000): Promise<number | null> {
    if (!this.isRunning) return this.#ended;
    this.#child.kill(signal);
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), patience);
    const status = await this.#ended;
    clearTimeout(timer);
    return status;
  }
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** How long something is waited for that does come, in ms: machines differ, and may be busy. */
export const PATIENCE = 60_000;

/** Waits until `look` gives something, neither undefined nor false; throws with `what` when it does not in time (ms). */
export const until = async <T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  patience = PATIENCE,
  pause = 100,
): Promise<T> => {
  for (const end = performance.now() + patience; ; ) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() >= end) throw new Error(`waited ${patience} ms in vain: ${what}`);
    await sleep(pause);
  }
};
