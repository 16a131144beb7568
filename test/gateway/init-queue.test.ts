import { expect, test } from "vitest";
import { InitQueue } from "../../src/gateway/init-queue.ts";
import { Exchange, emitMessage, type Payload } from "../../src/ike/message.ts";
import { Notify } from "../../src/ike/notify.ts";
import { notifyPayload } from "../../src/ike/payloads.ts";

const path = { local: { address: "192.0.2.1", port: 500 }, remote: { address: "192.0.2.2", port: 500 } };

const message = (exchange: number, isResponse: boolean, n = 1, payloads: readonly Payload[] = []): Uint8Array =>
  emitMessage(
    {
      spiI: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, n),
      spiR: new Uint8Array(8),
      exchange,
      fromInitiator: !isResponse,
      isResponse,
      messageId: 0,
    },
    payloads,
  );

const beginning = (n: number): Uint8Array => message(Exchange.IKE_SA_INIT, false, n);
const turn = () => new Promise((wake) => setImmediate(wake));

/** A queue that notes what it serves, and how much at a time. */
const made = (options: { most?: number; slice?: number } = {}) => {
  const served: number[] = [];
  let dropped = 0;
  const queue = new InitQueue({
    serve: (bytes) => served.push(bytes[7]!),
    onDrop: () => dropped++,
    ...options,
  });
  return { queue, served, dropped: () => dropped };
};

test("only requests to begin wait; all else is the caller's at once", async () => {
  const { queue, served } = made();
  expect(queue.take(message(Exchange.IKE_SA_INIT, true), path)).toBe(false);
  expect(queue.take(message(Exchange.IKE_AUTH, false), path)).toBe(false);
  expect(queue.take(message(Exchange.INFORMATIONAL, false), path)).toBe(false);
  expect(queue.take(beginning(1).subarray(0, 27), path)).toBe(false);
  expect(queue.take(new Uint8Array(0), path)).toBe(false);
  expect(queue.take(beginning(7), path)).toBe(true);
  expect(served).toEqual([]);
  await turn();
  expect(served).toEqual([7]);
});

test("they are served in order, a slice at a time", async () => {
  const { queue, served } = made({ slice: 0 });
  for (let n = 1; n <= 3; n++) queue.take(beginning(n), path);
  const seen: number[] = [];
  for (let n = 0; n < 5; n++) {
    await turn();
    seen.push(served.length);
  }
  expect(served).toEqual([1, 2, 3]);
  expect(seen[0]).toBeLessThan(3);
});

test("who brings back a cookie is served though strangers have filled their queue", async () => {
  const { queue, served, dropped } = made({ most: 3 });
  for (let n = 1; n <= 5; n++) queue.take(beginning(n), path);
  const cookie = notifyPayload(Notify.COOKIE, new Uint8Array(20));
  const returning = message(Exchange.IKE_SA_INIT, false, 9, [cookie, notifyPayload(Notify.INITIAL_CONTACT)]);
  queue.take(returning, path);
  queue.take(message(Exchange.IKE_SA_INIT, false, 6, [notifyPayload(Notify.INITIAL_CONTACT), cookie]), path); // not first
  await turn();
  expect(served).toEqual([9, 1, 2, 3]);
  expect(dropped()).toBe(3);
});

test("what finds the queue full is dropped and counted, and the queue empties again", async () => {
  const { queue, served, dropped } = made({ most: 4 });
  for (let n = 1; n <= 10; n++) expect(queue.take(beginning(n), path)).toBe(true);
  expect(dropped()).toBe(6);
  await turn();
  expect(served).toEqual([1, 2, 3, 4]);
  queue.take(beginning(5), path);
  await turn();
  expect(served).toEqual([1, 2, 3, 4, 5]);
});

test("nothing is served after it is closed", async () => {
  const { queue, served } = made();
  queue.take(beginning(1), path);
  queue.close();
  await turn();
  expect(served).toEqual([]);
});
