/** Traffic through a tunnel, and what became of it: pings counted, files compared by their SHA-256. */
import { createHash, randomBytes } from "node:crypto";
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Outcome, RunOptions } from "./run.ts";

/** Where a command may be run: a namespace, or the inside of a virtual machine. */
export interface Place {
  runAsync(command: readonly string[], options?: RunOptions): Promise<Outcome>;
}

export interface PingCount {
  readonly sent: number;
  readonly received: number;
}

/**
 * `count` echo requests, one each `interval` ms; each is waited for 2 s. By fping: ping itself leaves an interval after its
 * last request, and calls lost what a busy machine answers later.
 */
export const ping = async (
  from: Place,
  to: string,
  { count = 10, interval = 10, size = 56 }: { count?: number; interval?: number; size?: number } = {},
): Promise<PingCount> => {
  const command = ["fping", "-q", "-c", `${count}`, "-p", `${interval}`, "-t", "2000", "-b", `${size}`, to];
  const { stdout, stderr } = await from.runAsync(command, { mayFail: true, timeout: count * interval + 30_000 });
  const [, sent, received] = /xmt\/rcv\/%loss = (\d+)\/(\d+)\//.exec(`${stdout}${stderr}`) ?? [];
  if (sent === undefined) throw new Error(`fping ${to}: ${stdout}${stderr}`);
  return { sent: Number(sent), received: Number(received) };
};

const BLOCK = 1_000_000;

/** A file of random octets: its name and SHA-256. */
export const makeFile = (directory: string, length: number): { file: string; sha256: string } => {
  const file = join(directory, `random-${length}`);
  const descriptor = openSync(file, "w");
  const hash = createHash("sha256");
  for (let written = 0; written < length; written += BLOCK) {
    const block = randomBytes(Math.min(BLOCK, length - written));
    hash.update(block);
    writeSync(descriptor, block);
  }
  closeSync(descriptor);
  return { file, sha256: hash.digest("hex") };
};

let lastPort = 20_000;
const PATIENCE = 120_000;

/**
 * Sends a file over TCP to `address`, which is the receiver's, to a port of its own unless one is named; gives the SHA-256 of what
 * arrived, and the seconds it took.
 */
export const transfer = async (
  file: string,
  from: Place,
  to: Place,
  address: string,
  port = ++lastPort,
): Promise<{ sha256: string; seconds: number }> => {
  const isSix = address.includes(":");
  const listen = `TCP${isSix ? 6 : 4}-LISTEN:${port},reuseaddr`;
  const connect = isSix ? `TCP6:[${address}]:${port}` : `TCP4:${address}:${port}`;
  const started = performance.now();
  const receiving = to.runAsync(
    ["bash", "-c", `timeout ${PATIENCE / 1000} socat -u -b 262144 ${listen} - | sha256sum`],
    { timeout: PATIENCE },
  );
  // The receiver may not listen yet: a refused connection is tried again.
  const sending = from.runAsync(
    ["socat", "-u", "-b", "262144", `OPEN:${file},rdonly`, `${connect},retry=50,interval=0.1,connect-timeout=10`],
    { timeout: PATIENCE },
  );
  const [received] = await Promise.all([receiving, sending]);
  return { sha256: received.stdout.slice(0, 64), seconds: (performance.now() - started) / 1000 };
};
