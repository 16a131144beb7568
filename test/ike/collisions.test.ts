/** Each collision of RFC 7296 §2.25, and what the two peers say to each other then. */
import { describe, expect, test } from "vitest";
import { losesTo, lowest } from "../../src/ike/lowest-nonce.ts";
import type { Datagram } from "../support/link.ts";
import { child, disagreements, drawn, gaps, type Peer, type TwoPeers, twoPeers } from "../support/two-peers.ts";

const only = (peer: Peer) => {
  const [pair, ...more] = peer.data.pairs.values();
  if (pair === undefined || more.length > 0) throw new Error(`${peer.data.pairs.size} pairs, not one`);
  return pair;
};

const octets = (...values: number[]): Uint8Array => Uint8Array.from(values);

test("nonces compare as octets, the first that differs decides, and of two that begin alike the shorter is lower", () => {
  expect(lowest(octets(1, 255), octets(2, 0))).toEqual(octets(1, 255));
  expect(lowest(octets(128), octets(127, 9))).toEqual(octets(127, 9));
  expect(lowest(octets(5, 5, 0), octets(5, 5))).toEqual(octets(5, 5));
  expect([losesTo(octets(1), octets(2)), losesTo(octets(2), octets(1))]).toEqual([true, false]);
});

describe("§2.25.1: a Child SA", () => {
  test.each(Array.from({ length: 6 }, (_, seed) => [seed]))(
    "that both rekey: both answer as usual; one deletes the old pair, the other the pair that has lost (seed %i)",
    (seed) => {
      const peers = twoPeers({ seed });
      const { a, b, connect, link, run } = peers;
      connect();
      link.sent.length = 0;
      a.rekey("children");
      b.rekey("children");
      run(1_000, () => expect(gaps(peers)).toEqual([]));
      expect(drawn(link.sent)).toEqual([
        "a> CREATE_CHILD_SA request 2", // SK {N(REKEY_SA), SA, Ni, TSi, TSr}
        "b> CREATE_CHILD_SA request 0", // SK {N(REKEY_SA), SA, Ni, TSi, TSr}
        "b> CREATE_CHILD_SA answer 2",
        "a> CREATE_CHILD_SA answer 0",
        "a> INFORMATIONAL request 3", //   SK {D}
        "b> INFORMATIONAL request 1", //   SK {D}
        "b> INFORMATIONAL answer 3",
        "a> INFORMATIONAL answer 1",
      ]);
      expect(only(a).spiOut).toBe(only(b).spiIn);
      expect(disagreements(peers)).toEqual([]);
    },
  );

  /** Neither end has room to rekey its child, so it comes to its hard end: at a after 110 s, at b 27 ms later. */
  const dying = () => {
    const lives = (lifetime: number) => ({ children: [child({ lifetime })] });
    const peers = twoPeers({ a: { ...lives(100_000), start: "initiate" }, b: lives(100_070) });
    peers.link.weather = { loss: 0, duplication: 0, delay: 50, spread: 0 };
    peers.a.start();
    peers.run(1_000);
    peers.a.data.capacity = 1;
    peers.b.data.capacity = 1;
    return peers;
  };
  const isExpired =
    ({ a }: TwoPeers) =>
    (): boolean =>
      a.events().includes("child-sa-expired");

  test("that both delete: each answers without a Delete of its own", () => {
    const peers = dying();
    const { a, b, link, until, run } = peers;
    until(isExpired(peers), 120_000);
    link.sent.length = 0;
    run(110);
    expect(drawn(link.sent)).toEqual([
      // a> INFORMATIONAL request 2     SK {D} is on its way already
      "b> INFORMATIONAL request 0", //  SK {D}
      "b> INFORMATIONAL answer 2", //   SK {}
      "a> INFORMATIONAL answer 0", //   SK {}
    ]);
    run(50);
    expect([a.data.pairs.size, b.data.pairs.size]).toEqual([0, 0]);
    run(5_000); // and a, which wants it, has it again
    expect([a.data.pairs.size, b.data.pairs.size]).toEqual([1, 1]);
    expect(disagreements(peers)).toEqual([]);
  });

  test("that one rekeys and the other is deleting: TEMPORARY_FAILURE, then it is made anew", () => {
    const peers = dying();
    const { a, b, link, until, run } = peers;
    until(isExpired(peers), 120_000);
    a.data.capacity = 10;
    b.data.capacity = 10;
    link.sent.length = 0;
    b.rekey("children");
    run(110);
    expect(drawn(link.sent)).toEqual([
      // a> INFORMATIONAL request 2     SK {D} is on its way already
      "b> CREATE_CHILD_SA request 0", // SK {N(REKEY_SA), SA, Ni, TSi, TSr}
      "b> INFORMATIONAL answer 2", //    SK {D}
      "a> CREATE_CHILD_SA answer 0", //  SK {N(TEMPORARY_FAILURE)}
    ]);
    expect(a.log("request-refused")?.message).toContain("TEMPORARY_FAILURE");
    run(20_000);
    expect([a.data.pairs.size, b.data.pairs.size]).toEqual([1, 1]);
    expect(disagreements(peers)).toEqual([]);
  });

  test("that is rekeyed when it is gone: CHILD_SA_NOT_FOUND, and no harm", () => {
    const peers = dying();
    const { a, b, link, until, run } = peers;
    run(108_000);
    let held: Datagram | undefined;
    link.meddler = (datagram) => {
      if (!drawn([datagram])[0]?.startsWith("b> CREATE_CHILD_SA request")) return [datagram];
      held = datagram;
      return [];
    };
    b.data.capacity = 10;
    b.rekey("children"); // on its way for long
    until(isExpired(peers));
    run(300);
    link.meddler = (datagram) => [datagram];
    if (held !== undefined) link.inject(held);
    expect(a.events()).toContain("rekey-unknown");
    run(60_000);
    expect(b.events()).not.toContain("child-sa-failed"); // a's Delete has said it
    expect([a.data.pairs.size, b.data.pairs.size]).toEqual([1, 1]);
    expect(disagreements(peers)).toEqual([]);
  });
});

describe("§2.25.2: an IKE SA", () => {
  test.each(Array.from({ length: 6 }, (_, seed) => [seed]))(
    "that both rekey: both answer as usual; one deletes the old, the other the new one that has lost (seed %i)",
    (seed) => {
      const peers = twoPeers({ seed });
      const { a, b, connect, link, run } = peers;
      connect();
      link.sent.length = 0;
      a.rekey("ike");
      b.rekey("ike");
      run(1_000, () => expect(gaps(peers)).toEqual([]));
      const said = drawn(link.sent);
      expect(said.slice(0, 4)).toEqual([
        "a> CREATE_CHILD_SA request 2", // SK {SA, Ni, KEi}
        "b> CREATE_CHILD_SA request 0", // SK {SA, Ni, KEi}
        "b> CREATE_CHILD_SA answer 2",
        "a> CREATE_CHILD_SA answer 0",
      ]);
      // One Delete on the old IKE SA and one on the new one that has lost, each answered.
      expect(said.slice(4).filter((line) => line.includes("request"))).toHaveLength(2);
      expect(said.slice(4).filter((line) => line.includes("answer"))).toHaveLength(2);
      expect([a.manager.held.all, b.manager.held.all]).toEqual([1, 1]);
      expect(a.status().ikeSa?.spiI).toBe(b.status().ikeSa?.spiI);
    },
  );

  test("that both delete: each answers, and forgets it", () => {
    const { a, b, connect, link, run } = twoPeers();
    connect();
    link.sent.length = 0;
    a.terminate();
    b.terminate();
    run(1_000);
    expect(drawn(link.sent)).toEqual([
      "a> INFORMATIONAL request 2", // SK {D}
      "b> INFORMATIONAL request 0", // SK {D}
      "b> INFORMATIONAL answer 2",
      "a> INFORMATIONAL answer 0",
    ]);
    expect([a.manager.held.all, b.manager.held.all]).toEqual([0, 0]);
  });

  test.each(["ike", "children"] as const)(
    "that is closing: who rekeys %s on it is told to wait, and the Delete is answered",
    (what) => {
      const { a, b, connect, link, run } = twoPeers();
      connect();
      link.sent.length = 0;
      a.terminate(); //    SK {D} -->
      b.rekey(what); //    <-- CREATE_CHILD_SA
      run(1_000);
      expect(drawn(link.sent)).toEqual([
        "a> INFORMATIONAL request 2",
        "b> CREATE_CHILD_SA request 0",
        "b> INFORMATIONAL answer 2",
        "a> CREATE_CHILD_SA answer 0", // SK {N(TEMPORARY_FAILURE)}
      ]);
      expect(a.log("request-refused")?.message).toContain("TEMPORARY_FAILURE");
      expect([a.manager.held.all, b.manager.held.all, a.data.pairs.size, b.data.pairs.size]).toEqual([0, 0, 0, 0]);
    },
  );

  test.each([
    ["ike", "children"],
    ["children", "ike"],
  ] as const)("a rekeys %s while b rekeys %s: TEMPORARY_FAILURE both ways, and both come later", (ofA, ofB) => {
    const peers = twoPeers();
    const { a, b, connect, link, run } = peers;
    connect();
    const before = [a.status().ikeSa?.spiI, only(a).spiIn];
    link.sent.length = 0;
    a.rekey(ofA);
    b.rekey(ofB);
    run(100);
    expect(drawn(link.sent)).toEqual([
      "a> CREATE_CHILD_SA request 2",
      "b> CREATE_CHILD_SA request 0",
      "b> CREATE_CHILD_SA answer 2", // SK {N(TEMPORARY_FAILURE)}
      "a> CREATE_CHILD_SA answer 0", // SK {N(TEMPORARY_FAILURE)}
    ]);
    run(30_000, () => expect(gaps(peers)).toEqual([]));
    expect(a.status().ikeSa?.spiI).not.toBe(before[0]);
    expect(only(a).spiIn).not.toBe(before[1]);
    expect(disagreements(peers)).toEqual([]);
  });

  test("that is rekeyed by one and deleted by the other: the Delete is answered, the rekey forgotten", () => {
    const { a, b, connect, link, run } = twoPeers();
    connect();
    link.sent.length = 0;
    b.rekey("ike");
    a.terminate();
    run(1_000);
    expect(drawn(link.sent)).toEqual([
      "b> CREATE_CHILD_SA request 0", // SK {SA, Ni, KEi}
      "a> INFORMATIONAL request 2", //   SK {D}
      "a> CREATE_CHILD_SA answer 0", //  SK {N(TEMPORARY_FAILURE)}
      "b> INFORMATIONAL answer 2",
    ]);
    expect([a.manager.held.all, b.manager.held.all]).toEqual([0, 0]);
  });
});

describe("TEMPORARY_FAILURE", () => {
  test("is waited out: a rekey that the peer puts off again and again is tried at growing distances, to the end", () => {
    const peers = twoPeers({ a: { children: [child({ lifetime: 600_000 })] } });
    const { a, b, connect, link, run } = peers;
    connect();
    // b is never done with a rekey of the IKE SA of its own: every answer to it is lost.
    b.rekey("ike");
    link.meddler = (datagram) => (drawn([datagram])[0]?.startsWith("a> CREATE_CHILD_SA answer 0") ? [] : [datagram]);
    a.rekey("children");
    run(40_000);
    const tries = link.sent.filter((datagram) => drawn([datagram])[0]?.startsWith("a> CREATE_CHILD_SA request"));
    const waits = tries.slice(1).map(({ at }, n) => at - (tries[n]?.at ?? 0));
    expect(waits.length).toBeGreaterThan(1);
    for (const [n, wait] of waits.entries()) {
      expect(wait).toBeGreaterThan(2_500 * 2 ** n - 100);
      expect(wait).toBeLessThan(5_000 * 2 ** n + 100);
    }
    expect(gaps(peers)).toEqual([]);
  });
});
