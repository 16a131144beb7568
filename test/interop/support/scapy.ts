/** scapy as a peer of single packets: a Python process that seals and opens ESP, asked line by line. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import type { TestBed } from "./test-bed.ts";

export interface ScapySa {
  /** As in a proposal: `aes256gcm16`. */
  readonly suite: string;
  readonly spi: number;
  /** In the order of KEYMAT. */
  readonly key: Uint8Array;
  readonly esn: boolean;
  /** Family of the outer header. */
  readonly outer: 4 | 6;
  /** Default tunnel. In transport mode packets are those between the outer addresses. */
  readonly mode?: "tunnel" | "transport";
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

export class Scapy {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: Interface;
  readonly #waiting: { resolve: (line: string) => void; reject: (error: Error) => void }[] = [];
  #errors = "";

  constructor(bed: TestBed) {
    this.#process = spawn("/usr/bin/python3", [join(import.meta.dirname, "scapy-esp.py")]);
    this.#lines = createInterface({ input: this.#process.stdout });
    this.#lines.on("line", (line) => this.#waiting.shift()?.resolve(line));
    this.#process.stderr.on("data", (data: Buffer) => {
      this.#errors += data.toString();
    });
    this.#process.stdin.on("error", () => undefined); // its end is told by "close"
    this.#process.once("close", () => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error(`scapy ended: ${this.#errors}`));
    });
    bed.defer(() => {
      this.#process.stdin.end();
      this.#process.kill();
    });
  }

  /** An inner packet as an ESP packet, from the SPI on. `sequence` has 64 bits with ESN. */
  seal(sa: ScapySa, sequence: number, packet: Uint8Array): Promise<Uint8Array> {
    return this.#ask("seal", sa, sequence, packet);
  }

  /** The inner packet; rejects when scapy does not believe the ICV. */
  open(sa: ScapySa, sequence: number, packet: Uint8Array): Promise<Uint8Array> {
    return this.#ask("open", sa, sequence, packet);
  }

  async #ask(op: string, sa: ScapySa, sequence: number, packet: Uint8Array): Promise<Uint8Array> {
    const answer = new Promise<string>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    const { suite, spi, key, esn, outer, mode = "tunnel" } = sa;
    const request = { op, suite, spi, key: hex(key), esn, outer, mode, sequence, packet: hex(packet) };
    this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    const { packet: result, error } = JSON.parse(await answer) as { packet?: string; error?: string };
    if (result === undefined) throw new Error(`scapy: ${error}`);
    return new Uint8Array(Buffer.from(result, "hex"));
  }
}
