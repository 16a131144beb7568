/**
 * The C loops of bench/ceiling, compiled when there is a compiler and their source: they are in the repository and not in
 * the package. Offsets into libIPSec_MB's structures are given to the compiler, so its headers are not needed.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { reasonOf } from "../crypto/engines/ffi.ts";
import {
  CIPHER_MODE,
  DIRECTION,
  HASH,
  JOB,
  KEY_MEMORY,
  KNOWN_VERSION,
  MGR,
  ORDER,
} from "../crypto/engines/ipsec-mb-layout.ts";
import { hasProgram } from "./processes.ts";

const ROOT = new URL("../../", import.meta.url);
const SOURCE = fileURLToPath(new URL("bench/ceiling/ipsec-mb.c", ROOT));
const CACHE = fileURLToPath(new URL("node_modules/.cache/ceiling/", ROOT));
const FLAGS = ["-O2", "-std=gnu11", "-Wall", "-Wextra"];

/** Functions of IMB_MGR that the C loops call and the engine does not. */
const DIRECT = {
  GET_NEXT_JOB: 64,
  SUBMIT_JOB: 72,
  GET_COMPLETED_JOB: 88,
  FLUSH_JOB: 96,
  GCM128_ENC: 256,
  GCM256_ENC: 272,
  GCM128_DEC: 280,
  GCM256_DEC: 296,
} as const;

const defines = (): string[] => [
  `-DKNOWN_VERSION=${KNOWN_VERSION}`,
  ...Object.entries({ MGR: { ...MGR, ...DIRECT }, JOB, CIPHER_MODE, HASH, DIRECTION, ORDER, KEY_MEMORY }).flatMap(
    ([group, members]) => Object.entries(members).map(([name, value]) => `-D${group}_${name}=${value}`),
  ),
];

/** The program's path, or in an Error why there is none. */
export const buildCeiling = (): string | Error => {
  if (!existsSync(SOURCE)) return new Error("the source of the C loops is in the repository alone");
  const compiler = ["gcc", "cc", "clang"].find(hasProgram);
  if (compiler === undefined) return new Error("there is no C compiler");
  const words = [...FLAGS, ...defines()];
  const hash = createHash("sha256")
    .update(readFileSync(SOURCE))
    .update(`${compiler} ${words.join(" ")}`);
  const program = `${CACHE}ipsec-mb-${hash.digest("hex").slice(0, 16)}`;
  if (existsSync(program)) return program;
  const unfinished = `${program}.${process.pid}`;
  try {
    mkdirSync(CACHE, { recursive: true });
    execFileSync(compiler, [...words, "-o", unfinished, SOURCE, "-ldl"], { stdio: "pipe" });
    renameSync(unfinished, program);
    return program;
  } catch (error) {
    return new Error(`the C loops do not compile: ${reasonOf(error)}`);
  }
};
