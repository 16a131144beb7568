/** What a worker's thread runs, here in this thread: however it ends, the keys that its engine has expanded are wiped. */
import { afterEach, expect, test, vi } from "vitest";
import type { EngineName } from "../../src/crypto/engine.ts";
import { KeyMemory } from "../../src/crypto/engines/ipsec-mb-key-memory.ts";
import { type Evp, evp } from "../../src/crypto/engines/openssl-evp.ts";
import { driverByName } from "../../src/crypto/select-engine.ts";
import { suiteByName } from "../../src/crypto/suites.ts";
import { saPath } from "../../src/dataplane/child-sa.ts";
import { EspWorker } from "../../src/dataplane/esp-worker.ts";
import { OwnedSas } from "../../src/dataplane/owned-sas.ts";
import { PlaneMemory } from "../../src/dataplane/plane-memory.ts";
import { memoryWire } from "../../src/dataplane/rehearsal-wire.ts";
import run from "../../src/dataplane/worker.ts";
import { WorkerStatus } from "../../src/dataplane/worker-board.ts";
import { WorkerTools } from "../../src/dataplane/worker-tools.ts";
import { anySelectors } from "../../src/ipsec/selector.ts";
import { openEventfd } from "../../src/linux/eventfd.ts";
import * as libc from "../../src/linux/libc.ts";
import { Memory } from "../../src/linux/memory.ts";
import { openSocketPair } from "../../src/linux/socket-pair.ts";
import { ipPacket } from "../support/ip-packets.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

const suite = suiteByName("aes256-sha256")!;
const PACKET = ipPacket({ version: 4, length: 200 });
const SPI = 0x4000;

/** Run a worker with a pair of SAs that has carried a packet when `then` is called, and is asked to stop after. */
const runWorker = (engine: EngineName, then: (tables: PlaneMemory) => void): PlaneMemory => {
  const tables = PlaneMemory.create(64);
  const wire = memoryWire(tables.sockets);
  const [host, tun] = openSocketPair();
  const eventfd = openEventfd();
  const end = { address: wire.address, port: wire.port };
  const key = Uint8Array.from({ length: suite.keyLength }, (_, i) => i + 1);
  const path = saPath({ local: end, remote: end }, 0);
  const sa = { spi: SPI, suite, esn: true, encap: false, transport: false, tunnel: 0, window: 64, key, path };
  tables.tunnels.publish(0, 0, [tun], {});
  tables.spd.set(0, anySelectors, anySelectors);
  tables.sad.publish(0, sa);
  tables.sad.publish(tables.sad.outbound(0), sa);
  tables.tunnels.setCurrent(0, 0, 0);
  const given = Memory.allocate(PACKET.length);
  given.bytes.set(PACKET);
  libc.write(host, given, 0, PACKET.length);
  const { round } = EspWorker.prototype;
  let carried = 0;
  let rounds = 0;
  vi.spyOn(EspWorker.prototype, "round").mockImplementation(function (this: EspWorker, timeout: number) {
    carried += round.call(this, Math.min(timeout, 0));
    if (carried < 2 && ++rounds < 100) return 1; // out, and in again
    tables.board.requestStop();
    then(tables);
    return 0;
  });
  try {
    run({
      worker: 0,
      memory: tables.shared,
      wakeFds: [eventfd],
      poll: "adaptive",
      batch: 64,
      engine,
      cpu: -1,
    });
  } finally {
    wire.close();
    for (const fd of [host, tun, eventfd]) libc.close(fd);
  }
  return tables;
};

/** Octets of the places of keys that are not zero. */
const keyOctets = (memories: readonly KeyMemory[]): number =>
  memories.reduce((sum, memory) => {
    const places = [0, 1, 2, 3, 4].map((place) => memory.bytes(place).filter((octet) => octet !== 0).length);
    return sum + places.reduce((all, each) => all + each, 0);
  }, 0);

/** Contexts of libcrypto that were made and not freed, which wipes them. */
const leftContexts = (functions: Evp) => {
  const made = [vi.spyOn(functions, "contextNew"), vi.spyOn(functions, "macContextNew")];
  const freed = [vi.spyOn(functions, "contextFree"), vi.spyOn(functions, "macContextFree")];
  return () => {
    const gone = new Set(freed.flatMap(({ mock }) => mock.calls.map(([context]) => context)));
    const all = made.flatMap(({ mock }) => mock.results.map(({ value }) => value));
    return { made: all.length, left: all.filter((context) => !gone.has(context)).length };
  };
};

const bug = (): never => {
  throw new Error("a bug");
};

const ENDS = [
  { how: "is asked to stop", act: () => undefined, error: undefined },
  { how: "dies of an exception", act: bug, error: "a bug" },
  {
    how: "dies of one while it releases its keys",
    act: () => vi.spyOn(OwnedSas.prototype, "close").mockImplementation(bug),
    error: "a bug",
  },
] as const;

const noIpsecMb = driverByName("ipsec-mb").unavailable();

test.skipIf(noIpsecMb !== undefined).each(ENDS)("ipsec-mb: a worker that $how leaves no key", ({ act, error }) => {
  const reserve = vi.spyOn(KeyMemory.prototype, "reserve");
  const memories = () => [...new Set(reserve.mock.contexts as KeyMemory[])];
  let before = 0;
  const ended = () =>
    runWorker("ipsec-mb", () => {
      before = keyOctets(memories());
      act();
    });
  if (error === undefined) expect(ended().board.status(0)).toBe(WorkerStatus.STOPPED);
  else expect(ended).toThrow(error);
  expect(before).toBeGreaterThan(500);
  expect(keyOctets(memories())).toBe(0);
});

const functions = evp();

test.skipIf(typeof functions === "string").each(ENDS)("openssl: a worker that $how leaves no key", ({ act, error }) => {
  const contexts = leftContexts(functions as Evp);
  let before = 0;
  const ended = () =>
    runWorker("openssl", () => {
      before = contexts().left;
      act();
    });
  if (error === undefined) ended();
  else expect(ended).toThrow(error);
  expect(before).toBeGreaterThanOrEqual(6); // two SAs with two ciphers and a MAC each
  expect(contexts().left).toBe(0);
});

test("packets are wiped as well, and a worker that cannot even begin gives back what it had", () => {
  const slabs: Uint8Array[] = [];
  const close = vi.spyOn(WorkerTools.prototype, "close");
  runWorker("node", () => undefined);
  slabs.push(...(close.mock.contexts as WorkerTools[]).map(({ arena }) => arena.slab));
  expect(slabs).toHaveLength(1);
  expect(slabs[0]!.every((octet) => octet === 0)).toBe(true);
  const tables = PlaneMemory.create(64);
  const begin = () =>
    run({ worker: 0, memory: tables.shared, wakeFds: [-1], poll: "adaptive", batch: -1, engine: "node", cpu: -1 });
  expect(begin).toThrow();
  expect(close).toHaveBeenCalledTimes(2);
  expect(tables.board.status(0)).toBe(WorkerStatus.FAILED);
});
