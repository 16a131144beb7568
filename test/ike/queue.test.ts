/** How much may wait on one IKE SA, and how many pairs it may have: what one peer brings about costs the others nothing. */
import { describe, expect, test } from "vitest";
import { deletion } from "../../src/ike/deletion.ts";
import { Exchange, find, notifies, type Payload } from "../../src/ike/message.ts";
import { Notify } from "../../src/ike/notify.ts";
import { noncePayload } from "../../src/ike/payloads.ts";
import { Protocol } from "../../src/ike/proposal.ts";
import { anySelectors } from "../../src/ipsec/selector.ts";
import { Puppet } from "../support/puppet.ts";
import type { SeededRandom } from "../support/seeded-random.ts";
import { child, connection, disagreements, gaps, identity, selectors, twoPeers } from "../support/two-peers.ts";

const children = Array.from({ length: 12 }, (_, n) => {
  const net = selectors(`10.${n}.0.0/16`);
  return child({ name: `net-${n}`, local: net, remote: net });
});

describe("of requests that wait no more than so many are kept", () => {
  const limited = { optionsA: { queueLimit: 4 }, optionsB: { queueLimit: 4 } };

  test("those put off have their turn later: all children come up, and all are rekeyed", () => {
    const peers = twoPeers({ a: { children, start: "initiate" }, b: { children }, ...limited });
    const { a, b, run } = peers;
    a.start();
    run(30_000);
    expect([a.data.pairs.size, a.count("queue-limit") > 0]).toEqual([12, true]);
    const before = [...a.data.pairs.keys()];
    const putOff = a.count("queue-limit");
    a.rekey("children");
    expect(a.count("queue-limit")).toBe(putOff + 7); // one on its way, four wait
    run(300_000, () => expect(gaps(peers)).toEqual([]));
    expect([...a.data.pairs.keys()].filter((spi) => before.includes(spi))).toEqual([]);
    expect([a.data.pairs.size, b.data.pairs.size]).toEqual([12, 12]);
    expect(disagreements(peers)).toEqual([]);
  });

  test("a Delete is never put off", () => {
    const peers = twoPeers({ a: { children, start: "initiate" }, b: { children }, ...limited });
    const { a, b, link, run } = peers;
    a.start();
    run(30_000);
    link.meddler = () => [];
    a.rekey("children");
    a.terminate();
    link.meddler = (datagram) => [datagram];
    run(10_000);
    expect([a.manager.held.all, b.manager.held.all, b.data.pairs.size]).toEqual([0, 0, 0]);
  });
});

/** What comes of a puppet's requests for that many further pairs. */
const makePairs = (puppet: Puppet, random: SeededRandom, count: number): (readonly Payload[])[] =>
  Array.from({ length: count }, () => {
    const value = { selectors: anySelectors };
    const [said] = puppet.ask(Exchange.CREATE_CHILD_SA, [
      { kind: "SA", value: puppet.espOffer() },
      noncePayload(random.bytes(32)),
      { kind: "TSi", value },
      { kind: "TSr", value },
    ]);
    return said?.payloads ?? [];
  });

/** How many of them were made. */
const made = (answers: readonly (readonly Payload[])[]): number =>
  answers.filter((payloads) => find(payloads, "SA") !== undefined).length;

const puppets = connection("b", {
  name: "puppet",
  remote: { address: undefined, port: 500, id: identity("puppet.example") },
});

//   CREATE_CHILD_SA {SA, Ni, TSi, TSr} -->   a hundred times
//                                      <-- ... N(NO_ADDITIONAL_SAS)
test("a peer that makes one pair after another gets no more of them, and another peer has room", () => {
  const peers = twoPeers({ connectionsB: [connection("b"), puppets] });
  const { a, b, link, random, run } = peers;
  b.data.capacity = 100;
  const puppet = new Puppet(link, random);
  puppet.connect();
  const answers = makePairs(puppet, random, 100);
  expect(made(answers)).toBe(65); // and one from IKE_AUTH
  expect(notifies(answers.at(-1) ?? [], Notify.NO_ADDITIONAL_SAS)).toHaveLength(1);
  a.initiate();
  run(1_000);
  expect(a.status().state).toBe("up");
});

//   IKE_SA_INIT, IKE_AUTH without INITIAL_CONTACT -->   again and again
//                                                <-- ... D, of the oldest
test("of a peer that makes one IKE SA after another the oldest end, answered or not, and another peer has room", () => {
  const peers = twoPeers({ connectionsB: [connection("b"), puppets], optionsB: { sasPerPeer: 4 } });
  const { a, b, link, random, run } = peers;
  const puppetsMade = Array.from({ length: 12 }, () => {
    const puppet = new Puppet(link, random);
    puppet.connect();
    return puppet;
  });
  expect(b.manager.held.all).toBe(4);
  expect([b.data.pairs.size, b.count("peer-ike-sa-limit")]).toEqual([4, 8]);
  const ping = (puppet: Puppet) => puppet.ask(Exchange.INFORMATIONAL, [])[0]?.payloads;
  expect(puppetsMade.map((puppet) => ping(puppet)?.length === 0)).toEqual(puppetsMade.map((_, n) => n >= 8));
  expect(b.events().filter((event) => event === "peer-ike-sa-limit").length).toBeLessThanOrEqual(10);
  a.initiate();
  run(1_000);
  expect([a.status().state, b.manager.held.all]).toEqual(["up", 5]);
});

test("further pairs are limited for all IKE SAs of a peer together", () => {
  const peers = twoPeers({ connectionsB: [connection("b"), puppets], optionsB: { sasPerPeer: 3 } });
  const { b, link, random } = peers;
  const counts = Array.from({ length: 3 }, () => {
    const puppet = new Puppet(link, random);
    puppet.connect();
    return made(makePairs(puppet, random, 70));
  });
  expect(counts).toEqual([65, 1, 1]); // twice its one child, each; the rest of 64 goes to who comes first
  expect(b.data.pairs.size).toBe(70);
});

test("no more IKE SAs are begun or taken than there may be in all, until one of them ends", () => {
  const remote = (n: number) => ({ address: undefined, port: 500, id: identity(`p${n}.example`) });
  const many = [0, 1, 2].map((n) => connection("b", { name: `p${n}`, remote: remote(n) }));
  const peers = twoPeers({
    a: { start: "initiate" },
    connectionsB: [connection("b", { start: "initiate" }), ...many],
    optionsB: { sasLimit: 2 },
  });
  const { a, b, link, random, run } = peers;
  const [, second] = [0, 1].map((n) => {
    const puppet = new Puppet(link, random);
    puppet.begin();
    puppet.ask(Exchange.IKE_AUTH, puppet.proof(identity(`p${n}.example`)));
    return puppet;
  });
  expect(b.manager.held.all).toBe(2);
  a.start();
  b.start();
  run(5_000);
  expect([a.status().state, b.status().state, b.manager.held.all]).toEqual(["connecting", "connecting", 2]);
  expect(b.count("ike-sa-limit")).toBeGreaterThan(3);
  b.rekey("ike", "p0"); // what is up goes on
  run(10);
  expect(b.manager.held.all).toBe(2);
  second!.ask(Exchange.INFORMATIONAL, [deletion(Protocol.IKE, [])]);
  run(70_000);
  expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
});
