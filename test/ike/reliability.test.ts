/** Requests that are sent again, peers that are looked for elsewhere, questions whether they live: RFC 7296 §2.1, §2.4. */
import { describe, expect, test } from "vitest";
import { A, B, connection, disagreements, drawn, identity, twoPeers } from "../support/two-peers.ts";

const C = "192.0.2.3";
const NAME = "gw.b.example";
const SHORT = { first: 500, factor: 2, tries: 3 };

test("each wait is shorter by jitter, never longer, and not the same for two", () => {
  const waits = [1, 2].map((seed) => {
    const { a, link, run } = twoPeers({
      seed,
      a: { retransmit: { first: 1_000, factor: 2, tries: 6, jitter: 0.5 } },
    });
    link.meddler = () => [];
    a.initiate();
    run(100_000);
    const times = link.sent.map(({ at }) => at);
    return times.slice(1).map((at, n) => at - times[n]!);
  });
  for (const [n, wait] of waits.flat().entries()) {
    const most = 1_000 * 2 ** (n % 5);
    expect(wait).toBeLessThanOrEqual(most);
    expect(wait).toBeGreaterThanOrEqual(most / 2);
  }
  expect(waits[0]).toHaveLength(5);
  expect(waits[0]).not.toEqual(waits[1]);
});

describe("liveness", () => {
  test("a node that asks nothing answers whoever asks", () => {
    const { a, b, connect, link, run } = twoPeers({
      a: { liveness: { interval: 10_000 } },
      b: { liveness: undefined },
    });
    connect();
    link.sent.length = 0;
    run(60_000);
    expect(drawn(link.sent).slice(0, 2)).toEqual(["a> INFORMATIONAL request 2", "b> INFORMATIONAL answer 2"]);
    expect(drawn(link.sent).filter((line) => line.startsWith("b> INFORMATIONAL request"))).toEqual([]);
    expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
  });

  test("where both ends would ask, one question does for both", () => {
    const both = { liveness: { interval: 10_000 } };
    const { a, b, connect, link, run } = twoPeers({ a: both, b: both });
    connect();
    link.sent.length = 0;
    run(60_500);
    const asked = drawn(link.sent).filter((line) => line.includes("request"));
    expect(asked.map((line) => line.slice(0, 2))).toEqual(Array(6).fill("a>"));
    link.meddler = ({ from, ...rest }) => (from.address === A ? [] : [{ from, ...rest }]); // a is not heard any more
    run(11_500);
    expect(drawn(link.sent).some((line) => line.startsWith("b> INFORMATIONAL request"))).toBe(true);
    expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
  });

  test("periodic: asked every interval, whatever traffic says", () => {
    const { a, connect, link, run } = twoPeers({ a: { liveness: { interval: 10_000, mode: "periodic" } } });
    connect();
    link.sent.length = 0;
    const [spiIn = 0] = a.data.pairs.keys();
    for (let second = 0; second < 60; second++) {
      a.data.packets.set(spiIn, { packetsIn: second + 1, packetsOut: 0 });
      run(1_000);
    }
    expect(drawn(link.sent).filter((line) => line.includes("request"))).toHaveLength(6);
  });

  test("on demand: a peer is asked that is silent though packets go to it, and no other", () => {
    const { a, connect, link, run } = twoPeers({
      a: { liveness: { interval: 10_000, mode: "on-demand", retry: 2_000 } },
    });
    connect();
    const [spiIn = 0] = a.data.pairs.keys();
    const asked = (packetsIn: number, packetsOut: number): number => {
      link.sent.length = 0;
      a.data.packets.set(spiIn, { packetsIn, packetsOut });
      run(10_000);
      return drawn(link.sent).filter((line) => line.startsWith("a> INFORMATIONAL request")).length;
    };
    expect(asked(0, 0)).toBe(0); // idle
    expect(asked(1, 0)).toBe(0);
    expect(asked(2, 5)).toBe(0); // answered by ESP
    expect(asked(2, 6)).toBe(1);
    expect(asked(2, 6)).toBe(0); // idle again
    link.meddler = () => [];
    run(60_000);
    expect(a.status().state).toBe("up"); // nobody wants anything of it
    a.data.packets.set(spiIn, { packetsIn: 2, packetsOut: 7 });
    run(21_000); // 10 s, and five questions of 2 s
    expect(a.status().state).toBe("down");
  });

  //   INFORMATIONAL {} -->   at 10 s, 12 s, 14 s, 16 s, 18 s; the peer is given up at 20 s
  test("with a retry time: five questions, then the peer is given up", () => {
    const { a, connect, link, run } = twoPeers({ a: { liveness: { interval: 10_000, retry: 2_000 } } });
    connect();
    link.sent.length = 0;
    link.meddler = () => [];
    run(18_900);
    expect(drawn(link.sent)).toEqual(Array(5).fill("a> INFORMATIONAL request 2"));
    expect(a.status().state).toBe("up");
    run(1_200);
    expect(a.status().state).toBe("down");
    expect(a.log("peer-silent")).toBeDefined();
  });

  test("ESP that comes meanwhile says that the peer lives: it is asked on, not given up", () => {
    const { a, connect, link, run } = twoPeers({ a: { liveness: { interval: 10_000, retry: 2_000 } } });
    connect();
    const [spiIn = 0] = a.data.pairs.keys();
    link.meddler = () => [];
    run(15_000); // asked in vain three times
    for (let second = 0; second < 60; second++) {
      a.data.packets.set(spiIn, { packetsIn: second + 1, packetsOut: 0 });
      run(1_000);
    }
    expect(a.status().state).toBe("up");
    link.meddler = (datagram) => [datagram];
    run(20_000);
    expect(a.status().state).toBe("up");
    link.meddler = () => [];
    run(40_000);
    expect(a.status().state).toBe("down");
  });
});

describe("a peer known by name", () => {
  const byName = { remote: { address: NAME, port: 500, id: identity("b.example") } };

  test("is resolved before each attempt, anew", () => {
    const peers = twoPeers({ a: { ...byName, start: "initiate", retransmit: SHORT } });
    const { a, b, link, run } = peers;
    a.names.set(NAME, [C]);
    a.start();
    expect(a.status()).toMatchObject({ state: "connecting", remote: `${NAME}:500` });
    run(100);
    expect(link.sent.map(({ to }) => to.address)).toEqual([C]);
    a.names.set(NAME, ["2001:db8::2", B]); // it moves; an address of another family is none
    run(10_000);
    expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
    expect(a.status().remote).toBe(`${B}:500`);
    expect(disagreements(peers)).toEqual([]);
  });

  //   IKE_SA_INIT to the first address  -->   no answer
  //   IKE_SA_INIT to the second, at once -->
  //                                      <-- IKE_SA_INIT
  test("has its addresses tried in turn, at once, before its backup, and is resolved anew after that", () => {
    const backups = ["192.0.2.5"];
    const remote = { ...byName.remote, backups };
    const { a, link, run } = twoPeers({ a: { remote, start: "initiate", retransmit: { ...SHORT, tries: 1 } } });
    link.meddler = () => [];
    a.names.set(NAME, [C, "2001:db8::2", "192.0.2.4"]);
    a.start();
    run(4_000);
    a.names.set(NAME, [B]);
    const order = () => link.sent.filter(({ from }) => from.address === A).map(({ to }) => to.address);
    expect(order().slice(0, 3)).toEqual([C, "192.0.2.4", "192.0.2.5"]);
    const [first, second, third] = link.sent.map(({ at }) => at);
    expect([second! - first!, third! - second!]).toEqual([500, 500]);
    link.meddler = (datagram) => [datagram];
    run(10_000);
    expect([a.status().state, a.status().remote]).toEqual(["up", `${B}:500`]);
  });

  test("is begun with its first address again once the second was up", () => {
    const { a, b, link, run } = twoPeers({ a: { ...byName, retransmit: SHORT } });
    a.names.set(NAME, [C, B, "192.0.2.4"]);
    for (const _time of [1, 2]) {
      link.sent.length = 0;
      a.initiate();
      run(10_000);
      expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
      expect([...new Set(link.sent.filter(({ from }) => from.address === A).map(({ to }) => to.address))]).toEqual([
        C,
        B,
      ]);
      a.terminate();
      run(1_000);
    }
  });

  test("with a thousand addresses has eight of them tried", () => {
    const { a, link, run } = twoPeers({ a: { ...byName, retransmit: { ...SHORT, tries: 1 } } });
    link.meddler = () => [];
    a.names.set(
      NAME,
      Array.from({ length: 1_000 }, (_, n) => `198.51.${n >> 8}.${n & 255}`),
    );
    a.initiate();
    run(20_000);
    expect([link.sent.length, a.status().state]).toEqual([8, "down"]);
  });

  test("that has no address, or whose resolver hangs, is tried again for ever", () => {
    const { a, run } = twoPeers({ a: { ...byName, start: "initiate" } });
    a.names.set(NAME, []);
    a.start();
    run(60_000);
    expect(a.status()).toMatchObject({ state: "connecting", lastError: `${NAME} has no IPv4 address` });
    a.names.delete(NAME);
    run(60_000);
    expect(a.events().filter((event) => event === "peer-unresolved").length).toBeGreaterThan(3);
    a.names.set(NAME, [B]);
    run(100_000);
    expect(a.status().state).toBe("up");
  });

  test("an answer that nobody waits for any more begins nothing", () => {
    const { a, run, link } = twoPeers({ a: byName });
    a.names.set(NAME, [B]);
    a.initiate();
    a.terminate();
    run(1_000);
    expect(link.sent).toEqual([]);
    expect(a.status().state).toBe("down");
    a.apply(a.manager.resolved("tunnel", "other.example", [B], 2_000));
    expect(a.manager.held.all).toBe(0);
  });

  test("may begin itself, from wherever its name has moved to, and proves who it is", () => {
    const { a, b, run } = twoPeers({ a: byName });
    b.initiate();
    run(1_000);
    expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
  });

  test("and by an address too may begin from elsewhere, one known by addresses alone may not", () => {
    for (const [backups, state] of [
      [[NAME], "up"],
      [["192.0.2.4"], "down"],
    ] as const) {
      const { a, b, run } = twoPeers({ a: { remote: { ...byName.remote, address: C, backups } } });
      b.initiate();
      run(70_000);
      expect([backups, a.status().state]).toEqual([backups, state]);
    }
  });
});

describe("backup peers", () => {
  const remote = { address: C, backups: ["192.0.2.4", B], port: 500, id: identity("b.example") };

  test("are tried in turn, at once, before the first one again", () => {
    const peers = twoPeers({ a: { remote, retransmit: SHORT } });
    const { a, b, link, run } = peers;
    a.initiate();
    run(10_000);
    expect([...new Set(link.sent.filter(({ from }) => from.address === A).map(({ to }) => to.address))]).toEqual([
      C,
      "192.0.2.4",
      B,
    ]);
    expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
    b.terminate();
    run(1_000); // and the first one is preferred again
    link.sent.length = 0;
    a.initiate();
    run(100);
    expect(link.sent.filter(({ to }) => to.address === C)).not.toEqual([]);
  });

  test("when none answers, all are tried again after a pause that grows", () => {
    const { a, link, run } = twoPeers({ a: { remote, start: "initiate", retransmit: { ...SHORT, tries: 1 } } });
    link.meddler = () => [];
    a.start();
    run(30_000);
    const order = link.sent.map(({ to }) => to.address);
    expect(order.slice(0, 6)).toEqual([...order.slice(0, 3), ...order.slice(0, 3)]);
    const pauses = [3, 6, 9].map((n) => link.sent[n]!.at - link.sent[n - 1]!.at);
    expect(pauses[2]).toBeGreaterThan(pauses[0]!);
    expect(a.status().state).toBe("connecting");
  });
});

describe("start: trap", () => {
  test("the first packet begins it, once", () => {
    const peers = twoPeers({ a: { start: "trap" } });
    const { a, b, run, link } = peers;
    a.start();
    run(10_000);
    expect(link.sent).toEqual([]);
    for (let n = 0; n < 20; n++) a.trapped();
    run(1_000);
    for (let n = 0; n < 20; n++) a.trapped();
    run(1_000);
    expect(drawn(link.sent)).toHaveLength(4);
    expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
    expect(disagreements(peers)).toEqual([]);
  });

  test("a peer that does not answer is not begun again by every packet that waits", () => {
    const { a, link, run } = twoPeers({ a: { start: "trap", retransmit: { ...SHORT, tries: 1 } } });
    link.meddler = () => [];
    for (let n = 0; n < 6_000; n++) {
      a.trapped();
      run(10);
    }
    expect(link.sent.length).toBeLessThan(12);
    expect(link.sent.length).toBeGreaterThan(3);
    link.meddler = (datagram) => [datagram];
    for (let n = 0; n < 6_000 && a.status().state !== "up"; n++) {
      a.trapped();
      run(10);
    }
    expect(a.status().state).toBe("up");
  });

  test("what its user took down stays down, and what the peer took down comes again with the next packet", () => {
    const { a, b, connect, run } = twoPeers({ a: { start: "trap" } });
    connect();
    a.terminate();
    run(1_000);
    a.trapped();
    run(1_000);
    expect(a.status().state).toBe("down");
    a.initiate();
    run(1_000);
    b.terminate();
    run(10_000);
    expect(a.status().state).toBe("down");
    a.trapped();
    run(1_000);
    expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
  });

  test("packets for a connection that is not to be trapped begin nothing", () => {
    const { a, run, link } = twoPeers();
    a.trapped();
    run(1_000);
    expect(link.sent).toEqual([]);
    expect(() => a.trapped("net", "other")).toThrow("no connection is called other");
  });
});

test("no more than so many attempts at once: the others wait and have their turn", () => {
  const many = Array.from({ length: 12 }, (_, n) =>
    connection("a", { name: `to-${n}`, start: "initiate", retransmit: { ...SHORT, tries: 1 } }),
  );
  const { a, link, run } = twoPeers({ connectionsA: many, optionsA: { halfOpenOutLimit: 5 } });
  link.meddler = () => [];
  a.start();
  let most = 0;
  run(20_000, () => {
    most = Math.max(most, a.manager.held.all);
  });
  expect(most).toBe(5);
  expect(a.count("half-open-out-limit")).toBeGreaterThan(0);
  const begun = new Set(a.logs.filter(({ event }) => event === "ike-sa-initiating").map((line) => line.connection));
  expect(begun.size).toBe(12);
});
