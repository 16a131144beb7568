/** Workers that die: another takes over the same SAs, and one that dies again and again is given up. */
import { afterEach, expect, test, vi } from "vitest";
import { EspSession } from "../../src/dataplane/esp-session.ts";
import { Sender } from "../../src/dataplane/sender.ts";
import { TunWriter } from "../../src/dataplane/tun-writer.ts";
import { Sad } from "../../src/ipsec/sad.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { installPair, MemorySite, settle } from "../support/memory-sites.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

const connected = async (workers = 1) => {
  const [a, b] = [await MemorySite.start("127.0.0.2", { workers }), await MemorySite.start("127.0.0.3", { workers })];
  const tunnels = Array.from({ length: workers }, (_, worker) => {
    const [atA, atB] = [a.addTunnel(worker), b.addTunnel(worker)];
    const pair = installPair([a, atA.id], [b, atB.id]);
    a.plane.use(pair.spiA);
    b.plane.use(pair.spiB);
    return { atA, atB, ...pair };
  });
  return { a, b, tunnels };
};

/** The next call of this method throws. */
const fault = <T extends object>(of: T, method: keyof T & string): void => {
  vi.spyOn(of as unknown as Record<string, () => never>, method).mockImplementationOnce(() => {
    throw new Error("a bug");
  });
};

const packet = ipPacket({ version: 4, length: 200 });

test("a worker that dies is replaced: its SAs go on where they were, the others never stopped", async () => {
  const { a, b, tunnels } = await connected(3);
  const send = (): number[] => {
    for (const { atA } of tunnels) for (let i = 0; i < 10; i++) atA.tun.inject(packet);
    settle(a, b);
    return tunnels.map(({ atB }) => atB.tun.delivered().length);
  };
  expect(send()).toEqual([10, 10, 10]);
  expect(b.plane.poll().map(({ kind }) => kind)).toEqual(["first-packet", "first-packet", "first-packet"]);
  fault(TunWriter.prototype, "write"); // of worker 0, who receives first
  expect(send()).toEqual([0, 10, 10]); // a batch opened, and lost
  expect(b.plane.poll()).toEqual([{ kind: "replaced", worker: 0, message: "a bug" }]);
  expect(send()).toEqual([10, 10, 10]);
  expect(b.plane.poll()).toEqual([]);
  expect(b.plane.workerStats().map(({ status, replaced }) => [status, replaced])).toEqual([
    ["running", 1],
    ["running", 0],
    ["running", 0],
  ]);
  expect(b.plane.counters(tunnels[0]!.spiB)).toMatchObject({ packetsIn: 20, seqIn: 30 });
  expect(a.plane.counters(tunnels[0]!.spiA)).toMatchObject({ packetsOut: 30, seqOut: 30 });
});

test("what the dead worker had accepted is not accepted again, nor what may be older", async () => {
  const { a, b, tunnels } = await connected();
  const { spiB, atB } = tunnels[0]!;
  const session = EspSession.open({
    direction: "seal",
    suite: "aes256gcm16",
    spi: spiB,
    key: Uint8Array.from({ length: 36 }, (_, i) => i * 3 + 11), // as installPair has it
    engine: "node",
  });
  const sealed = session.seal(new Array<Uint8Array>(8).fill(packet));
  const more = session.seal(new Array<Uint8Array>(8).fill(packet));
  session.close();
  const replay = async (packets: readonly Uint8Array[]): Promise<void> => {
    const { createSocket } = await import("node:dgram");
    const socket = createSocket("udp4");
    for (const each of packets) await new Promise((sent) => socket.send(each, b.udp.port, b.address, sent));
    socket.close();
    settle(a, b);
  };
  await replay(sealed.slice(4)); // 5 to 8
  fault(TunWriter.prototype, "write");
  await replay(more.slice(0, 1));
  await replay([...sealed, ...more]);
  expect(atB.tun.delivered()).toHaveLength(4 + 7);
  expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: 11, seqIn: 16, drops: { replay: 9 } });
});

test("a worker that dies on its way out takes a gap in the numbers, and no number twice", async () => {
  const { a, b, tunnels } = await connected();
  const { atA, atB, spiA } = tunnels[0]!;
  const numbers = new Set<number>();
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 5; i++) atA.tun.inject(packet);
    if (round % 2 === 1) fault(Sender.prototype, "send");
    settle(a, b);
    numbers.add(a.plane.counters(spiA)!.seqOut);
  }
  expect([...numbers]).toEqual([5, 10, 15, 20]);
  expect(atB.tun.delivered()).toHaveLength(10);
  expect(b.plane.counters(tunnels[0]!.spiB)!.drops).toEqual({});
});

test("slots that were retired while a worker was dead are free again, and removal works", async () => {
  const { a, b, tunnels } = await connected();
  const { atA, atB, spiA, spiB } = tunnels[0]!;
  fault(TunWriter.prototype, "write");
  atA.tun.inject(packet);
  settle(a, b);
  for (let round = 0; round < 200; round++) {
    const next = installPair([a, atA.id], [b, atB.id]);
    a.plane.use(next.spiA);
    b.plane.use(next.spiB);
    a.plane.remove(next.spiA);
    b.plane.remove(next.spiB);
    settle(a, b);
  }
  a.plane.use(spiA);
  b.plane.use(spiB);
  atA.tun.inject(packet);
  settle(a, b);
  expect(atB.tun.delivered()).toEqual([packet]);
});

test("a worker that dies again and again is reported, stays dead, and the plane still stops", async () => {
  const { a, b, tunnels } = await connected();
  vi.spyOn(Sad.prototype, "find").mockImplementation(() => {
    throw new Error("a bug");
  });
  for (let i = 0; i < 10; i++) {
    tunnels[0]!.atA.tun.inject(packet);
    settle(a, b);
  }
  const deaths = b.plane.poll();
  expect(deaths.map(({ kind }) => kind)).toEqual([...new Array<string>(4).fill("replaced"), "failed"]);
  expect(b.plane.poll()).toEqual([]);
  expect(b.plane.workerStats()[0]).toMatchObject({ status: "failed", replaced: 4 });
});
