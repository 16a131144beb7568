/**
 * A sender and a sink of UDP datagrams, programs of their own: `send ADDRESS PORT STREAMS OCTETS RATE SECONDS` and
 * `sink ADDRESS PORT`. Many datagrams go in one system call, so that their ends take little of the processors that the
 * gateways need as well; iperf3 spends more on a datagram than a gateway does. What arrived the kernel counts; what arrived
 * late the sink: each datagram begins with its stream and its number in it.
 */
import { writeSync } from "node:fs";
import { systemError } from "../linux/errno.ts";
import * as libc from "../linux/libc.ts";
import { Memory } from "../linux/memory.ts";
import { MsgBatch } from "../linux/msg-batch.ts";
import { POLLIN, PollSet } from "../linux/poll.ts";
import { SOCKADDR_ROOM, writeSockaddr } from "../linux/sockaddr.ts";
import { bindTo, openSocket, SO_RCVBUF, SO_SNDBUF, SOCK_DGRAM, SOL_SOCKET, setOption } from "../linux/socket.ts";

/** Datagrams in one system call. */
const BATCH = 64;
/** As much as the system grants anybody: of more than it allows it takes what it allows. */
const BUFFER = 4 * 1024 * 1024;
/** ms between two looks at the clock: what is due since the last goes at once. */
const TICK = 0.2;
/** s that a sender which was held up makes up for. */
const LATEST = 0.01;
const LONGEST = 2048;
const WHAT = "a socket for datagrams";
/** ms between two reports of the sink. */
const REPORT = 250;
const MOST_STREAMS = 128;

/**
 * Says `listening`, then takes what comes until it is ended by a signal. While something comes, and once after it, a line
 * tells what came so far: the time in ms, datagrams, and of those how many came after a later one of their stream
 * (RFC 4737 §3).
 */
const sink = (address: string, port: number): never => {
  const fd = openSocket(address, SOCK_DGRAM, 0, WHAT);
  setOption(fd, SOL_SOCKET, SO_RCVBUF, BUFFER);
  bindTo(fd, { address, port }, WHAT);
  const slab = Memory.allocate(BATCH * LONGEST);
  const batch = new MsgBatch({ slab, capacity: BATCH });
  for (let i = 0; i < BATCH; i++) batch.setBuffer(i, i * LONGEST, LONGEST);
  const words = new Uint32Array(slab.bytes.buffer, slab.bytes.byteOffset, slab.bytes.byteLength >>> 2);
  const next = new Float64Array(MOST_STREAMS);
  let got = 0;
  let late = 0;
  let told = 0;
  let said = performance.now();
  const polls = new PollSet(1);
  polls.add(fd, POLLIN);
  writeSync(1, "listening\n");
  for (;;) {
    const came = batch.receive(fd, 0, BATCH);
    for (let i = 0; i < came; i++) {
      const at = (i * LONGEST) >>> 2;
      const stream = words[at]! % MOST_STREAMS;
      const number = words[at + 1]!;
      if (number < next[stream]!) late++;
      else next[stream] = number + 1;
    }
    if (came > 0) got += came;
    const now = performance.now();
    if (got !== told && now - said >= REPORT) {
      writeSync(1, `${JSON.stringify({ ms: now, got, late })}\n`);
      said = now;
      told = got;
    }
    if (came < BATCH) polls.wait(got === told ? -1 : REPORT);
  }
};

const connected = (address: string, port: number): number => {
  const fd = openSocket(address, SOCK_DGRAM, 0, WHAT);
  setOption(fd, SOL_SOCKET, SO_SNDBUF, BUFFER);
  const memory = Memory.allocate(SOCKADDR_ROOM);
  const result = libc.connect(fd, memory, 0, writeSockaddr(memory.bytes, 0, { address, port }));
  if (result < 0) throw systemError(result, WHAT);
  return fd;
};

interface Load {
  readonly streams: number;
  readonly octets: number;
  /** Datagrams a second, all streams; 0: as many as it can. */
  readonly rate: number;
  readonly seconds: number;
}

/** s that it took. */
const send = (address: string, port: number, { streams, octets, rate, seconds }: Load): number => {
  const fds = Array.from({ length: streams }, () => connected(address, port));
  const room = (octets + 7) & ~7;
  const slab = Memory.allocate(BATCH * room);
  const batch = new MsgBatch({ slab, capacity: BATCH });
  for (let i = 0; i < BATCH; i++) batch.setBuffer(i, i * room, octets);
  const words = new Uint32Array(slab.bytes.buffer, slab.bytes.byteOffset, slab.bytes.byteLength >>> 2);
  const numbers = new Float64Array(streams);
  /** Datagrams of one stream, `count` at most, with their numbers; how many went. */
  const sendSome = (stream: number, count: number): number => {
    for (let i = 0; i < count; i++) {
      const at = (i * room) >>> 2;
      words[at] = stream;
      words[at + 1] = numbers[stream]! + i;
    }
    const went = batch.send(fds[stream]!, 0, count);
    if (went > 0) numbers[stream] = numbers[stream]! + went;
    return went;
  };
  const clock = new Int32Array(new SharedArrayBuffer(4));
  const begin = performance.now();
  let sent = 0;
  let turn = 0;
  for (;;) {
    const passed = (performance.now() - begin) / 1000;
    if (passed >= seconds) return passed;
    const due = rate === 0 ? sent + BATCH : Math.min(Math.floor(passed * rate), sent + Math.ceil(rate * LATEST));
    while (sent < due) {
      const went = sendSome(turn++ % streams, Math.min(due - sent, BATCH));
      if (went <= 0) break; // its buffer is full: once more at the next tick
      sent += went;
    }
    if (rate !== 0) Atomics.wait(clock, 0, 0, TICK);
  }
};

const [task, address = "", port, ...numbers] = process.argv.slice(2);
if (task === "sink") sink(address, Number(port));
else {
  const [streams = 1, octets = 0, rate = 0, seconds = 0] = numbers.map(Number);
  const took = send(address, Number(port), { streams, octets, rate, seconds });
  process.stdout.write(`${JSON.stringify({ seconds: took })}\n`);
}
