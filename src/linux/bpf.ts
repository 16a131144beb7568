/**
 * Classic BPF: programs as instructions with named jump targets, assembled to arrays of sock_filter, and attached.
 * A load beyond the packet ends a program with 0.
 */
import { SOCK_FILTER, SOCK_FPROG } from "./abi.ts";
import { systemError } from "./errno.ts";
import * as libc from "./libc.ts";
import { Memory } from "./memory.ts";
import { SO_ATTACH_FILTER, SO_ATTACH_REUSEPORT_CBPF, SOL_SOCKET } from "./socket.ts";

/** A string is a label: the target of jumps above it. A jump without a target falls through. */
export type Line = string | { readonly code: number; readonly k: number; readonly yes?: string; readonly no?: string };

const MAX_INSTRUCTIONS = 4096;

/** Octets of the packet count from where the socket's kind lets a program see it. */
export const bpf = {
  /** A = length of the packet. */
  loadLength: (): Line => ({ code: 0x80, k: 0 }),
  /** A = four octets at `at`, network order. */
  loadWord: (at: number): Line => ({ code: 0x20, k: at }),
  /** A = four octets at X + `at`. */
  loadWordPastX: (at: number): Line => ({ code: 0x40, k: at }),
  /** X = length of the IPv4 header that begins at `at`. */
  loadHeaderLengthToX: (at: number): Line => ({ code: 0xb1, k: at }),
  and: (k: number): Line => ({ code: 0x54, k }),
  modulo: (k: number): Line => ({ code: 0x94, k }),
  add: (k: number): Line => ({ code: 0x04, k }),
  ifEqual: (k: number, targets: { yes?: string; no?: string }): Line => ({ code: 0x15, k, ...targets }),
  ifAtLeast: (k: number, targets: { yes?: string; no?: string }): Line => ({ code: 0x35, k, ...targets }),
  returnValue: (k: number): Line => ({ code: 0x06, k }),
  returnA: (): Line => ({ code: 0x16, k: 0 }),
} as const;

/** A program as an array of sock_filter. Throws a RangeError for a label that is missing, behind, or too far ahead. */
export const assemble = (lines: readonly Line[]): Uint8Array => {
  const labels = new Map<string, number>();
  const instructions: Exclude<Line, string>[] = [];
  for (const line of lines) {
    if (typeof line === "string") labels.set(line, instructions.length);
    else instructions.push(line);
  }
  if (instructions.length === 0 || instructions.length > MAX_INSTRUCTIONS)
    throw new RangeError(`a program has 1 to ${MAX_INSTRUCTIONS} instructions, not ${instructions.length}`);
  const distance = (from: number, label: string | undefined): number => {
    if (label === undefined) return 0;
    const target = labels.get(label);
    const jump = target === undefined ? -1 : target - from - 1;
    if (jump < 0 || jump > 0xff || target === instructions.length) throw new RangeError(`no jump to label ${label}`);
    return jump;
  };
  const program = new Uint8Array(instructions.length * SOCK_FILTER.size);
  const view = new DataView(program.buffer);
  instructions.forEach((instruction, index) => {
    const at = index * SOCK_FILTER.size;
    if (instruction.code === 0x94 && instruction.k === 0) throw new RangeError("a program divides by 0");
    view.setUint16(at + SOCK_FILTER.code, instruction.code, true);
    view.setUint8(at + SOCK_FILTER.jt, distance(index, instruction.yes));
    view.setUint8(at + SOCK_FILTER.jf, distance(index, instruction.no));
    view.setUint32(at + SOCK_FILTER.k, instruction.k, true);
  });
  return program;
};

/** The kernel copies the program: the memory may go after the call. */
const attach = (fd: number, option: number, program: Uint8Array, doing: string): void => {
  if (program.length === 0 || program.length % SOCK_FILTER.size !== 0) throw new RangeError("not a whole program");
  const memory = Memory.allocate(SOCK_FPROG.size + program.length);
  memory.bytes.set(program, SOCK_FPROG.size);
  memory.view.setUint16(SOCK_FPROG.length, program.length / SOCK_FILTER.size, true);
  memory.setWord64(SOCK_FPROG.filter, memory.at(SOCK_FPROG.size, program.length));
  const result = libc.setsockopt(fd, SOL_SOCKET, option, memory, 0, SOCK_FPROG.size);
  if (result < 0) throw systemError(result, doing, { code: "ESPALIER_PLATFORM" });
};

/** Decide which packets reach a socket: a program returns the octets to keep, 0 drops. */
export const attachFilter = (fd: number, program: Uint8Array): void =>
  attach(fd, SO_ATTACH_FILTER, program, "socket filter");

/** Decide which socket of a SO_REUSEPORT group gets a packet: a program returns the index, in order of binding. */
export const attachReuseportFilter = (fd: number, program: Uint8Array): void =>
  attach(fd, SO_ATTACH_REUSEPORT_CBPF, program, "steering of a port group");
