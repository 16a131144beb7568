/** Programs that a measurement starts: each is waited for, and none outlives it. They are ended by their pid alone. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { EspalierError } from "../errors.ts";

/** Where system programs live that are not on everybody's path. */
const { PATH: ours = "/usr/bin:/bin" } = process.env;
const PATH = [ours, "/usr/sbin", "/sbin"].join(delimiter);

export const hasProgram = (name: string): boolean =>
  PATH.split(delimiter).some((directory) => existsSync(join(directory, name)));

const LARGEST_OUTPUT = 16 * 1024 * 1024;
const GRACE = 3000; // ms between being asked to end and being made to

export class Running {
  readonly pid: number;
  /** Exit status, or null when a signal ended it. */
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcess;
  readonly #command: readonly string[];
  #out = "";
  #err = "";
  #isRunning = true;

  constructor(command: readonly string[]) {
    // A group of its own: Ctrl-C at the terminal is for us, and we end the others in order.
    this.#child = spawn(command[0]!, command.slice(1), {
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
      env: { ...process.env, PATH, LC_ALL: "C" },
    });
    this.#command = command;
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#out = (this.#out + text).slice(-LARGEST_OUTPUT);
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#err = (this.#err + text).slice(-LARGEST_OUTPUT);
    });
    this.pid = this.#child.pid ?? 0;
    this.ended = new Promise((resolve) => {
      const end = (status: number | null): void => {
        this.#isRunning = false;
        resolve(status);
      };
      this.#child.once("close", end);
      this.#child.once("error", (error) => {
        this.#err += error.message;
        end(127);
      });
    });
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  get out(): string {
    return this.#out;
  }

  /** The command and the end of what it said: for who wants to know why it failed. */
  get account(): string {
    const said = `${this.#err}${this.#out}`.trim().split("\n").slice(-10).join("\n  ");
    return said === "" ? this.#command.join(" ") : `${this.#command.join(" ")}\n  ${said}`;
  }

  kill(signal: NodeJS.Signals): void {
    if (this.#isRunning) this.#child.kill(signal);
  }

  /** Asks it to end, then makes it. */
  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    this.kill(signal);
    const timer = setTimeout(() => this.kill("SIGKILL"), GRACE);
    await this.ended;
    clearTimeout(timer);
  }
}

export class Processes {
  readonly #running = new Set<Running>();
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => void this.endAll();

  /** When `signal` is aborted all that runs is ended, and nothing more begins. */
  constructor(signal?: AbortSignal) {
    this.#signal = signal;
    signal?.addEventListener("abort", this.#onAbort);
  }

  /** Throws the signal's reason when it is aborted. */
  proceed(): void {
    this.#signal?.throwIfAborted();
  }

  start(command: readonly string[]): Running {
    this.proceed();
    const running = new Running(command);
    this.#running.add(running);
    void running.ended.then(() => this.#running.delete(running));
    return running;
  }

  /** Runs a program to its end, `timeout` ms at most, and gives what it printed; rejects when its status is not 0. */
  async run(command: readonly string[], timeout = 20_000): Promise<string> {
    const running = this.start(command);
    const timer = setTimeout(() => running.kill("SIGKILL"), timeout);
    const status = await running.ended;
    clearTimeout(timer);
    this.proceed();
    if (status !== 0) throw new EspalierError("ESPALIER_PLATFORM", `this failed: ${running.account}`);
    return running.out;
  }

  /** Waits until `look` gives something; rejects with ESPALIER_PLATFORM after `patience` ms. */
  async until<T>(what: string, look: () => Promise<T | undefined> | T | undefined, patience = 10_000): Promise<T> {
    for (const end = performance.now() + patience; ; ) {
      this.proceed();
      const found = await look();
      if (found !== undefined) return found;
      if (performance.now() >= end)
        throw new EspalierError("ESPALIER_PLATFORM", `waited ${patience / 1000} s in vain: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** For the last time: the signal forgets them, as there may be many after one another that share it. */
  async endAll(): Promise<void> {
    this.#signal?.removeEventListener("abort", this.#onAbort);
    await Promise.all([...this.#running].map((running) => running.end()));
  }
}
