/**
 * A file over several TCP streams at once, as a program of its own at each end:
 *
 *   node file-streams.mjs receive ADDRESS PORT STREAMS       listens, prints "ready", then a line for each stream
 *   node file-streams.mjs send ADDRESS PORT STREAMS FILE OCTETS
 *
 * Stream k carries the k-th part of the first OCTETS of the file, behind one octet that says k. Each end prints
 * "k octets sha256" of what it sent or received, in the order of k.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { connect, createServer } from "node:net";

const [, , role, address, port, count, file, octets] = process.argv;
const streams = Number(count);
const results = [];

const done = (k, length, hash) => {
  results[k] = `${k} ${length} ${hash.digest("hex")}`;
  if (Object.keys(results).length < streams) return;
  process.stdout.write(`${results.join("\n")}\n`);
  process.exit(0);
};

const receive = () => {
  const server = createServer((socket) => {
    const hash = createHash("sha256");
    let k = -1;
    let length = 0;
    socket.on("data", (chunk) => {
      const rest = k < 0 ? chunk.subarray(1) : chunk;
      if (k < 0) k = chunk[0];
      hash.update(rest);
      length += rest.length;
    });
    socket.on("end", () => socket.end(() => done(k, length, hash)));
  });
  server.listen({ host: address, port: Number(port), backlog: streams }, () => process.stdout.write("ready\n"));
};

const send = (k) => {
  const part = Math.floor(Number(octets) / streams);
  const hash = createHash("sha256");
  const socket = connect(Number(port), address, () => {
    socket.write(Uint8Array.of(k));
    const reading = createReadStream(file, { start: k * part, end: (k + 1) * part - 1, highWaterMark: 262_144 });
    reading.on("data", (chunk) => hash.update(chunk));
    reading.pipe(socket);
  });
  socket.on("close", () => done(k, part, hash));
  socket.resume();
};

if (role === "receive") receive();
else for (let k = 0; k < streams; k++) send(k);
