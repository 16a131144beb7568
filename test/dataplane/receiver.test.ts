/** Trains of datagrams from a real socket: cut where they lie, none lost, none divided without need. */
import { afterEach, expect, test } from "vitest";
import { Arena, DEFAULT_BATCH } from "../../src/dataplane/arena.ts";
import { InboundBatch } from "../../src/dataplane/inbound.ts";
import { Receiver, SocketKind } from "../../src/dataplane/receiver.ts";
import * as libc from "../../src/linux/libc.ts";
import { Memory } from "../../src/linux/memory.ts";
import { MsgBatch } from "../../src/linux/msg-batch.ts";
import { AF_INET } from "../../src/linux/sockaddr.ts";
import { bindTo, boundEndpoint, openSocket, SOCK_DGRAM } from "../../src/linux/socket.ts";
import { addTos, enableTos } from "../../src/linux/tos.ts";
import { enableUdpGro, MAX_TRAIN } from "../../src/linux/udp-gro.ts";

const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const LOOPBACK = Uint8Array.from([127, 0, 0, 1]);

const fds: number[] = [];
afterEach(() => {
  for (const fd of fds.splice(0)) libc.close(fd);
});

const bound = (): { fd: number; port: number } => {
  const fd = openSocket("127.0.0.1", SOCK_DGRAM, 0, "test");
  fds.push(fd);
  bindTo(fd, { address: "127.0.0.1", port: 0 }, "test");
  return { fd, port: boundEndpoint(fd).port };
};

const setUp = ({ trains = true, size = DEFAULT_BATCH } = {}) => {
  const to = bound();
  const from = bound();
  if (trains) expect(enableUdpGro(to.fd)).toBe(0);
  expect(enableTos(to.fd, 4)).toBe(0);
  const arena = new Arena(MAX_TRAIN);
  const receiver = new Receiver(arena, size);
  const batch = new InboundBatch(size, receiver.sources);
  const slab = Memory.allocate(65536);
  const out = new MsgBatch({ slab, capacity: 1, controlRoom: 48 });
  out.setPeer(0, AF_INET, LOOPBACK, 0, to.port);
  return {
    port: from.port,
    /** One train of datagrams of `size`, or one datagram; all octets of a datagram are its number. */
    send(length: number, size: number, first: number, tos = 0) {
      for (let i = 0; i < length; i++) slab.bytes[i] = first + Math.floor(i / size);
      out.setBuffer(0, 0, length);
      if (size < length) out.setControl16(0, SOL_UDP, UDP_SEGMENT, size);
      else out.setControlLength(0, 0);
      if (tos !== 0) addTos(out, 0, 4, tos);
      expect(out.send(from.fd, 0, 1)).toBe(1);
    },
    /** Outer TOS of each packet of one batch. */
    classes() {
      expect(receiver.receive(to.fd, SocketKind.UDP)).toBeGreaterThan(0);
      receiver.take(batch);
      return [...batch.outerTos.subarray(0, batch.count)];
    },
    /** Batches of packets: the number of each, and its octets. */
    receive() {
      const batches: [number, number][][] = [];
      while (receiver.receive(to.fd, SocketKind.UDP) > 0)
        while (receiver.take(batch) > 0) {
          const packets: [number, number][] = [];
          for (let n = 0; n < batch.count; n++) {
            const octets = arena.slab.subarray(batch.at[n]!, batch.at[n]! + batch.length[n]!);
            expect(new Set(octets).size).toBe(1);
            expect(batch.truncated[n]).toBe(0);
            const source = batch.sources.subarray(batch.sourceAt[n]!, batch.sourceAt[n]! + batch.sourceLength[n]!);
            expect([...source, batch.sourcePort[n]]).toEqual([...LOOPBACK, from.port]);
            packets.push([octets[0]!, octets.length]);
          }
          batches.push(packets);
        }
      return batches;
    },
  };
};

test("a train is as many packets, the last may be shorter", () => {
  const { send, receive } = setUp();
  send(10 * 1432 + 96, 1432, 7);
  expect(receive()).toEqual([[...Array.from({ length: 10 }, (_, i) => [7 + i, 1432]), [17, 96]]]);
});

test("trains and single datagrams share a batch; a train that does not fit begins the next", () => {
  const { send, receive } = setUp();
  send(100, 100, 1);
  send(40 * 1000, 1000, 2);
  send(200, 200, 3);
  send(60 * 1000, 1000, 4);
  send(40 * 1000, 1000, 5);
  expect(receive().map((packets) => packets.length)).toEqual([102, 40]);
});

test("a batch that is shorter than a train takes it in parts, in order", () => {
  const { send, receive } = setUp({ size: 3 });
  send(10 * 100, 100, 1);
  send(700, 700, 50);
  expect(receive()).toEqual([
    ...[1, 4, 7].map((from) => [0, 1, 2].map((i) => [from + i, 100])),
    [
      [10, 100],
      [50, 700],
    ],
  ]);
});

test("without trains every datagram comes alone, as many as there are", () => {
  const { send, receive } = setUp({ trains: false });
  send(50 * 1000, 1000, 0);
  send(50 * 1000, 1000, 50);
  const packets = receive().flat();
  expect(packets).toEqual(Array.from({ length: 100 }, (_, i) => [i, 1000]));
  send(65_000, 65_000, 9);
  expect(receive()).toEqual([[[9, 65_000]]]);
});

test("the longest train of the smallest packets", () => {
  const { send, receive } = setUp();
  send(64, 1, 0);
  expect(receive()[0]).toEqual(Array.from({ length: 64 }, (_, i) => [i, 1]));
});

test("all packets of a train have the class of the train, and the next one has its own", () => {
  const { send, classes } = setUp();
  send(3000, 1000, 1, 0xb9);
  send(2000, 1000, 4);
  send(1000, 1000, 6, 3);
  expect(classes()).toEqual([0xb9, 0xb9, 0xb9, 0, 0, 3]);
});
