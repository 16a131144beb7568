/** Splits a stream of octets into lines of bounded length. */
import type { Socket } from "node:net";

const NEWLINE = 0x0a;

/**
 * Calls `onLine` for each line without its newline, and `onOverflow` once when a line grows past `limit` octets, after
 * which nothing more is read from it.
 */
export const readLines = (
  socket: Socket,
  limit: number,
  onLine: (line: string) => void,
  onOverflow: () => void,
): void => {
  let parts: Buffer[] = [];
  let length = 0;
  let stopped = false;
  socket.on("data", (chunk: Buffer) => {
    for (let from = 0; !stopped && from < chunk.length; ) {
      const newline = chunk.indexOf(NEWLINE, from);
      const part = chunk.subarray(from, newline < 0 ? chunk.length : newline);
      length += part.length;
      if (length > limit) {
        stopped = true;
        parts = [];
        onOverflow();
        return;
      }
      parts.push(part);
      if (newline < 0) return;
      const line = Buffer.concat(parts).toString("utf8");
      parts = [];
      length = 0;
      from = newline + 1;
      onLine(line);
    }
  });
};
