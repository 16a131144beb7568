/**
 * An engine at work in a slab with forbidden pages on either side, in a process of its own: whoever reads or writes one
 * octet too far ends it with a signal. Inside the slab every octet that is no text, ICV or scratch must stay what it was.
 *
 *   node guarded-slab.child.mjs DIST ENGINE SEED ROUNDS      DIST is the built library
 *   node guarded-slab.child.mjs DIST read|write before|behind       touch a forbidden page, to see that it bites
 *
 * The last line of its output says how many packets it did.
 */
import { pathToFileURL } from "node:url";

const [dist, what, third, fourth] = process.argv.slice(2);
const load = (path) => import(new URL(path, pathToFileURL(`${dist}/`)).href);
const { OP_SCRATCH, Ops } = await load("crypto/engine.js");
const { koffi } = await load("crypto/engines/ffi.js");
const { driverByName } = await load("crypto/select-engine.js");
const { SUITES } = await load("crypto/suites.js");
const { ESP_HEADER, MAX_ESP_PACKET } = await load("crypto/esp-inputs.js");

const PAGE = 4096;
const PAGES = 64;
const PROT_NONE = 0;
const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const FEW = 24;
/** A full burst of libIPSec_MB is 128, and a batch is up to 256; an engine splits what it cannot do at once. */
const MANY = 300;
const BURSTS = [127, 128, 129, 255, 256, 257, MANY];

const libc = koffi().load("libc.so.6");
const mmap = libc.func("int64_t mmap(int64_t, size_t, int, int, int, int64_t)");
const mprotect = libc.func("int mprotect(int64_t, size_t, int)");
const mapped = mmap(0, (PAGES + 2) * PAGE, PROT_NONE, MAP_PRIVATE_ANONYMOUS, -1, 0);
if (mprotect(mapped + PAGE, PAGES * PAGE, PROT_READ_WRITE) !== 0) throw new Error("mprotect");
const slab = new Uint8Array(koffi().view(BigInt(mapped + PAGE), PAGES * PAGE));

if (what === "read" || what === "write") {
  const at = third === "before" ? mapped + PAGE - 1 : mapped + (PAGES + 1) * PAGE;
  const memcpy = libc.func("void *memcpy(int64_t, int64_t, size_t)");
  if (what === "read") memcpy(mapped + PAGE, at, 1);
  else memcpy(at, mapped + PAGE, 1);
  console.log("nothing happened");
  process.exit(0);
}

let state = Number(third) | 1;
/** A whole number from 0 to `below` - 1. */
const random = (below) => {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % below;
};
const fill = (bytes) => {
  for (let i = 0; i < bytes.length; i++) bytes[i] = random(256);
};

const driver = driverByName(what);
let capacity = FEW;
let engine = driver.open(slab, capacity);
const suites = SUITES.filter((suite) => engine.supports(suite));
const sealedLength = ({ suite, length }) => ESP_HEADER + suite.ivLength + length + suite.icvLength;
let keys = new Map();
const keyOf = (suite, esn) => {
  const name = `${suite.name} ${esn}`;
  const raw = new Uint8Array(suite.keyLength);
  fill(raw);
  if (!keys.has(name)) keys.set(name, engine.expand(suite, raw, esn));
  return keys.get(name);
};

const textOf = (suite, payload) => Math.ceil((payload + 2) / suite.alignment) * suite.alignment;
const slow = driver.name === "noble" ? 8 : 1;
const payloadOf = (suite) => {
  const kind = random(100);
  if (kind === 0) return Math.floor(random(MAX_ESP_PACKET - 200) / slow);
  if (kind < 10) return Math.floor(random(9000) / slow);
  return random(kind < 55 ? 200 : 1500) + (suite.alignment >> 4);
};

/** Where each thing lies: scratch before the packets or behind them; the packets from the slab's first octet to its last. */
const layOut = (packets) => {
  const scratch = capacity * OP_SCRATCH;
  const scratchFirst = random(2) === 0;
  const room = slab.length - scratch - packets.reduce((sum, packet) => sum + sealedLength(packet), 0);
  if (room < 0) return undefined;
  let free = room;
  let at = scratchFirst ? scratch : 0;
  packets.forEach((packet, i) => {
    const last = i === packets.length - 1;
    // The last packet ends where the slab, or the scratch behind it, begins; the first begins where there is nothing before.
    const gap = last ? free : Math.min(free, i === 0 && !scratchFirst ? 0 : random(70));
    free -= gap;
    at += gap;
    packet.head = at;
    at += sealedLength(packet);
  });
  return scratchFirst ? 0 : slab.length - scratch;
};

/** `changeable` are pairs of offsets in order: what lies between them must be as it was. */
const expectSame = (before, changeable, when) => {
  let from = 0;
  for (const [to, end] of [...changeable, [slab.length, slab.length]]) {
    if (Buffer.compare(slab.subarray(from, to), before.subarray(from, to)) !== 0)
      throw new Error(`the slab between ${from} and ${to} was changed ${when}`);
    from = end;
  }
};

let done = 0;
const round = (packets) => {
  const scratchAt = layOut(packets);
  if (scratchAt === undefined) return;
  const ops = new Ops(slab, scratchAt, capacity);
  for (let i = 0; i < slab.length; i += 4096) slab.fill(random(256), i, i + 4096);
  const changeable = [[scratchAt, scratchAt + capacity * OP_SCRATCH]];
  ops.count = packets.length;
  packets.forEach(({ suite, esn, length, head }, i) => {
    const text = head + ESP_HEADER + suite.ivLength;
    ops.keys[i] = keyOf(suite, esn).handle;
    ops.headAt[i] = head;
    ops.textAt[i] = text;
    ops.textLength[i] = length;
    ops.seqHigh[i] = random(2 ** 31);
    for (let k = head; k < text; k++) slab[k] = random(256);
    changeable.push([text, text + length + suite.icvLength]);
  });
  changeable.sort(([a], [b]) => a - b);
  const before = slab.slice();
  const all = (ok) => {
    for (let i = 0; i < ops.count; i++)
      if (ops.ok[i] !== ok) throw new Error(`packet ${i}, ${packets[i].suite.name}: ${ops.ok[i]}, not ${ok}`);
  };
  engine.seal(ops);
  all(1);
  expectSame(before, changeable, "by sealing");
  const sealed = slab.slice();
  engine.open(ops);
  all(1);
  expectSame(before, changeable, "by opening");
  for (let i = 0; i < ops.count; i++) {
    const [from, to] = [ops.textAt[i], ops.textAt[i] + ops.textLength[i]];
    if (Buffer.compare(slab.subarray(from, to), before.subarray(from, to)) !== 0)
      throw new Error(`${packets[i].suite.name}: opened to something else`);
  }
  slab.set(sealed);
  for (let i = 0; i < ops.count; i++) slab[ops.headAt[i] + 4] ^= 1;
  const forged = slab.slice();
  engine.open(ops);
  all(0);
  expectSame(forged, changeable, "by refusing");
  done += packets.length;
};

// Every length up to some blocks, at both ends of the slab.
for (const suite of suites)
  for (let length = suite.alignment; length <= 320; length += suite.alignment * slow * (suite.alignment < 16 ? 3 : 1))
    for (const esn of [false, true]) {
      round([{ suite, esn, length }]);
      round([
        { suite, esn, length },
        { suite, esn: !esn, length },
      ]);
    }
for (let i = 0; i < Number(fourth); i++)
  round(
    Array.from({ length: 1 + random(FEW) }, () => {
      const suite = suites[random(suites.length)];
      return { suite, esn: random(2) === 0, length: textOf(suite, payloadOf(suite)) };
    }),
  );
engine.close();

// As many at once as bursts hold, and some more, in the same slab: all of one suite, and of any.
keys = new Map();
capacity = MANY;
engine = driver.open(slab, capacity);
const short = (suite, esn) => ({ suite, esn, length: textOf(suite, random(Math.floor(900 / slow)) + suite.alignment) });
const expected = done + suites.length * MANY + BURSTS.reduce((sum, count) => sum + count, 0);
for (const suite of suites) round(Array.from({ length: MANY }, () => short(suite, random(2) === 0)));
for (const count of BURSTS)
  round(Array.from({ length: count }, () => short(suites[random(suites.length)], random(2) === 0)));
if (done !== expected) throw new Error(`${done} packets, not ${expected}: the slab is too small for a burst`);
engine.close();
console.log(`${done} packets of ${suites.length} suites`);
