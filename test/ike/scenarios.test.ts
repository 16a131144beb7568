/** Stories of two gateways that no single exchange tells. */
import { describe, expect, test } from "vitest";
import { Exchange, emitMessage, notifies, parseHeader, parseMessage } from "../../src/ike/message.ts";
import { Notify } from "../../src/ike/notify.ts";
import {
  B,
  connection,
  disagreements,
  drawn,
  gaps,
  identity,
  ike,
  type Setup,
  selectors,
  twoPeers,
} from "../support/two-peers.ts";

describe("each type of identity", () => {
  test.each([
    ["an IPv4 address", "203.0.113.7", "203.0.113.8"],
    ["an IPv6 address", "2001:db8::7", "2001:db8::8"],
    ["a domain name", "GW.branch.example", "gw.branch.example.org"],
    ["an e-mail address", "gw@branch.example", "gw@other.example"],
    ["a distinguished name", "CN=gw,O=Example,C=CH", "CN=gw,O=Example"],
    ["a key ID", "keyid:0a0b0c", "keyid:0a0b0c00"],
  ])("%s is proven, and another of its kind refused", (_what, own, other) => {
    for (const [expected, state] of [
      [own, "up"],
      [other, "down"],
    ] as const) {
      const peers = twoPeers({
        a: { local: { address: "192.0.2.1", id: identity(own) } },
        b: { remote: { address: "192.0.2.1", port: 500, id: identity(expected.toLowerCase()) } },
      });
      peers.a.initiate();
      peers.run(1_000);
      expect([expected, peers.b.status().state]).toEqual([expected, state]);
      expect(peers.b.count("refused-inits")).toBe(0);
      if (state === "down") expect(peers.a.status().lastError).toContain("AUTHENTICATION_FAILED");
    }
  });
});

//   SA {aes256gcm16-ecp256, aes128-sha256-modp2048}, KE ecp256 -->
//                                                              <-- N(INVALID_KE_PAYLOAD, modp2048)
//   the same SA, KE modp2048                                    -->
test("of two proposals, AEAD first, a responder that has the second alone asks for its group and gets it", () => {
  const peers = twoPeers({
    a: { proposals: ike("aes256gcm16-prfsha256-ecp256", "aes128-sha256-modp2048") },
    b: { proposals: ike("aes128-sha256-modp2048") },
  });
  const { a, b, connect, link } = peers;
  connect();
  expect(drawn(link.sent)).toEqual([
    "a> IKE_SA_INIT request 0",
    "b> IKE_SA_INIT answer 0",
    "a> IKE_SA_INIT request 0",
    "b> IKE_SA_INIT answer 0",
    "a> IKE_AUTH request 1",
    "b> IKE_AUTH answer 1",
  ]);
  const [refusal] = notifies(parseMessage(link.sent[1]!.bytes).payloads, Notify.INVALID_KE_PAYLOAD);
  expect(refusal?.data).toEqual(Uint8Array.of(0, 14));
  expect([a, b].map((peer) => peer.status().ikeSa?.proposal)).toEqual(
    Array(2).fill("aes128-sha256-prfsha256-modp2048"),
  );
  expect(disagreements(peers)).toEqual([]);
});

describe("a point off the curve (RFC 6989)", () => {
  /** The public value of an IKE_SA_INIT message with one bit changed. */
  const forged = (bytes: Uint8Array): Uint8Array => {
    const { header, payloads } = parseMessage(bytes);
    return emitMessage(
      header,
      payloads.map((payload) => {
        if (payload.kind !== "KE") return payload;
        const data = payload.value.data.slice();
        data[40]! ^= 1;
        return { ...payload, value: { ...payload.value, data } };
      }),
    );
  };
  const setup: Setup = {
    a: { proposals: ike("aes256gcm16-prfsha256-ecp256") },
    b: { proposals: ike("aes256gcm16-prfsha256-ecp256") },
  };

  test("in a request is INVALID_SYNTAX, and nothing is kept", () => {
    const { a, b, link, run } = twoPeers(setup);
    link.meddler = (datagram) =>
      datagram.to.address === B ? [{ ...datagram, bytes: forged(datagram.bytes) }] : [datagram];
    a.initiate();
    run(100);
    const [answer] = link.sent.filter(({ from }) => from.address === B);
    expect(notifies(parseMessage(answer!.bytes).payloads, Notify.INVALID_SYNTAX)).toHaveLength(1);
    expect(b.manager.held).toEqual({ halfOpen: 0, all: 0, keyWorks: 0 });
  });

  test("in an answer is not believed: the right one may still come", () => {
    const peers = twoPeers(setup);
    const { a, link, run } = peers;
    let spoiled = 0;
    link.meddler = (datagram) => {
      const { exchange, isResponse } = parseHeader(datagram.bytes);
      if (exchange !== Exchange.IKE_SA_INIT || !isResponse || spoiled++ > 0) return [datagram];
      return [{ ...datagram, bytes: forged(datagram.bytes) }];
    };
    a.initiate();
    run(100);
    expect([a.status().state, a.count("unproven-errors")]).toEqual(["connecting", 1]);
    run(2_000);
    expect(a.status().state).toBe("up");
    expect(disagreements(peers)).toEqual([]);
  });
});

test("without liveness nobody asks: a dead peer stays up until something is to be said to it", () => {
  const { a, b, connect, link, run } = twoPeers({ a: { liveness: undefined }, b: { liveness: undefined } });
  connect();
  const before = link.sent.length;
  b.crash();
  run(3_000_000);
  expect([a.status().state, link.sent.length]).toEqual(["up", before]);
  a.rekey("children");
  run(70_000);
  expect(a.status().state).toBe("down");
});

test("whose lifetime is shorter rekeys, again and again, without a gap; the other's never comes to its turn", () => {
  const [short, long] = [600_000, 86_400_000];
  const of = (lifetime: number) => ({
    lifetime: lifetime * 3,
    children: connection("a").children.map((one) => ({ ...one, lifetime })),
  });
  const peers = twoPeers({ a: of(long), b: of(short) });
  const { a, b, connect, link, run } = peers;
  connect();
  const first = { ike: a.status().ikeSa?.spiI, pair: [...a.data.pairs.keys()] };
  run(6 * short, () => expect(gaps(peers)).toEqual([]));
  const requests = drawn(link.sent).filter((line) => line.includes("CREATE_CHILD_SA request"));
  expect(new Set(requests.map((line) => line.slice(0, 2)))).toEqual(new Set(["b>"]));
  expect(requests.length).toBeGreaterThanOrEqual(8); // six of the child, two of the IKE SA
  expect([first.ike === a.status().ikeSa?.spiI, first.pair]).not.toEqual([true, [...a.data.pairs.keys()]]);
  expect([a.manager.held.all, b.manager.held.all, a.data.pairs.size]).toEqual([1, 1, 1]);
  expect(disagreements(peers)).toEqual([]);
});

test("several connections with one peer: what becomes of one is nothing to the others", () => {
  const names = ["one", "two", "three"];
  const of = (side: "a" | "b") =>
    names.map((name, n) => {
      const { local, remote, children } = connection(side);
      const id = identity(`${name}.a.example`);
      const net = selectors(`10.${n}.0.0/16`);
      return connection(side, {
        name,
        local: side === "a" ? { ...local, id } : local,
        remote: side === "b" ? { ...remote, id } : remote,
        children: children.map((one) => ({ ...one, name, local: net, remote: net })),
      });
    });
  const peers = twoPeers({ connectionsA: of("a"), connectionsB: of("b") });
  const { a, b, run } = peers;
  for (const name of names) a.initiate(name);
  run(1_000);
  for (const what of ["children", "ike"] as const) {
    for (const name of names) for (const peer of [a, b]) peer.rekey(what, name); // at once
    run(30_000, () => expect(gaps(peers)).toEqual([]));
  }
  expect([a.data.pairs.size, a.manager.held.all, b.manager.held.all]).toEqual([3, 3, 3]);
  a.terminate("one");
  run(1_000);
  expect(names.map((name) => b.status(name).state)).toEqual(["down", "up", "up"]);
  expect([...a.data.pairs.values()].map(({ child }) => child)).toEqual(["two", "three"]);
  expect(disagreements(peers)).toEqual([]);
});
