import { expect, test } from "vitest";
import { parseHeader } from "../../src/ike/header.ts";
import { IkeSa } from "../../src/ike/ike-sa.ts";
import { noteWindow } from "../../src/ike/message-ids.ts";
import { Notify } from "../../src/ike/notify.ts";
import { notifyPayload } from "../../src/ike/payloads.ts";
import { A, B, child, disagreements, drawn, type TwoPeers, twoPeers } from "../support/two-peers.ts";

const MINUTE = 60_000;

const highest = ({ link }: TwoPeers): number => Math.max(...link.sent.map(({ bytes }) => parseHeader(bytes).messageId));

test.each(["a", "b"] as const)("an IKE SA is rekeyed before the message IDs of %s's requests end", (who) => {
  const peers = twoPeers({
    [who]: { liveness: { interval: 10_000 } },
    optionsA: { lastMessageId: 100 },
    optionsB: { lastMessageId: 100 },
  });
  const { a, b, connect, run } = peers;
  connect();
  const before = a.status().ikeSa?.spiI;
  run(14 * MINUTE);
  expect(a.status().ikeSa?.spiI).toBe(before);
  run(20 * MINUTE);
  expect(a.status().ikeSa?.spiI).not.toBe(before);
  expect([...a.events(), ...b.events()]).toContain("message-ids-low");
  expect(highest(peers)).toBeLessThan(96);
  expect([a.manager.held.all, b.manager.held.all]).toEqual([1, 1]);
  expect(disagreements(peers)).toEqual([]);
});

test("one that cannot be rekeyed in time is closed with a Delete, and begun again", () => {
  const peers = twoPeers({
    a: { start: "initiate", liveness: { interval: 10_000 } },
    optionsA: { lastMessageId: 8 }, // nothing is left between the rekey and the end
  });
  const { a, b, link, run } = peers;
  a.start();
  run(MINUTE);
  expect(highest(peers)).toBe(5);
  expect(drawn(link.sent).slice(4, 12)).toEqual([
    "a> INFORMATIONAL request 2",
    "b> INFORMATIONAL answer 2",
    "a> INFORMATIONAL request 3",
    "b> INFORMATIONAL answer 3",
    "a> INFORMATIONAL request 4",
    "b> INFORMATIONAL answer 4",
    "a> INFORMATIONAL request 5", // D
    "b> INFORMATIONAL answer 5",
  ]);
  expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
  expect(disagreements(peers)).toEqual([]);
});

const anySa = (): IkeSa => {
  const octets = new Uint8Array(8).fill(1);
  const path = { local: { address: A, port: 500 }, remote: { address: B, port: 500 } };
  return new IkeSa({
    role: "initiator",
    spiI: octets,
    spiR: octets,
    path,
    peering: undefined,
    state: { name: "closed" },
    now: 0,
  });
};

test.each([
  [[0, 0, 0, 5], 5],
  [[255, 255, 255, 255], 2 ** 32 - 1],
  [[0, 0, 0, 0], 1],
  [[0, 0, 5], 1],
  [[], 1],
  [[0, 0, 0, 0, 5], 1],
])("SET_WINDOW_SIZE with %j: the peer takes %i requests at a time", (data, window) => {
  const sa = anySa();
  noteWindow(sa, [notifyPayload(Notify.SET_WINDOW_SIZE, Uint8Array.from(data))]);
  expect(sa.peerWindow).toBe(window);
});

test("a window only grows", () => {
  const sa = anySa();
  for (const size of [3, 7, 2]) noteWindow(sa, [notifyPayload(Notify.SET_WINDOW_SIZE, Uint8Array.of(0, 0, 0, size))]);
  expect(sa.peerWindow).toBe(7);
});

test("one request is on its way at a time, whatever there is to ask", () => {
  const children = [child({ sas: 4 })];
  const { a, connect, link, run } = twoPeers({ a: { children }, b: { children } });
  connect();
  link.sent.length = 0;
  a.rekey("children");
  run(5_000);
  expect(link.sent).toHaveLength(16);
  let pending = 0;
  for (const line of drawn(link.sent)) {
    pending += line.startsWith("a>") && line.includes("request") ? 1 : 0;
    expect(pending).toBeLessThanOrEqual(1);
    pending -= line.startsWith("b>") && line.includes("answer") ? 1 : 0;
  }
});
