/**
 * What `espalier bench esp` is measured beside: the same cipher on packets of the same sizes without any of espalier. For
 * the engine ipsec-mb a loop in C, in turns with the row; for openssl the `openssl speed` of the program that is there.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createCipheriv, createHmac } from "node:crypto";
import { createInterface } from "node:readline";
import { reasonOf } from "../crypto/engines/ffi.ts";
import { HASH } from "../crypto/engines/ipsec-mb-layout.ts";
import { ESN_AAD, ESP_HEADER } from "../crypto/esp-inputs.ts";
import { isClear, isHmac, type Suite } from "../crypto/suites.ts";
import { outboundRoom } from "../dataplane/arena.ts";
import { textLengthFor } from "../ipsec/esp.ts";
import { buildCeiling } from "./ceiling-build.ts";
import type { EspTask } from "./esp-rows.ts";
import { IMIX, IMIX_SIZES } from "./inner-packets.ts";
import { hasProgram } from "./processes.ts";

export interface Ceiling {
  /** Who sets it. */
  readonly name: string;
  /** Packets a second of all threads, measured for about so many ms now. */
  measure(ms: number): Promise<number>;
  close(): void;
}

/** A row of packets of one size. */
type OneSize = EspTask & { readonly size: number };

/** The ceiling of a row, or in an Error why it has none. */
export const ceilingOf = async (task: EspTask): Promise<Ceiling | Error> => {
  const { size } = task;
  return size === IMIX ? ceilingOfMix(task) : ceilingOfSize({ ...task, size });
};

const ceilingOfSize = async (task: OneSize): Promise<Ceiling | Error> => {
  if (task.engine === "ipsec-mb") return cLoops(task);
  if (task.engine === "openssl") return opensslSpeed(task);
  return new Error(`there is nothing to measure the engine ${task.engine} beside`);
};

/** The sizes of a mix are measured one by one: its packets take the mean of their times. */
const ceilingOfMix = async (task: EspTask): Promise<Ceiling | Error> => {
  const sizes = [...new Set(IMIX_SIZES)];
  const ceilings: Ceiling[] = [];
  const close = (): void => {
    for (const ceiling of ceilings) ceiling.close();
  };
  for (const size of sizes) {
    const ceiling = await ceilingOfSize({ ...task, size });
    if (ceiling instanceof Error) {
      close();
      return ceiling;
    }
    ceilings.push(ceiling);
  }
  return {
    name: `${ceilings[0]!.name}, by size`,
    close,
    measure: async (ms) => {
      const share = sizes.map((size) => IMIX_SIZES.filter((of) => of === size).length / IMIX_SIZES.length);
      let seconds = 0; // of one packet
      for (const [i, ceiling] of ceilings.entries()) seconds += share[i]! / (await ceiling.measure(ms / sizes.length));
      return 1 / seconds;
    },
  };
};

const HASH_OF = {
  "hmac-sha1": HASH.HMAC_SHA_1,
  "hmac-sha256": HASH.HMAC_SHA_256,
  "hmac-sha384": HASH.HMAC_SHA_384,
  "hmac-sha512": HASH.HMAC_SHA_512,
} as const;

/** Undefined where the C loops have nothing for the suite. */
const hashOf = (suite: Suite): number | undefined => {
  if (suite.encryptionKeyLength === 24) return undefined;
  if (suite.cipher === "aes-cbc" && suite.mac !== undefined && isHmac(suite.mac)) return HASH_OF[suite.mac];
  if (suite.mac !== undefined || suite.icvLength !== 16 || isClear(suite) || suite.cipher === "aes-ccm")
    return undefined;
  return suite.cipher === "chacha20-poly1305" ? HASH.CHACHA20_POLY1305 : HASH.GMAC;
};

const cLoops = async ({ suite, direction, size, workers, sas, train, batch }: OneSize): Promise<Ceiling | Error> => {
  const hash = hashOf(suite);
  if (hash === undefined) return new Error(`there is no C loop for ${suite.name}`);
  const program = buildCeiling();
  if (program instanceof Error) return program;
  const text = textLengthFor(size, suite.alignment);
  const stride = outboundRoom(size); // what packets on their way out take of the arena
  const numbers = [suite.encryptionKeyLength, hash, suite.icvLength, suite.ivLength, text, ESN_AAD, stride];
  const words = [direction, suite.cipher, ...numbers, batch, sas, train].map(String);
  const loops = Array.from({ length: workers }, () => new Loop(program, words));
  const close = (): void => {
    for (const loop of loops) loop.close();
  };
  try {
    // Equality before timing.
    for (const sealed of await Promise.all(loops.map((loop) => loop.ask("check"))))
      if (sealed !== knownPacket(suite, text)) throw new Error(`the C loop seals ${suite.name} otherwise`);
  } catch (error) {
    close();
    return new Error(reasonOf(error));
  }
  return {
    name: "libIPSec_MB in C",
    close,
    measure: async (ms) => {
      const answers = await Promise.all(loops.map((loop) => loop.ask(`measure ${Math.max(1, Math.round(ms))}`)));
      return answers.reduce((sum, answer) => {
        const [packets = 0, ns = 1] = answer.split(" ").map(Number);
        return sum + (packets / ns) * 1e9;
      }, 0);
    },
  };
};

/** One process that answers a line with a line. */
class Loop {
  readonly #child: ChildProcess;
  readonly #waiting: { resolve: (line: string) => void; reject: (reason: Error) => void }[] = [];
  #complaint = "";

  constructor(program: string, words: readonly string[]) {
    this.#child = spawn(program, words, { stdio: ["pipe", "pipe", "pipe"] });
    this.#child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.#complaint += text;
    });
    createInterface({ input: this.#child.stdout! }).on("line", (line) => this.#waiting.shift()?.resolve(line));
    const end = (reason: string): void => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error(reason));
    };
    this.#child.once("error", (error) => end(error.message));
    this.#child.once("close", () => end(`the C loop ended: ${this.#complaint.trim()}`));
    this.#child.stdin!.on("error", (error) => end(error.message));
  }

  ask(line: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#child.stdin!.write(`${line}\n`);
    });
  }

  close(): void {
    this.#child.stdin!.end();
    this.#child.kill();
  }
}

/** The first packet of the C loop as node:crypto seals it, from the first octet of the text, in hex. */
const knownPacket = (suite: Suite, textLength: number): string => {
  const octets = (length: number, octet: (i: number) => number): Buffer =>
    Buffer.from(Uint8Array.from({ length }, (_, i) => octet(i)));
  const head = ESP_HEADER + suite.ivLength;
  const packet = octets(head + textLength, (i) => 13 * i + 5);
  const text = packet.subarray(head);
  const key = octets(suite.encryptionKeyLength, (i) => i);
  const aes = `aes-${suite.encryptionKeyLength * 8}` as const;
  if (suite.mac === undefined) {
    const nonce = octets(12, (i) => 3 * i + 1);
    const cipher =
      suite.cipher === "chacha20-poly1305"
        ? createCipheriv("chacha20-poly1305", key, nonce, { authTagLength: suite.icvLength })
        : createCipheriv(`${aes}-gcm` as "aes-256-gcm", key, nonce);
    cipher.setAAD(packet.subarray(0, ESN_AAD), { plaintextLength: textLength });
    return Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()]).toString("hex");
  }
  const cipher = createCipheriv(`${aes}-cbc`, key, packet.subarray(ESP_HEADER, head)).setAutoPadding(false);
  const sealed = Buffer.concat([cipher.update(text), cipher.final()]);
  const hmac = createHmac(
    suite.mac.slice("hmac-".length),
    octets(suite.integrityKeyLength, (i) => 128 + i),
  );
  const icv = hmac.update(packet.subarray(0, head)).update(sealed).digest().subarray(0, suite.icvLength);
  return Buffer.concat([sealed, icv]).toString("hex");
};

const opensslSpeed = async ({ suite, direction, size, workers }: OneSize): Promise<Ceiling | Error> => {
  if (!hasProgram("openssl")) return new Error("there is no openssl program");
  if (suite.mac !== undefined) return new Error("openssl speed has no encryption and HMAC in one");
  if (suite.cipher !== "aes-gcm" && suite.cipher !== "chacha20-poly1305")
    return new Error(`openssl speed is not asked for ${suite.name}`);
  const bytes = textLengthFor(size, suite.alignment);
  const cipher = suite.cipher === "chacha20-poly1305" ? suite.cipher : `aes-${suite.encryptionKeyLength * 8}-gcm`;
  const version = execFileSync("openssl", ["version"], { encoding: "utf8" }).split(" ", 2).join(" ");
  let found: number | undefined; // its clock counts whole seconds: once a row is enough
  return {
    name: `openssl speed of ${version}`,
    close: () => {},
    measure: async () => {
      found ??= await speed(cipher, bytes, direction === "open", workers);
      return found;
    },
  };
};

/** Packets a second of so many processes, which share the processors as as many threads do. */
const speed = async (cipher: string, bytes: number, decrypt: boolean, processes: number): Promise<number> => {
  const words = ["speed", "-elapsed", "-mr", "-seconds", "1", "-bytes", `${bytes}`];
  if (processes > 1) words.push("-multi", `${processes}`);
  if (decrypt) words.push("-decrypt");
  const child = spawn("openssl", [...words, "-evp", cipher], { stdio: ["ignore", "pipe", "ignore"] });
  let out = "";
  for await (const text of child.stdout.setEncoding("utf8")) out += text;
  const rate = /^\+F:\d+:[^:]+:([\d.]+)$/m.exec(out)?.[1]; // of several their sum
  if (rate === undefined) throw new Error(`openssl speed of ${cipher} said nothing`);
  return Number(rate) / bytes;
};
