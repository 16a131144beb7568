import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { toHex } from "../../src/bytes.ts";
import { IkeSockets } from "../../src/gateway/ike-sockets.ts";
import type { Path } from "../../src/ike/effect.ts";
import { markPackets, openIkePort } from "../../src/linux/ike-port.ts";
import { close } from "../../src/linux/libc.ts";
import { Memory } from "../../src/linux/memory.ts";
import { MsgBatch } from "../../src/linux/msg-batch.ts";
import { AF_INET } from "../../src/linux/sockaddr.ts";
import {
  bindTo,
  boundEndpoint,
  getOption,
  IP_TOS,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_TCLASS,
  openSocket,
  SOCK_DGRAM,
  SOCK_RAW,
  SOL_UDP,
  UDP_SEGMENT,
} from "../../src/linux/socket.ts";
import { closeUdpGroup, openUdpGroup, type UdpGroup } from "../../src/linux/udp.ts";
import { enableUdpGro } from "../../src/linux/udp-gro.ts";

const HERE = "127.0.0.1";
const IPPROTO_UDP = 17;

/** A UDP port that nobody has at this moment. */
const freePort = async (): Promise<number> => {
  const socket = createSocket("udp4").bind(0, HERE);
  await once(socket, "listening");
  const { port } = socket.address();
  await new Promise<void>((closed) => socket.close(() => closed()));
  return port;
};

let ike: IkeSockets;
let group: UdpGroup;
let peer: Socket;
let ports: { ike: number; natt: number; peer: number };
let received: { hex: string; path: Path }[];
let atPeer: string[];
let esp: { hex: string; port: number }[];
let badSources: number;
let failed: string[];

const until = async (done: () => boolean): Promise<void> => {
  for (let turn = 0; turn < 500 && !done(); turn++) await new Promise((wake) => setTimeout(wake, 5));
};

beforeEach(async () => {
  received = [];
  atPeer = [];
  esp = [];
  badSources = 0;
  failed = [];
  peer = createSocket("udp4").bind(0, HERE);
  await once(peer, "listening");
  peer.on("message", (bytes) => atPeer.push(toHex(bytes)));
  group = openUdpGroup({ address: HERE, port: 0, workers: 1, slotBits: 8 });
  ports = { ike: await freePort(), natt: group.port, peer: peer.address().port };
  ike = new IkeSockets({
    ikePort: ports.ike,
    nattPort: ports.natt,
    dscp: 48,
    onMessage: (bytes, path) => received.push({ hex: toHex(bytes), path }),
    onEsp: (bytes, remote) => esp.push({ hex: toHex(bytes), port: remote.port }),
    onBadSource: () => {
      badSources++;
    },
    onSendError: (path, error) => failed.push(`${path.remote.port}: ${error.message}`),
  });
  await ike.open(HERE, group.control);
});

afterEach(async () => {
  expect(failed).toEqual([]);
  await ike.close();
  closeUdpGroup(group, { keepControl: true });
  peer.close();
});

const pathFrom = (port: number): Path => ({
  local: { address: HERE, port },
  remote: { address: HERE, port: ports.peer },
});

describe("IKE and ESP share the NAT-T port (RFC 3948 §2.2)", () => {
  test("what leaves there has the non-ESP marker, what leaves the IKE port has none", async () => {
    ike.send(pathFrom(ports.natt), new Uint8Array([0xaa, 0xbb]));
    await until(() => atPeer.length === 1);
    ike.send(pathFrom(ports.ike), new Uint8Array([0xaa, 0xbb]));
    await until(() => atPeer.length === 2);
    expect(atPeer).toEqual(["00000000aabb", "aabb"]);
  });

  test("what comes there loses the marker, and the path tells where it came", async () => {
    peer.send(Buffer.from("00000000aabb", "hex"), ports.natt, HERE);
    await until(() => received.length === 1);
    peer.send(Buffer.from("aabb", "hex"), ports.ike, HERE);
    await until(() => received.length === 2);
    expect(received).toEqual([
      { hex: "aabb", path: pathFrom(ports.natt) },
      { hex: "aabb", path: pathFrom(ports.ike) },
    ]);
  });

  test("a keepalive is one octet 0xff without a marker, and is not taken for a message", async () => {
    ike.keepalive(pathFrom(ports.natt));
    await until(() => atPeer.length === 1);
    expect(atPeer).toEqual(["ff"]);
    peer.send(Buffer.from("ff", "hex"), ports.natt, HERE);
    peer.send(Buffer.from("00000000cc", "hex"), ports.natt, HERE);
    await until(() => received.length > 0);
    expect(received.map(({ hex }) => hex)).toEqual(["cc"]);
  });
});

/** An IKE message behind its marker: a header that tells its length, and `fill` octets. */
const markedIke = (fill: number, octet: number): Buffer => {
  const message = Buffer.alloc(4 + 28 + fill, octet);
  message.writeUInt32BE(0, 0);
  message.writeUInt32BE(28 + fill, 4 + 24);
  return message;
};

test("a train is taken apart by the length that its IKE message tells; what is ESP in it goes on as ESP", async () => {
  expect(enableUdpGro(group.control)).toBe(0);
  const slab = Memory.allocate(4096);
  const out = new MsgBatch({ slab, capacity: 1, controlRoom: 24 });
  const fd = openSocket(HERE, SOCK_DGRAM, 0, "test");
  bindTo(fd, { address: HERE, port: 0 }, "test");
  const { port } = boundEndpoint(fd);
  const [first, second] = [markedIke(12, 7), markedIke(12, 8)];
  const [full, short] = [Buffer.alloc(first.length, 0xee), Buffer.alloc(20, 0xdd)];
  slab.bytes.set(Buffer.concat([first, full, second, short]));
  out.setPeer(0, AF_INET, Uint8Array.of(127, 0, 0, 1), 0, ports.natt);
  out.setBuffer(0, 0, first.length * 3 + short.length);
  out.setControl16(0, SOL_UDP, UDP_SEGMENT, first.length);
  expect(out.send(fd, 0, 1)).toBe(1);
  await until(() => esp.length === 2);
  close(fd);
  expect(received.map(({ hex, path }) => [hex, path.remote.port])).toEqual([
    [toHex(first.subarray(4)), port],
    [toHex(second.subarray(4)), port],
  ]);
  expect(esp).toEqual([
    { hex: toHex(full), port },
    { hex: toHex(short), port },
  ]);
});

test("a message whose length is nonsense goes to IKE as it is", async () => {
  const long = markedIke(0, 1);
  long.writeUInt32BE(5000, 28);
  const none = markedIke(9, 2);
  none.writeUInt32BE(0, 28);
  for (const message of [long, none, markedIke(0, 3).subarray(0, 20)]) {
    peer.send(message, ports.natt, HERE);
    await until(() => received.at(-1)?.hex === toHex(message.subarray(4)));
  }
  expect(received).toHaveLength(3);
  expect(esp).toEqual([]);
});

test("what comes from port 0, where nothing can be sent to, is counted and goes nowhere", async (context) => {
  const slab = Memory.allocate(256);
  const out = new MsgBatch({ slab, capacity: 1, controlRoom: 24 });
  let fd = -1;
  try {
    fd = openSocket(HERE, SOCK_RAW, IPPROTO_UDP, "test");
  } catch (error) {
    context.skip(`needs a raw socket: ${error instanceof Error ? error.message : error}`);
  }
  const [message, packet] = [markedIke(0, 5), Buffer.alloc(40, 0xee)];
  for (const [to, bytes] of [
    [ports.ike, message.subarray(4)],
    [ports.natt, message],
    [ports.natt, packet],
  ] as const) {
    const header = Buffer.alloc(8); // source port 0, no checksum
    header.writeUInt16BE(to, 2);
    header.writeUInt16BE(8 + bytes.length, 4);
    slab.bytes.set(Buffer.concat([header, bytes]));
    out.setPeer(0, AF_INET, Uint8Array.of(127, 0, 0, 1), 0, 0);
    out.setBuffer(0, 0, header.length + bytes.length);
    expect(out.send(fd, 0, 1)).toBe(1);
  }
  close(fd);
  peer.send(markedIke(0, 6), ports.natt, HERE);
  await until(() => received.length === 1 && badSources >= 2);
  expect([received.length, esp.length, failed.length]).toEqual([1, 0, 0]);
  expect(badSources).toBe(2); // the ESP packet is its worker's
});

test("what node refuses to send at once is lost as on the wire, and said", () => {
  ike.send({ ...pathFrom(ports.ike), remote: { address: HERE, port: 0 } }, new Uint8Array(1));
  expect(failed).toEqual([expect.stringMatching(/^0: .*[Pp]ort/)]);
  failed = [];
});

test("a port that is taken is a typed error with a remedy", async () => {
  const other = openUdpGroup({ address: HERE, port: 0, workers: 1, slotBits: 8 });
  const second = new IkeSockets({
    ikePort: ports.ike,
    nattPort: other.port,
    dscp: 48,
    onMessage: () => {},
    onEsp: () => {},
    onBadSource: () => {},
    onSendError: () => {},
  });
  await expect(second.open(HERE, other.control)).rejects.toMatchObject({
    code: "ESPALIER_IN_USE",
    remedy: expect.stringContaining("another port"),
  });
  await second.close();
  for (const fd of other.workers) close(fd);
});

test.each([HERE, "::1"])("packets of IKE from %s are marked CS6, and no others", async (address) => {
  const options = address === HERE ? [IPPROTO_IP, IP_TOS] : [IPPROTO_IPV6, IPV6_TCLASS];
  const fd = openIkePort({ address, port: 0 });
  const plain = openIkePort({ address, port: 0 });
  markPackets(fd, address, 48);
  expect([getOption(fd, options[0]!, options[1]!), getOption(plain, options[0]!, options[1]!)]).toEqual([0xc0, 0]);
  close(fd);
  close(plain);
});

test("a path that begins at no socket of ours is a bug", () => {
  expect(() => ike.send(pathFrom(1), new Uint8Array(1))).toThrow(RangeError);
});
