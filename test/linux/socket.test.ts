import { createSocket } from "node:dgram";
import { expect, test } from "vitest";
import * as libc from "../../src/linux/libc.ts";
import { Memory } from "../../src/linux/memory.ts";
import {
  bindTo,
  boundEndpoint,
  openSocket,
  overrunsOf,
  SO_RCVBUF,
  SOCK_DGRAM,
  SOL_SOCKET,
  setOption,
} from "../../src/linux/socket.ts";

test("what a full socket did not take is counted", async () => {
  const fd = openSocket("127.0.0.1", SOCK_DGRAM, 0, "test");
  bindTo(fd, { address: "127.0.0.1", port: 0 }, "test");
  setOption(fd, SOL_SOCKET, SO_RCVBUF, 4096);
  expect(overrunsOf(fd)).toBe(0);
  const sender = createSocket("udp4");
  const { port } = boundEndpoint(fd);
  const sent = 50;
  for (let i = 0; i < sent; i++)
    await new Promise((done) => sender.send(new Uint8Array(1000), port, "127.0.0.1", done));
  sender.close();
  const memory = Memory.allocate(2048);
  let came = 0;
  while (libc.read(fd, memory, 0, 2048) > 0) came++;
  expect(came).toBeGreaterThan(0);
  expect(overrunsOf(fd)).toBe(sent - came);
  libc.close(fd);
  expect(overrunsOf(-1)).toBe(0);
});
