/** A gateway of ours as its users run it: the built command, in a namespace, with a configuration file of its own. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { stringify } from "yaml";
import { callControl } from "../../../src/control/client.ts";
import type { ConnectionReport, GatewayStatus } from "../../../src/control/status.ts";
import type { Namespace } from "./namespaces.ts";
import { MAIN } from "./requirements.ts";
import { type Background, type Outcome, PATIENCE, until } from "./run.ts";
import { show, type TestBed, type Witness } from "./test-bed.ts";

/** A configuration, but for the control socket: the gateway here has its own. */
export type Configuration = Readonly<Record<string, unknown>>;

const NODE = process.execPath;
let count = 0;

export class Espalier implements Witness {
  readonly name: string;
  readonly configFile: string;
  readonly controlSocket: string;
  readonly #space: Namespace;
  readonly #process: Background;

  /** `node`: options of Node. */
  constructor(bed: TestBed, space: Namespace, configuration: Configuration, node: readonly string[] = []) {
    const directory = join(bed.directory, `espalier-${count++}`);
    mkdirSync(directory);
    this.name = `espalier in ${space.name}`;
    this.configFile = join(directory, "gateway.yaml");
    this.controlSocket = join(directory, "control.sock");
    this.#space = space;
    writeFileSync(this.configFile, stringify({ control: this.controlSocket, ...configuration }), { mode: 0o600 });
    this.#process = space.background([NODE, ...node, MAIN, "run", "-c", this.configFile], join(directory, "log"));
    bed.watch(this);
    bed.defer(async () => {
      bed.forget(this);
      await this.end();
    });
  }

  /** Started, and answering at its control socket. */
  static async start(
    bed: TestBed,
    space: Namespace,
    configuration: Configuration,
    node: readonly string[] = [],
  ): Promise<Espalier> {
    const gateway = new Espalier(bed, space, configuration, node);
    await until("the gateway answers at its control socket", () => {
      if (!gateway.isRunning) throw new Error(`the gateway ended:\n${gateway.log}`);
      return gateway.status().catch(() => undefined);
    });
    return gateway;
  }

  /** The same for one test alone: ended with it, whatever became of it. */
  static async startForTest(bed: TestBed, space: Namespace, configuration: Configuration): Promise<Espalier> {
    const gateway = await Espalier.start(bed, space, configuration);
    onTestFinished(async ({ task }) => {
      await gateway.end();
      bed.forget(gateway);
      if (task.result?.state === "fail") show(gateway);
    });
    return gateway;
  }

  get pid(): number {
    return this.#process.pid;
  }

  get isRunning(): boolean {
    return this.#process.isRunning;
  }

  get log(): string {
    return this.#process.log;
  }

  /** Straight from the control socket: asked often, by tests that count packets, on few cores. */
  status(): Promise<GatewayStatus> {
    return callControl(this.controlSocket, "status", {});
  }

  /** What `espalier status --json` prints. */
  async printedStatus(): Promise<GatewayStatus> {
    return JSON.parse(await this.#ask("status", "--json")) as GatewayStatus;
  }

  async connection(name: string): Promise<ConnectionReport | undefined> {
    return (await this.status()).connections.find((connection) => connection.name === name);
  }

  async initiate(name: string): Promise<void> {
    await this.#ask("initiate", name);
  }

  async terminate(name: string): Promise<void> {
    await this.#ask("terminate", name);
  }

  /** Without a process to start, while packets are counted. */
  async rekey(name: string, { ike = false }: { ike?: boolean } = {}): Promise<void> {
    await callControl(this.controlSocket, "rekey", { name, ike });
  }

  /** Waits until the connection is up with a Child SA. */
  async up(name: string, patience = PATIENCE): Promise<ConnectionReport> {
    return until(
      `connection ${name} is up`,
      async () => {
        const connection = await this.connection(name);
        return connection?.state === "up" && connection.childSas.length > 0 ? connection : undefined;
      },
      patience,
    );
  }

  /** Waits until the connection is down and nothing is left of it. */
  async down(name: string, patience = PATIENCE): Promise<void> {
    await until(
      `connection ${name} is down`,
      async () => {
        const connection = await this.connection(name);
        const isGone = connection === undefined || (connection.ikeSa === null && connection.childSas.length === 0);
        return isGone ? true : undefined;
      },
      patience,
    );
  }

  /** SIGTERM, and the exit status. */
  async end(): Promise<number | null> {
    return this.#process.end("SIGTERM", PATIENCE);
  }

  async #ask(...command: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.#control(...command);
    if (status !== 0) throw new Error(`espalier ${command.join(" ")}: status ${status}\n${stdout}${stderr}`);
    return stdout;
  }

  #control(...command: readonly string[]): Promise<Outcome> {
    return this.#space.runAsync([NODE, MAIN, ...command, "--control", this.controlSocket], { mayFail: true });
  }
}

/** One run of the command to its end. */
export const espalier = (space: Namespace, ...command: readonly string[]): Promise<Outcome> =>
  space.runAsync([NODE, MAIN, ...command], { mayFail: true });
