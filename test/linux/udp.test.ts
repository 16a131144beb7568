/** Port groups and batches of datagrams, on the loopback address: needs no privilege. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { afterEach, expect, type TestContext, test } from "vitest";
import { EspalierError } from "../../src/errors.ts";
import { workerOf } from "../../src/linux/esp-steering.ts";
import { close, libcUnavailable } from "../../src/linux/libc.ts";
import { Memory } from "../../src/linux/memory.ts";
import { MsgBatch } from "../../src/linux/msg-batch.ts";
import { AF_INET, AF_INET6, readSockaddr, writeSockaddr } from "../../src/linux/sockaddr.ts";
import { bindTo, boundEndpoint, openSocket, SOCK_DGRAM, setOption } from "../../src/linux/socket.ts";
import { closeUdpGroup, openUdpGroup, type UdpGroup } from "../../src/linux/udp.ts";

const BATCH = 64;
const ROOM = 2048;
const EAGAIN = -11;

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

const needLibc = (ctx: TestContext): void => {
  const reason = libcUnavailable();
  if (reason !== undefined) ctx.skip(reason);
};

const needIpv6 = (ctx: TestContext): void => {
  needLibc(ctx);
  try {
    bindTo(udp("::1"), { address: "::1", port: 0 }, "probe");
  } catch (error) {
    ctx.skip(`needs IPv6 on the loopback interface: ${error instanceof Error ? error.message : error}`);
  }
};

const udp = (address: string): number => {
  const fd = openSocket(address, SOCK_DGRAM, 0, "test socket");
  cleanups.push(() => close(fd));
  return fd;
};

const group = (address: string, workers: number, slotBits = 12): UdpGroup => {
  const opened = openUdpGroup({ address, port: 0, workers, slotBits });
  cleanups.push(() => closeUdpGroup(opened));
  return opened;
};

const batch = (controlRoom = 0): MsgBatch => {
  const made = new MsgBatch({ slab: Memory.allocate(BATCH * ROOM), capacity: BATCH, controlRoom });
  for (let i = 0; i < BATCH; i++) made.setBuffer(i, i * ROOM, ROOM);
  return made;
};

/** Send every packet to `address` and `port`, in batches, and call `afterBatch` once each batch has gone. */
const sendAll = (
  packets: readonly Uint8Array[],
  address: string,
  port: number,
  afterBatch: () => void = () => undefined,
): void => {
  const fd = udp(address);
  const out = batch();
  const peer = new Uint8Array(28);
  const peerLength = writeSockaddr(peer, 0, { address, port });
  for (let from = 0; from < packets.length; from += BATCH) {
    const part = packets.slice(from, from + BATCH);
    part.forEach((packet, i) => {
      out.slab.bytes.set(packet, i * ROOM);
      out.setBuffer(i, i * ROOM, packet.length);
      out.copyPeer(i, peer, 0, peerLength);
    });
    for (let sent = 0; sent < part.length; ) {
      const result = out.send(fd, sent, part.length - sent);
      expect(result).toBeGreaterThan(0);
      sent += result;
    }
    afterBatch();
  }
};

/** Everything that waits on `fd`, as it came. */
const receiveAll = (fd: number): Uint8Array[] => {
  const packets: Uint8Array[] = [];
  const into = batch();
  for (;;) {
    const count = into.receive(fd, 0, BATCH);
    if (count === EAGAIN) return packets;
    expect(count).toBeGreaterThan(0);
    for (let i = 0; i < count; i++) packets.push(into.slab.bytes.slice(i * ROOM, i * ROOM + into.length(i)));
  }
};

const espPacket = (spi: number): Uint8Array => {
  const packet = new Uint8Array(64);
  new DataView(packet.buffer).setUint32(0, spi);
  return packet;
};

const spiOf = (packet: Uint8Array): number => new DataView(packet.buffer).getUint32(0);

const spis = (count: number): number[] =>
  Array.from({ length: count }, (_, i) => 256 + ((Math.imul(i + 1, 2654435761) >>> 0) % 0xffff_fe00));

const steers = (address: string) => {
  const workers = 3;
  const slotBits = 12;
  const opened = group(address, workers, slotBits);
  const arrived: number[][] = Array.from({ length: workers }, () => []);
  const all = spis(6000);
  sendAll(all.map(espPacket), address, opened.port, () =>
    opened.workers.forEach((fd, worker) => {
      for (const packet of receiveAll(fd)) arrived[worker]!.push(spiOf(packet));
    }),
  );
  const expected = arrived.map((_, worker) => all.filter((spi) => workerOf(spi, { workers, slotBits }) === worker));
  expect(arrived).toEqual(expected);
  expect(receiveAll(opened.control)).toEqual([]);
};

test("thousands of ESP packets each arrive at the worker that their SPI names, in order", (ctx) => {
  needLibc(ctx);
  steers("127.0.0.1");
});

test("and over IPv6", (ctx) => {
  needIpv6(ctx);
  steers("::1");
});

test("IKE, NAT-keepalives, empty, short and reserved packets arrive at the control socket alone", (ctx) => {
  needLibc(ctx);
  const opened = group("127.0.0.1", 3);
  const ike = new Uint8Array(300).fill(7).fill(0, 0, 4);
  const control = [ike, new Uint8Array([0xff]), new Uint8Array(0), new Uint8Array(7).fill(9), espPacket(255)];
  const packets = Array.from({ length: 50 }, () => control).flat();
  sendAll(packets, "127.0.0.1", opened.port);
  expect(receiveAll(opened.control)).toEqual(packets);
  for (const fd of opened.workers) expect(receiveAll(fd)).toEqual([]);
});

test("a dgram socket takes the control socket over, and the workers keep their packets", async (ctx) => {
  needLibc(ctx);
  const opened = openUdpGroup({ address: "127.0.0.1", port: 0, workers: 2, slotBits: 12 });
  cleanups.push(() => closeUdpGroup(opened, { keepControl: true }));
  const control = createSocket("udp4");
  const listening = once(control, "listening");
  control.bind({ fd: opened.control });
  await listening;
  expect(control.address().port).toBe(opened.port);
  const ike = new Uint8Array(200).fill(1).fill(0, 0, 4);
  const message = once(control, "message");
  sendAll([espPacket(4096), ike, espPacket(4097)], "127.0.0.1", opened.port);
  const [received] = await message;
  expect(new Uint8Array(received as Buffer)).toEqual(ike);
  expect(opened.workers.map((fd) => receiveAll(fd).map(spiOf))).toEqual([[4096], [4097]]);
  control.close();
  await once(control, "close");
});

test("a batch tells who sent each datagram, in both families", (ctx) => {
  needIpv6(ctx);
  for (const [address, family] of [
    ["127.0.0.1", AF_INET],
    ["::1", AF_INET6],
  ] as const) {
    const to = udp(address);
    const from = udp(address);
    bindTo(to, { address, port: 0 }, "test socket");
    bindTo(from, { address, port: 0 }, "test socket");
    const out = batch();
    out.setBuffer(0, 0, 5);
    const source = new Uint8Array(32);
    writeSockaddr(source, 0, { address, port: 0 });
    out.setPeer(0, family, source, family === AF_INET ? 4 : 8, boundEndpoint(to).port);
    expect(out.send(from, 0, 1)).toBe(1);
    const into = batch();
    expect(into.receive(to, 3, 10)).toBe(1);
    expect(into.length(3)).toBe(5);
    expect(into.peerFamily(3)).toBe(family);
    expect(into.peerPort(3)).toBe(boundEndpoint(from).port);
    expect(readSockaddr(into.bytes, into.peerAt(3))).toEqual(boundEndpoint(from));
    const at = into.peerAddressAt(3);
    expect(into.bytes.slice(at, at + (family === AF_INET ? 4 : 16)).at(-1)).toBe(1);
    expect(into.receive(to, 0, BATCH)).toBe(EAGAIN);
  }
});

test("a datagram that cannot be sent ends a batch, and its reason comes first in the next call", (ctx) => {
  needLibc(ctx);
  const to = udp("127.0.0.1");
  bindTo(to, { address: "127.0.0.1", port: 0 }, "test socket");
  const out = new MsgBatch({ slab: Memory.allocate(70_000), capacity: 3 });
  const peer = new Uint8Array(16);
  writeSockaddr(peer, 0, boundEndpoint(to));
  for (let i = 0; i < 3; i++) {
    out.setBuffer(i, 0, i === 1 ? 70_000 : 10);
    out.copyPeer(i, peer, 0, 16);
  }
  const from = udp("127.0.0.1");
  expect(out.send(from, 0, 3)).toBe(1);
  expect(out.send(from, 1, 2)).toBe(-90); // EMSGSIZE
  expect(out.send(from, 2, 1)).toBe(1);
  expect(receiveAll(to)).toHaveLength(2);
});

test("a datagram longer than its buffer is marked", (ctx) => {
  needLibc(ctx);
  const opened = group("127.0.0.1", 1);
  sendAll([espPacket(4096)], "127.0.0.1", opened.port);
  const into = batch();
  into.setBuffer(0, 0, 10);
  expect(into.receive(opened.workers[0]!, 0, 1)).toBe(1);
  expect(into.isTruncated(0)).toBe(true);
  expect(into.length(0)).toBe(10);
});

const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const UDP_GRO = 104;

test("control messages carry the segment size both ways", (ctx) => {
  needLibc(ctx);
  const to = udp("127.0.0.1");
  bindTo(to, { address: "127.0.0.1", port: 0 }, "test socket");
  if (setOption(to, SOL_UDP, UDP_GRO, 1) < 0) ctx.skip("needs UDP_GRO (Linux 5.0)");
  const out = batch(24);
  const peer = new Uint8Array(16);
  writeSockaddr(peer, 0, boundEndpoint(to));
  out.setBuffer(0, 0, 1050);
  out.copyPeer(0, peer, 0, 16);
  out.setControl16(0, SOL_UDP, UDP_SEGMENT, 100);
  expect(out.send(udp("127.0.0.1"), 0, 1)).toBe(1);
  const into = batch(64);
  expect(into.receive(to, 0, BATCH)).toBe(1);
  expect(into.length(0)).toBe(1050);
  const at = into.findControl(0, SOL_UDP, UDP_GRO, 4);
  expect(at).toBeGreaterThan(0);
  expect(into.bytes[at]).toBe(100);
  expect(into.findControl(0, SOL_UDP, 1, 4)).toBe(-1);
});

const IPPROTO_IP = 0;
const IP_TOS = 1;
const IP_RECVTOS = 13;

test("control messages carry the traffic class both ways", (ctx) => {
  needLibc(ctx);
  const to = udp("127.0.0.1");
  bindTo(to, { address: "127.0.0.1", port: 0 }, "test socket");
  expect(setOption(to, IPPROTO_IP, IP_RECVTOS, 1)).toBe(0);
  const out = batch(24);
  const peer = new Uint8Array(16);
  writeSockaddr(peer, 0, boundEndpoint(to));
  out.setBuffer(0, 0, 10);
  out.copyPeer(0, peer, 0, 16);
  out.setControl32(0, IPPROTO_IP, IP_TOS, 0xb9);
  expect(out.send(udp("127.0.0.1"), 0, 1)).toBe(1);
  const into = batch(64);
  expect(into.receive(to, 0, BATCH)).toBe(1);
  expect(into.bytes[into.findControl(0, IPPROTO_IP, IP_TOS, 1)]).toBe(0xb9);
});

const failure = (action: () => unknown): EspalierError => {
  try {
    action();
  } catch (error) {
    if (error instanceof EspalierError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
};

test("a used port is refused, also when its owner would share it", (ctx) => {
  needLibc(ctx);
  const { port } = group("127.0.0.1", 2);
  const error = failure(() => openUdpGroup({ address: "127.0.0.1", port, workers: 2, slotBits: 12 }));
  expect(error.code).toBe("ESPALIER_IN_USE");
  expect(error.message).toContain(`127.0.0.1:${port}`);
  expect(error.remedy).toBeDefined();
});

test("an address that this machine has not is refused", (ctx) => {
  needLibc(ctx);
  const error = failure(() => openUdpGroup({ address: "192.0.2.77", port: 0, workers: 1, slotBits: 12 }));
  expect(error.code).toBe("ESPALIER_CONFIG");
  expect(error.message).toContain("192.0.2.77");
});

test("what would leave the slab or the batch is a RangeError before any call", (ctx) => {
  needLibc(ctx);
  const made = batch();
  expect(() => made.setBuffer(0, BATCH * ROOM - 1, 2)).toThrow(RangeError);
  expect(() => made.setBuffer(0, -1, 2)).toThrow(RangeError);
  expect(() => made.setBuffer(0, 0.5, 2)).toThrow(RangeError);
  expect(() => made.setBuffer(0, Number.NaN, 2)).toThrow(RangeError);
  expect(() => made.setBuffer(BATCH, 0, 2)).toThrow(RangeError);
  expect(() => made.receive(0, BATCH, 1)).toThrow(RangeError);
  expect(() => made.receive(0, 0, -1)).toThrow(RangeError);
  expect(() => made.send(0, 1, BATCH)).toThrow(RangeError);
  expect(() => made.setPeer(0, AF_INET6, new Uint8Array(15), 0, 1)).toThrow(RangeError);
  expect(() => made.copyPeer(0, new Uint8Array(64), 0, 33)).toThrow(RangeError);
  expect(() => made.setControlLength(0, 1)).toThrow(RangeError);
  expect(() => new MsgBatch({ slab: made.slab, capacity: 1025 })).toThrow(RangeError);
});
