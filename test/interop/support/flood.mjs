/**
 * Sends IKE_SA_INIT requests from made-up addresses, each with an SPI of its own, at a steady rate.
 *
 *   node flood.mjs TEMPLATE_HEX SOURCE_PREFIX TARGET RATE SECONDS
 *
 * Every address of SOURCE_PREFIX (such as 203.0.113) must be local here. Nobody there answers: a cookie never comes back.
 */
import { randomFillSync } from "node:crypto";
import { createSocket } from "node:dgram";

const [hex, prefix, target, rate, seconds] = process.argv.slice(2);
const template = Buffer.from(hex, "hex");
const SOURCES = 200;
const BEAT = 10; // ms

const sockets = await Promise.all(
  Array.from(
    { length: SOURCES },
    (_, n) =>
      new Promise((resolve, reject) => {
        const socket = createSocket("udp4");
        socket.once("error", reject);
        socket.bind(0, `${prefix}.${n + 1}`, () => resolve(socket));
      }),
  ),
);

const started = performance.now();
const total = Number(rate) * Number(seconds);
let sent = 0;
const timer = setInterval(() => {
  const due = Math.min(total, Math.floor(((performance.now() - started) / 1000) * Number(rate)));
  for (; sent < due; sent++) {
    const bytes = Buffer.from(template);
    randomFillSync(bytes, 0, 8); // the initiator's SPI
    sockets[sent % SOURCES].send(bytes, 500, target);
  }
  if (sent < total) return;
  clearInterval(timer);
  for (const socket of sockets) socket.close(() => undefined);
  process.stdout.write(JSON.stringify({ sent, seconds: (performance.now() - started) / 1000 }));
}, BEAT);
