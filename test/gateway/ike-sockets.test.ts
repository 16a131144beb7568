import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { toHex } from "../../src/bytes.ts";
import { IkeSockets } from "../../src/gateway/ike-sockets.ts";
import type { Path } from "../../src/ike/effect.ts";
import { markPackets, openIkePort } from "../../src/linux/ike-port.ts";
import { close } from "../../src/linux/libc.ts";
import { getOption, IP_TOS, IPPROTO_IP, IPPROTO_IPV6, IPV6_TCLASS } from "../../src/linux/socket.ts";
import { closeUdpGroup, openUdpGroup, type UdpGroup } from "../../src/linux/udp.ts";

const HERE = "127.0.0.1";

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

const until = async (done: () => boolean): Promise<void> => {
  for (let turn = 0; turn < 500 && !done(); turn++) await new Promise((wake) => setTimeout(wake, 5));
};

beforeEach(async () => {
  received = [];
  atPeer = [];
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
    onSendError: (_, error) => {
      throw error;
    },
  });
  await ike.open(HERE, group.control);
});

afterEach(async () => {
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

test("a port that is taken is a typed error with a remedy", async () => {
  const other = openUdpGroup({ address: HERE, port: 0, workers: 1, slotBits: 8 });
  const second = new IkeSockets({
    ikePort: ports.ike,
    nattPort: other.port,
    dscp: 48,
    onMessage: () => {},
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
